"""Linear algebra on trees against one flat matrix, in float64."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.trees import combine, cosine, dot, gram, norm

SHAPES = {"w": (3, 4), "b": (), "deep": [(2,), (1, 1, 5)]}


def stack_of(size, dtype=jnp.float32, seed=0):
    rng = np.random.default_rng(seed)
    shapes = jax.tree.leaves(SHAPES, is_leaf=lambda x: isinstance(x, tuple))
    leaves = [jnp.asarray(rng.standard_normal((size, *shape)), dtype) for shape in shapes]
    structure = jax.tree.structure(SHAPES, is_leaf=lambda x: isinstance(x, tuple))
    return jax.tree.unflatten(structure, leaves)


def matrix(stacked):
    size = jax.tree.leaves(stacked)[0].shape[0]
    return np.concatenate(
        [np.asarray(x, np.float64).reshape(size, -1) for x in jax.tree.leaves(stacked)], axis=1
    )


@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))
@pytest.mark.parametrize("size", (1, 2, 7))
def test_gram_and_combination(size, dtype):
    """In bfloat16 the products are exact, and the sums are in float32: 8 bits would be 1e-2 off."""
    stacked, rows = stack_of(size, dtype), matrix(stack_of(size, dtype))
    found = gram(stacked)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, rows @ rows.T, rtol=1e-5, atol=1e-5)
    weights = jnp.linspace(-1, 2, size)
    total = combine(stacked, weights)
    assert {leaf.dtype for leaf in jax.tree.leaves(total)} == {jnp.dtype(dtype)}
    expected = np.asarray(weights, np.float64) @ rows
    rounded = matrix(jax.tree.map(lambda x: x[None], total))[0]
    rtol = 1e-5 if dtype == jnp.float32 else 2**-8
    np.testing.assert_allclose(rounded, expected, rtol=rtol, atol=1e-5)


def test_long_bfloat16_gradients_are_summed_in_float32():
    ones = jnp.ones((2, 2**14), jnp.bfloat16)
    np.testing.assert_array_equal(gram(ones), np.full((2, 2), 2.0**14))
    assert dot(ones, ones) == 2.0**15


def test_dot_and_norm():
    a, b = stack_of(3, seed=1), stack_of(3, seed=2)
    np.testing.assert_allclose(dot(a, b), np.vdot(matrix(a), matrix(b)), rtol=1e-5)
    np.testing.assert_allclose(norm(a), np.linalg.norm(matrix(a)), rtol=1e-5)


def test_the_combination_has_the_length_that_the_gram_matrix_says():
    stacked, weights = stack_of(5), jnp.array([1.0, -2.0, 0.5, 0.0, 3.0])
    np.testing.assert_allclose(
        norm(combine(stacked, weights)) ** 2, weights @ gram(stacked) @ weights, rtol=1e-5
    )


def test_cosine():
    stacked = stack_of(4)
    rows = matrix(stacked)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(cosine(gram(stacked)), unit @ unit.T, atol=1e-6)


@pytest.mark.parametrize("scale", (1.0, 1e-15, 1e15))
def test_cosine_of_zero_tiny_and_huge_vectors(scale):
    rows = scale * jnp.array([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]])
    found = cosine(gram(rows))
    np.testing.assert_allclose(found, [[1, 0, -1], [0, 0, 0], [-1, 0, 1]], atol=1e-6)


def test_under_vmap_over_runs():
    runs = jax.tree.map(lambda *x: jnp.stack(x), stack_of(4, seed=0), stack_of(4, seed=1))
    found = jax.vmap(lambda tree: combine(tree, gram(tree)[0]))(runs)
    for run in range(2):
        alone = stack_of(4, seed=run)
        chex.assert_trees_all_close(
            jax.tree.map(lambda x, run=run: x[run], found),
            combine(alone, gram(alone)[0]),
            rtol=1e-5,
        )
