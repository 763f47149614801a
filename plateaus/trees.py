"""Linear algebra on pytrees, and on stacks of them whose leaves have a leading axis B."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from plateaus.types import EXACT, Array, Float, PyTree


def gram(stacked: PyTree) -> Float[Array, "B B"]:
    r"""Return the inner products of B trees, $G_{ij} = \langle g_i, g_j \rangle$.

    Every leaf is [B, ...]. Accumulated in float32 (or better) also where leaves are bfloat16.

    >>> two = {"w": jnp.array([[1.0, 2.0], [3.0, 0.0]]), "b": jnp.array([1.0, 1.0])}
    >>> jax.jit(gram)(two).tolist()
    [[6.0, 4.0], [4.0, 10.0]]
    """

    def products(leaf: Array) -> Array:
        rows = _wide(leaf).reshape(leaf.shape[0], -1)
        return jnp.matmul(rows, rows.T, precision=EXACT)

    return functools.reduce(jnp.add, map(products, jax.tree.leaves(stacked)))


def combine(stacked: PyTree, weights: Float[Array, " B"]) -> PyTree:
    r"""Return the tree $\sum_b w_b g_b$, in the dtypes of the stack, accumulated as `gram` does.

    >>> combine(jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.array([2.0, 1.0])).tolist()
    [5.0, 4.0]
    """

    def total(leaf: Array) -> Array:
        return jnp.tensordot(weights, _wide(leaf), 1, precision=EXACT).astype(leaf.dtype)

    return jax.tree.map(total, stacked)


def dot(a: PyTree, b: PyTree) -> Float[Array, ""]:
    r"""Return the inner product $\langle a, b \rangle$ of two trees.

    >>> float(dot({"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([3.0, 4.0])}))
    11.0
    """
    products = jax.tree.map(lambda x, y: jnp.vdot(_wide(x), _wide(y), precision=EXACT), a, b)
    return functools.reduce(jnp.add, jax.tree.leaves(products))


def norm(a: PyTree) -> Float[Array, ""]:
    r"""Return the Euclidean length $\sqrt{\langle a, a \rangle}$ of a tree.

    >>> float(jax.jit(norm)([jnp.array([3.0]), jnp.array(4.0)]))
    5.0
    """
    return jnp.sqrt(dot(a, a))


def cosine(gram: Float[Array, "B B"]) -> Float[Array, "B B"]:
    r"""Return $G_{ij} / \sqrt{G_{ii} G_{jj}}$, and 0 (not NaN) where a vector is zero.

    >>> jax.jit(cosine)(jnp.array([[4.0, 3.0, 0.0], [3.0, 9.0, 0.0], [0.0, 0.0, 0.0]])).tolist()
    [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    length = jnp.sqrt(jnp.diagonal(gram))
    inverse = jnp.where(length > 0, 1 / jnp.where(length > 0, length, 1), length)
    return gram * inverse[:, None] * inverse[None, :]


def _wide(leaf: Array) -> Array:
    return jnp.asarray(leaf).astype(jnp.promote_types(leaf.dtype, jnp.float32))
