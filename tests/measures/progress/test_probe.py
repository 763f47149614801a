"""Measures of progress of networks that were written down, and against every input there is."""

import itertools

import jax
import numpy as np
import pytest

from plateaus.evaluation import Law
from plateaus.measures.instrument import Parts
from plateaus.measures.progress import probe as progress
from plateaus.measures.progress.instrument import INSTRUMENT
from plateaus.models.networks import mlp
from plateaus.tasks.laws import sparse_parity
from plateaus.types import Example

D = 6
CUBE = np.array([*itertools.product((-1.0, 1.0), repeat=D)], np.float32)


def network(first, bias, readout, constant=0.0):
    """A network of one hidden layer, from its weights."""
    arrays = {"kernel": np.float32(first), "bias": np.float32(bias)}
    last = {"kernel": np.float32(readout)[:, None], "bias": np.float32([constant])}
    return {"hidden_0": arrays, "readout": last}


def reading(coordinates, weights):
    """A kernel [D, width] of columns that read these coordinates."""
    kernel = np.zeros((D, len(weights)))
    kernel[list(coordinates)] = weights
    return kernel


# x_1 x_2 = |x_1 + x_2| - 1; the other reads two coordinates that the target does not depend on
PARITY = network(reading((0, 1), [1, -1]), [0, 0], [1, 1], -1)
OTHER = network(reading((3, 4), [1, -1]), [0, 0], [1, 1], -1)
CONSTANT = network(reading((0, 3), [1, 1]), [0, 0], [0, 0], 0.5)
SILENT = network(reading((0, 3), [1, 1]), [0, 0], [0, 0], 0.0)


@pytest.fixture(scope="module")
def measured():
    """What the instrument records of a network on every point of the cube."""
    spec = sparse_parity.Spec(dimension=D, relevant_bits=2)
    task = sparse_parity.sparse_parity(spec)
    model = mlp.mlp(mlp.Spec(width=2, depth=1), D)
    probe = INSTRUMENT.probe({"progress_measures": True}, Parts(task, model, model))
    batch = Example(CUBE, CUBE[:, 0] * CUBE[:, 1])
    run = jax.jit(lambda p, batch: probe(jax.random.key(0), p, {"test": Law(batch, {})}, None))
    return lambda params: {name: float(value) for name, value in run(params, batch).items()}


def record(weights, coefficient, share):
    return {
        "relevant_weights": pytest.approx(weights, abs=1e-6),
        "target_coefficient": pytest.approx(coefficient, abs=1e-6),
        "target_share": pytest.approx(share, abs=1e-6),
    }


def test_a_network_that_is_the_parity(measured):
    assert measured(PARITY) == record(1, 1, 1)


def test_networks_that_ignore_it(measured):
    assert measured(OTHER) == record(0, 0, 0)
    assert measured(CONSTANT) == record(0.5, 0, 0)
    assert measured(SILENT) == record(0.5, 0, 0)


def test_every_coefficient_of_a_random_network(measured):
    """The coefficients of all 2^d parities, by their definition; their squares sum to the power."""
    rng = np.random.default_rng(3)
    first, bias, readout = rng.standard_normal((D, 2)), rng.standard_normal(2), [1.5, -0.7]
    outputs = np.maximum(CUBE.astype(float) @ first + bias, 0) @ readout + 0.2
    sets = [s for size in range(D + 1) for s in itertools.combinations(range(D), size)]
    all_of_them = {s: np.mean(outputs * np.prod(CUBE[:, list(s)], axis=1)) for s in sets}
    power = sum(value**2 for value in all_of_them.values())
    assert power == pytest.approx(np.mean(outputs**2))
    rows = np.square(first).sum(axis=1)
    found = measured(network(first, bias, readout, 0.2))
    coefficient = all_of_them[0, 1]
    expected = (rows[:2].sum() / rows.sum(), coefficient, coefficient**2 / power)
    assert [*found.values()] == pytest.approx(expected, rel=1e-4)


def test_the_noise_of_the_coefficient_is_as_said():
    """Over samples of an output without the target: sd sqrt(E f^2 / n), mean share 1 / n."""
    rng = np.random.default_rng(0)
    n, samples = 256, 400
    x = CUBE[rng.integers(len(CUBE), size=(samples, n))]
    outputs, targets = 0.3 * x[..., 4], x[..., 0] * x[..., 1]
    coefficient, share = jax.jit(jax.vmap(progress.on_target))(outputs, targets)
    assert np.std(coefficient) == pytest.approx(0.3 / np.sqrt(n), rel=0.15)
    assert np.mean(share) == pytest.approx(1 / n, rel=0.3)


def test_attention_is_of_the_best_head_to_all_that_matters():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(4), (2, 5, 3, 4)).astype(np.float32)
    found = float(progress.attention_to(weights, (0, 2)))
    by_head = [
        np.mean([weights[layer, b, head, 3, 0] + weights[layer, b, head, 3, 2] for b in range(5)])
        for layer in range(2)
        for head in range(3)
    ]
    assert found == pytest.approx(max(by_head), rel=1e-5)
    even = np.full((1, 2, 2, 4, 4), 0.25, np.float32)
    assert float(progress.attention_to(even, (1,))) == 0.25
