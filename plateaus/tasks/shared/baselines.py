"""Plain learners as predictors in context: each predicts every y_i from the points before it.

Each is `(x [n, d], y [n]) -> [n]`, all prefix lengths at once by masks, 0 for the first point. They
know nothing of the law of the prompts, unlike `plateaus.tasks.shared.predictors`; those of
scikit-learn are in `plateaus.tasks.shared.baselines_scikit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from plateaus.types import EXACT, Array, Float

Baseline: TypeAlias = Callable[[Float[Array, "n d"], Float[Array, " n"]], Float[Array, " n"]]


def _before(n: int) -> Float[Array, "n n"]:
    """Return the mask whose row i has ones at the points before i."""
    return jnp.tril(jnp.ones((n, n), jnp.float32), -1)


def least_squares(x: Float[Array, "n d"], y: Float[Array, " n"]) -> Float[Array, " n"]:
    r"""Predict by the shortest of all w that fit the points before best.

    $\hat w = X_{<i}^+ y_{<i}$, by a singular value decomposition of each prefix, whose singular
    values below `eps max(n, d)` times the largest are 0: as sound for repeated points, or points in
    a subspace, as for points in general position. One prefix at a time, for the memory.

    Source: Garg et al. 2022 (arXiv 2208.01066), section 3.1.

    >>> x, y = jnp.array([[1.0, 0.0], [1.0, 0.0], [2.0, 5.0]]), jnp.array([3.0, 5.0, 0.0])
    >>> [round(float(p), 4) for p in least_squares(x, y)]
    [0.0, 3.0, 8.0]
    """
    cut = jnp.finfo(x.dtype).eps * max(x.shape)

    def predict(i: Array) -> Array:
        before = (jnp.arange(x.shape[0]) < i).astype(x.dtype)
        u, s, v = jnp.linalg.svd(before[:, None] * x, full_matrices=False)
        kept = s > cut * s[0]
        inverse = jnp.where(kept, 1.0 / jnp.where(kept, s, 1.0), 0.0)
        w = jnp.dot(inverse * jnp.dot(before * y, u, precision=EXACT), v, precision=EXACT)
        return jnp.dot(x[i], w, precision=EXACT)

    return jax.lax.map(predict, jnp.arange(x.shape[0]))


def nearest_neighbours(k: int = 3) -> Baseline:
    """Return: predict by the mean y of the k nearest points before, or of all if there are fewer.

    The earlier of two points at the same distance is the nearer.

    Source: Garg et al. 2022 (arXiv 2208.01066), section 3.1: k = 3, not weighted.

    >>> x, y = jnp.array([[0.0], [1.0], [5.0], [4.0]]), jnp.array([2.0, 4.0, 8.0, 0.0])
    >>> jax.jit(nearest_neighbours(2))(x, y).tolist()
    [0.0, 2.0, 3.0, 6.0]
    """

    def predict(x: Float[Array, "n d"], y: Float[Array, " n"]) -> Float[Array, " n"]:
        before = _before(x.shape[0])
        distance = jnp.sqrt(jnp.sum(jnp.square(x[:, None, :] - x[None, :, :]), axis=2))
        order = jnp.argsort(jnp.where(before > 0, distance, jnp.inf), axis=1)[:, :k]
        weights = jnp.take_along_axis(before, order, axis=1)
        total = jnp.sum(weights, axis=1)
        return jnp.sum(weights * y[order], axis=1) / jnp.where(total > 0, total, 1.0)

    return predict


def averaging(x: Float[Array, "n d"], y: Float[Array, " n"]) -> Float[Array, " n"]:
    r"""Predict by $\hat w = \frac{1}{i} \sum_{j<i} y_j x_j$: right on average if x ~ N(0, I).

    Source: Garg et al. 2022 (arXiv 2208.01066), section 3.1.

    >>> jax.jit(averaging)(jnp.array([[1.0], [2.0], [2.0]]), jnp.array([1.0, 2.0, 0.0])).tolist()
    [0.0, 2.0, 5.0]
    """
    count = jnp.maximum(jnp.arange(x.shape[0]), 1).astype(x.dtype)
    products = jnp.dot(x, x.T, precision=EXACT) * _before(x.shape[0])
    return jnp.dot(products, y, precision=EXACT) / count
