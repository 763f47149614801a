"""PCGrad and gradient vaccine against explicit vectors, projected one after the other."""

import functools
import itertools

import jax
import numpy as np
import pytest

from plateaus.optim.aggregators.gradvac import gradvac
from plateaus.optim.aggregators.orders import orders
from plateaus.optim.aggregators.pcgrad import pcgrad

SIZES = (1, 2, 3, 8, 20)


def gradients(size, seed=0, width=7):
    return np.random.default_rng(seed).standard_normal((size, width))


def projected(i, rows, order, project="conflict"):
    """Algorithm 1, inner loop, word by word."""
    g = rows[i].copy()
    for j in order:
        if j != i and (project == "always" or g @ rows[j] < 0) and rows[j].any():
            g -= (g @ rows[j]) / (rows[j] @ rows[j]) * rows[j]
    return g


@functools.cache
def program(kind, *options):
    """The jitted update of an aggregator."""
    return jax.jit(kind(*options).update)


def gram_of(rows):
    return np.asarray(rows @ rows.T, np.float32)


@functools.cache
def first(kind, *options):
    """Its first update: Gram matrix -> (weights, state)."""
    aggregator = kind(*options)
    return jax.jit(lambda gram: aggregator.update(gram, aggregator.init(len(gram))))


def combined(rows, kind, *options):
    weights, _ = first(kind, *options)(gram_of(rows))
    return np.asarray(weights, np.float64) @ rows


@pytest.mark.parametrize("project", ("conflict", "always"))
@pytest.mark.parametrize("size", SIZES)
def test_pcgrad_in_ascending_order(size, project):
    rows = gradients(size)
    expected = sum(projected(i, rows, range(size), project) for i in range(size))
    np.testing.assert_allclose(combined(rows, pcgrad, project), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("project", ("conflict", "always"))
def test_zero_gradients_are_skipped(project):
    rows = gradients(5)
    rows[[1, 4]] = 0
    expected = sum(projected(i, rows, range(5), project) for i in range(5))
    found = combined(rows, pcgrad, project)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("project", ("conflict", "always"))
def test_pcgrad_in_random_order(project):
    """Every result is one of the 2^3 that explicit orders give; all of them come up, evenly."""
    rows = gradients(3, seed=4, width=4)
    rows = rows - 0.9 * rows.mean(0)  # most pairs conflict: the order matters
    ways = [
        [projected(i, rows, o, project) for o in itertools.permutations(set(range(3)) - {i})]
        for i in range(3)
    ]
    possible = np.stack([sum(choice) for choice in itertools.product(*ways)])
    distances = np.linalg.norm(possible[:, None] - possible[None], axis=-1)
    assert np.min(distances + np.eye(8)) > 1e-3

    @jax.jit
    def of_keys(gram, seed):
        keys = jax.random.split(jax.random.key(seed), 800)
        return jax.vmap(lambda key: pcgrad(project).update(gram, (), key=key)[0])(keys)

    weights = of_keys(gram_of(rows), np.uint32(0))
    found = np.asarray(weights, np.float64) @ rows
    distances = np.linalg.norm(found[:, None] - possible[None], axis=-1)
    assert distances.min(1).max() < 1e-4
    counts = np.bincount(distances.argmin(1), minlength=8)
    assert np.all(np.abs(counts - 100) < 4 * np.sqrt(100 * 7 / 8))  # four standard errors


@pytest.mark.parametrize("size", (1, 2, 3, 33, 64))
def test_random_orders(size):
    """Each row goes through everyone once; rows and keys differ; every place is as likely."""

    def order(key):
        found, _, axis = orders(key, size)
        assert axis == 0
        return found

    @jax.jit
    def drawn(seed):
        keys = jax.random.split(jax.random.key(seed), 202)
        return jax.vmap(order)(keys)

    one, other, *many = np.asarray(drawn(np.uint32(0)))
    np.testing.assert_array_equal(np.sort(one, axis=1), np.tile(np.arange(size), (size, 1)))
    if size > 3:
        assert not np.array_equal(one, other) and not np.array_equal(one[0], one[1])
    first = np.bincount(np.asarray(many)[..., 0].ravel(), minlength=size)
    expected = 200 * size / size
    assert np.all(np.abs(first - expected) < 5 * np.sqrt(expected))


def test_pcgrad_of_two():
    """g1 + g2 less what each has against the other; untouched without a conflict, bit for bit."""
    rows = np.array([[2.0, 0.0], [-1.0, 1.0]])
    expected = (rows[0] + rows[1]) + rows[1] - rows[0] * (-2 / 4)
    np.testing.assert_allclose(combined(rows, pcgrad), expected, rtol=1e-6)
    agreeing = np.float32([[1.0, 0.3], [0.3, 2.0]])
    assert program(pcgrad)(agreeing, ())[0].tolist() == [1.0, 1.0]
    always, _ = program(pcgrad, "always")(agreeing, ())
    np.testing.assert_allclose(always, [1 - 0.3 / 1, 1 - 0.3 / 2], rtol=1e-6)


def test_an_unknown_kind_of_projection_is_refused():
    with pytest.raises(ValueError, match=r"project must be one of .*not 'sometimes'"):
        pcgrad("sometimes")


def vaccinated(rows, averages, beta):
    """Wang et al., algorithm 1, on vectors."""
    total, moved = 0, averages.copy()
    for i, g in enumerate(rows):
        g = g.copy()
        for j in (j for j in range(len(rows)) if j != i):
            phi = g @ rows[j] / np.linalg.norm(g) / np.linalg.norm(rows[j])
            target = averages[i, j]
            if phi < target:
                up = target * np.sqrt(1 - phi**2) - phi * np.sqrt(1 - target**2)
                across = np.linalg.norm(rows[j]) * np.sqrt(1 - target**2)
                g = g + np.linalg.norm(g) * up / across * rows[j]
            moved[i, j] = (1 - beta) * target + beta * phi
        total = total + g
    return total, moved


@jax.jit
def vaccine(gram, state, beta):
    return gradvac(beta).update(gram, state)


@pytest.mark.parametrize("beta", (0.01, 0.5, 1.0))
def test_gradient_vaccine_over_some_steps(beta):
    averages, state = np.zeros((6, 6)), gradvac(beta).init(6)
    for step in range(5):
        rows = gradients(6, seed=step, width=12) + step / 4
        weights, state = vaccine(gram_of(rows), state, np.float32(beta))
        expected, averages = vaccinated(rows, averages, beta)
        found = np.asarray(weights, np.float64) @ rows
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(state, averages, atol=1e-5)


def test_gradient_vaccine_reaches_its_target():
    """Of two gradients: after the turn, the cosine is the average that it had."""
    state = np.float32([[0.0, 0.6], [-1.0, 0.0]])  # only the first is turned
    rows = np.array([[1.0, 0.0], [0.0, 2.0]])
    weights, _ = program(gradvac)(gram_of(rows), state)
    turned = np.asarray(weights, np.float64) @ rows - rows[1]
    np.testing.assert_allclose(turned[1] / np.linalg.norm(turned), 0.6, rtol=1e-5)


def test_a_vaccine_that_never_learns_is_pcgrad():
    rows = gradients(9)
    vaccine = combined(rows, gradvac, 0.0)
    np.testing.assert_allclose(vaccine, combined(rows, pcgrad), rtol=1e-4, atol=1e-4)


def test_equal_gradients_for_long_are_no_danger():
    """The target cosine goes to 1; at the next step, the paper's formula divides by 0."""

    @jax.jit
    def after(grams):
        steps = lambda state, gram: gradvac(0.9).update(gram, state)[::-1]  # noqa: E731
        return jax.lax.scan(steps, gradvac().init(4), grams)[0]

    state = after(np.full((50, 4, 4), 9.0, np.float32))
    others = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose(np.asarray(state)[others], 1, atol=1e-6)
    rows = np.ones((4, 9)) + 1e-3 * gradients(4, width=9)
    weights, _ = program(gradvac)(gram_of(rows), state)
    assert np.all(np.abs(weights) < 10)


@pytest.mark.parametrize("broken", (np.nan, np.inf))
def test_averages_survive_a_broken_gradient(broken):
    gram = np.float32([[1.0, 0.5], [0.5, 1.0]])
    _, state = first(gradvac)(gram)
    gram[1, :] = gram[0, 1] = broken
    weights, after = program(gradvac)(gram, state)
    assert np.all(np.isnan(weights)) and np.array_equal(state, after)
