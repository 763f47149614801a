"""The programmes behind the aggregators, by the conditions that single out their solutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.optim.aggregators.quadratic import nonnegative, shortest

KINDS = ("random", "deficient", "half", "opposite", "lengths")
MEMBERS = 12


def problems(kind, size):
    """[MEMBERS, B, n]; half as many parameters as gradients: 0 just about in the convex hull."""
    rng = np.random.default_rng(size)
    width = {"deficient": max(size // 4, 1), "half": size // 2 + 1}.get(kind, 3 * size)
    rows = rng.standard_normal((MEMBERS, size, width))
    if kind == "opposite":
        rows = rng.choice([-1, 1], (MEMBERS, size, 1)) * rows[:, :1] + 0.1 * rows
    if kind == "lengths":
        rows *= 10 ** rng.uniform(-2, 2, (MEMBERS, size, 1))
    return rows


shortest_of_each = jax.jit(jax.vmap(shortest))


@jax.jit
@jax.vmap
def solve(q, b):
    return nonnegative(q, b, jnp.zeros(len(b), bool))[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", (1, 2, 16, 64))
def test_the_shortest_combination(kind, size):
    """It is one: g_b . d >= |d|^2 for all b, up to 1e-5 of what the longest gradients could be."""
    rows = problems(kind, size)
    gram = np.einsum("mbn,mcn->mbc", rows, rows)
    weights = np.asarray(shortest_of_each(gram.astype(np.float32)), np.float64)
    assert np.all(weights >= 0)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    with_each = np.einsum("mbc,mc->mb", gram, weights)
    square = np.einsum("mb,mb->m", with_each, weights)
    lengths = np.sqrt(np.einsum("mbb->mb", gram))
    # the cosine's shortfall: (|d|^2 - g_b . d) / (|g_b| |d|) is what Cauchy leaves to rounding
    short = (square[:, None] - with_each) / (lengths * lengths.max(1, keepdims=True))
    assert short.max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", (1, 2, 16, 64))
def test_nonnegative_least_squares(kind, size):
    """z >= 0, slope >= 0, and one of them is 0."""
    rows = problems(kind, size)
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    q = np.einsum("mbn,mcn->mbc", rows, rows) + 1e-4 * np.eye(size)
    b = np.random.default_rng(0).standard_normal((MEMBERS, size))
    z = np.asarray(solve(q.astype(np.float32), b.astype(np.float32)), np.float64)
    slope = np.einsum("mbc,mc->mb", q, z) - b
    assert np.all(z >= 0)
    largest = np.abs(z).max(1, keepdims=True)
    assert np.all(slope > -1e-5 * np.maximum(largest, 1))  # z itself is rounded
    assert np.all(np.abs(np.where(z > 0, slope, 0)) < 1e-5 * np.maximum(largest, 1))


def test_a_start_elsewhere_ends_at_the_same_place():
    q = np.float32([[1.0, 0.5, 0.2], [0.5, 1.0, -0.3], [0.2, -0.3, 1.0]])
    b = np.float32([1.0, -1.0, 0.5])
    starts = np.stack(np.meshgrid(*[[False, True]] * 3), -1).reshape(-1, 3)
    from_each = jax.jit(jax.vmap(lambda q, b, start: nonnegative(q, b, start)[0], (None, None, 0)))
    found = np.asarray(from_each(q, b, starts))
    np.testing.assert_allclose(found, np.broadcast_to(found[0], found.shape), atol=1e-6)
