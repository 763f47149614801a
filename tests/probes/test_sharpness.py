"""The ends of a spectrum against dense eigenvalues, and against spectra that were chosen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from plateaus.models import mlp, transformer
from plateaus.probes import sharpness


def key():
    return jax.random.key(0)  # a key may be used once


def matrix_of(values, seed=0):
    """A dense symmetric matrix with this spectrum."""
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    return turned @ np.diag(values) @ turned.T


@pytest.mark.parametrize(
    "values",
    [
        [*np.linspace(0, 1, 60), 4.0],
        [-9.0, *np.linspace(-1, 1, 60), 4.0],  # a power iteration would find -9
        [-9.0, *np.linspace(-5, -1, 60)],  # nothing positive
        [1e6, *np.linspace(0, 100, 60)],
        [*np.linspace(1e-9, 1e-8, 60), 1e-7],
    ],
    ids=("positive", "negative larger", "negative", "large", "small"),
)
def test_both_ends_of_a_quadratic(values):
    matrix = jnp.asarray(matrix_of(values), jnp.float32)

    def loss(w, scale):
        return scale * jnp.dot(w, matrix @ w) / 2

    w = jnp.ones(len(values))
    scales = jnp.array([0.5, 1.5])
    found = jax.jit(lambda w: sharpness.of_batches(key(), loss, w, scales, 30))(w)
    size = max(map(abs, values))
    assert float(found["sharpness"]) == pytest.approx(max(values), abs=2e-3 * size)
    assert float(found["sharpness_lowest"]) == pytest.approx(min(values), abs=2e-3 * size)
    gradient = np.linalg.norm(matrix_of(values) @ np.ones(len(values)))
    assert float(found["gradient_norm"]) == pytest.approx(gradient, rel=1e-4)


@pytest.mark.parametrize("values", [[-3.0, -2.0, -1.0], [5.0, 5.0, 5.0], [0.0, 0.0], [2.0]])
def test_more_steps_than_there_are_directions(values):
    """What is exhausted adds no eigenvalue: neither a 0 nor anything beyond the ends."""
    diagonal = jnp.asarray(values, jnp.float32)
    low, high = sharpness.extremes(key(), lambda v: diagonal * v, diagonal, 40)
    assert float(low) == pytest.approx(min(values), abs=1e-5)
    assert float(high) == pytest.approx(max(values), abs=1e-5)


def test_what_is_not_finite_is_told():
    low, high = sharpness.extremes(key(), lambda v: v * jnp.nan, jnp.ones(4), 3)
    assert np.isnan(low) and np.isnan(high)


MODELS = {
    "mlp": (mlp.mlp(mlp.Spec(width=5, depth=1), 3), (3,)),
    "transformer": (
        transformer.transformer(
            transformer.Spec(width=4, depth=1, heads=2, max_positions=4, mlp_multiple=2), inputs=3
        ),
        (4, 3),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_against_the_dense_hessian_of_a_network(name):
    model, shape = MODELS[name]
    rng = np.random.default_rng(4)
    params = jax.tree.map(lambda x: 5 * x + 0.1, model.init(jax.random.key(1)))
    inputs = jnp.asarray(rng.standard_normal((2, 3, *shape)), jnp.float32)  # 2 batches of 3
    targets = jnp.asarray(rng.standard_normal((2, 3, *shape[:-1])), jnp.float32)

    def loss(params, batch):
        return jnp.mean((model.apply(params, batch[0])[0] - batch[1]) ** 2)

    found = jax.jit(lambda p: sharpness.of_batches(key(), loss, p, (inputs, targets), 40))(params)
    flat, back = ravel_pytree(params)
    pooled = (inputs.reshape(6, *shape), targets.reshape(6, *shape[:-1]))
    hessian = jax.jit(jax.hessian(lambda w: loss(back(w), pooled)))(flat)
    dense = np.linalg.eigvalsh(np.asarray(hessian, np.float64))
    assert float(found["sharpness"]) == pytest.approx(dense[-1], rel=1e-3)
    assert float(found["sharpness_lowest"]) == pytest.approx(dense[0], rel=1e-2)
    gradient = jax.grad(lambda w: loss(back(w), pooled))(flat)
    assert float(found["gradient_norm"]) == pytest.approx(
        float(jnp.linalg.norm(gradient)), rel=1e-4
    )
