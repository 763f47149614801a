"""The clipping of gradients against optax's, and where optax's would divide by zero."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plateaus.optim.clipping import clip_norm

GRADIENT = {"w": np.float32([[3.0, 0.0], [0.0, -4.0]]), "b": [np.float32(12.0)]}  # of norm 13


def length(tree):
    return np.sqrt(sum(np.sum(np.square(np.float64(leaf))) for leaf in jax.tree.leaves(tree)))


@jax.jit
def clipped(most, gradient):
    return clip_norm(most).update(gradient, optax.EmptyState())[0]


@jax.jit
def clipped_by_optax(most, gradient):
    return optax.clip_by_global_norm(most).update(gradient, optax.EmptyState())[0]


@pytest.mark.parametrize("most", (1e-6, 0.1, 1.0, 12.9, 13.1, 1e6))
def test_it_is_that_of_optax(most):
    expected = clipped_by_optax(np.float32(most), GRADIENT)
    found = clipped(np.float32(most), GRADIENT)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, expected)
    np.testing.assert_allclose(length(found), min(most, 13.0), rtol=1e-6)


@pytest.mark.parametrize("most", (0.0, 13.1))
def test_a_short_gradient_comes_out_bit_for_bit(most):
    jax.tree.map(np.testing.assert_array_equal, clipped(np.float32(most), GRADIENT), GRADIENT)


def test_bounds_are_mapped():
    mapped = jax.jit(jax.vmap(clipped, (0, None)))
    found = jax.tree.map(np.asarray, mapped(np.float32([0.0, 1.0, 6.5, 26.0]), GRADIENT))
    lengths = [length(jax.tree.map(lambda leaf, i=i: leaf[i], found)) for i in range(4)]
    np.testing.assert_allclose(lengths, [13.0, 1.0, 6.5, 13.0], rtol=1e-6)


@pytest.mark.parametrize("most", (0.0, 1.0))
def test_zero_stays_zero(most):
    """Operation by operation: no NaN is even computed and thrown away."""
    zero = jax.tree.map(jnp.zeros_like, GRADIENT)
    with jax.debug_nans(True):
        found, _ = clip_norm(jnp.float32(most)).update(zero, optax.EmptyState())
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("bad", (np.nan, np.inf))
def test_what_is_not_finite_is_seen(bad):
    found = clipped(np.float32(1.0), GRADIENT | {"b": [np.float32(bad)]})
    assert np.isnan(found["b"][0])


def test_half_precision_stays():
    found = clipped(np.float32(1.0), np.ones(4096, jnp.bfloat16))
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, np.full(4096, 1 / 64, jnp.bfloat16))
