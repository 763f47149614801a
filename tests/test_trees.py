"""Linear algebra on trees against one flat matrix, in float64."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.trees import combine, cosine, dot, gram, norm

# as roundings are written: the compiler may else leave out those between two wider numbers
as_written = functools.partial(jax.jit, compiler_options={"xla_allow_excess_precision": False})
SHAPES = {"w": (3, 4), "b": (), "deep": [(2,), (1, 1, 5)]}


def stack_of(size, dtype=jnp.float32, seed=0):
    rng = np.random.default_rng(seed)
    shapes = jax.tree.leaves(SHAPES, is_leaf=lambda x: isinstance(x, tuple))
    leaves = [np.asarray(rng.standard_normal((size, *shape)), dtype) for shape in shapes]
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
    weights = np.linspace(-1, 2, size, dtype=np.float32)
    found, total = as_written(lambda tree, weights: (gram(tree), combine(tree, weights)))(
        stacked, weights
    )
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, rows @ rows.T, rtol=1e-5, atol=1e-5)
    assert {leaf.dtype for leaf in jax.tree.leaves(total)} == {jnp.dtype(dtype)}
    expected = np.asarray(weights, np.float64) @ rows
    rounded = matrix(jax.tree.map(lambda x: np.asarray(x)[None], total))[0]
    rtol = 1e-5 if dtype == jnp.float32 else 2**-8
    np.testing.assert_allclose(rounded, expected, rtol=rtol, atol=1e-5)


def test_long_bfloat16_gradients_are_summed_in_float32():
    products, product = as_written(lambda x: (gram(x), dot(x, x)))(
        np.ones((2, 2**14), jnp.bfloat16)
    )
    np.testing.assert_array_equal(products, np.full((2, 2), 2.0**14))
    assert product == 2.0**15


def test_dot_and_norm():
    a, b = stack_of(3, seed=1), stack_of(3, seed=2)
    product, length = jax.jit(lambda a, b: (dot(a, b), norm(a)))(a, b)
    np.testing.assert_allclose(product, np.vdot(matrix(a), matrix(b)), rtol=1e-5)
    np.testing.assert_allclose(length, np.linalg.norm(matrix(a)), rtol=1e-5)


def test_the_combination_has_the_length_that_the_gram_matrix_says():
    weights = np.float32([1.0, -2.0, 0.5, 0.0, 3.0])
    of = jax.jit(lambda tree, weights: (norm(combine(tree, weights)), gram(tree)))
    length, products = map(np.asarray, of(stack_of(5), weights))
    np.testing.assert_allclose(length**2, weights @ products @ weights, rtol=1e-5)


@jax.jit
def cosines(tree):
    return cosine(gram(tree))


def test_cosine():
    stacked = stack_of(4)
    rows = matrix(stacked)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(cosines(stacked), unit @ unit.T, atol=1e-6)


@pytest.mark.parametrize("scale", (1.0, 1e-15, 1e15))
def test_cosine_of_zero_tiny_and_huge_vectors(scale):
    rows = np.float32(scale * np.array([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]]))
    np.testing.assert_allclose(cosines(rows), [[1, 0, -1], [0, 0, 0], [-1, 0, 1]], atol=1e-6)


def test_under_vmap_over_runs():
    runs = jax.tree.map(lambda *x: np.stack(x), stack_of(4, seed=0), stack_of(4, seed=1))
    weighed = lambda tree: combine(tree, gram(tree)[0])  # noqa: E731
    found = jax.tree.map(np.asarray, jax.jit(jax.vmap(weighed))(runs))
    one = jax.jit(weighed)
    for run in range(2):
        chex.assert_trees_all_close(
            jax.tree.map(lambda x, run=run: x[run], found),
            one(stack_of(4, seed=run)),
            rtol=1e-5,
        )
