"""What plain learners say of a prompt in context: every y_i from the points before it, and causal.

Each is `(x [n, d], y [n]) -> [n]`, all prefix lengths at once by masks, 0 for the first point. They
know nothing of the law of the prompts, unlike `plateaus.tasks.shared.predictors`; those of
scikit-learn are in `plateaus.tasks.shared.baselines_scikit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import optax

from plateaus.tasks.shared.predictors import FULL
from plateaus.types import Array, Float, Key

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

    def one(i: Array) -> Array:
        there = (jnp.arange(x.shape[0]) < i).astype(x.dtype)
        u, s, v = jnp.linalg.svd(there[:, None] * x, full_matrices=False)
        kept = s > cut * s[0]
        inverse = jnp.where(kept, 1.0 / jnp.where(kept, s, 1.0), 0.0)
        w = jnp.dot(inverse * jnp.dot(there * y, u, precision=FULL), v, precision=FULL)
        return jnp.dot(x[i], w, precision=FULL)

    return jax.lax.map(one, jnp.arange(x.shape[0]))


def nearest_neighbours(k: int = 3, *, weighted: bool = False) -> Baseline:
    """Return: predict by the mean y of the k nearest points before, or of all if there are fewer.

    The earlier of two points at the same distance is the nearer. With `weighted` the mean is
    weighted by 1 / distance, and a point at distance 0 (all of them, if several) is all there is.

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
        if weighted:
            near = jnp.take_along_axis(distance, order, axis=1)
            same = weights * (near == 0.0)
            shares = weights / jnp.where(near == 0.0, 1.0, near)
            weights = jnp.where(jnp.any(same > 0, axis=1, keepdims=True), same, shares)
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
    products = jnp.dot(x, x.T, precision=FULL) * _before(x.shape[0])
    return jnp.dot(products, y, precision=FULL) / count


def gradient_descent(*, steps: int = 50, rate: float = 0.1) -> Baseline:
    r"""Return: predict by a linear w after some steps of gradient descent from 0 on the prefix.

    $w \leftarrow w + \frac{\eta}{i} \sum_{j<i} (y_j - w^T x_j) x_j$: the gradient of half the mean
    squared error, over all points before. It converges, to `least_squares`, if eta is below 2 over
    the largest eigenvalue of $X_{<i}^T X_{<i} / i$; one step is eta times `averaging`.

    Source: after the digest of Garg et al. 2022 (there a net: `gradient_descent_net`).

    >>> predict = jax.jit(gradient_descent(steps=2, rate=0.5))
    >>> predict(jnp.ones((2, 1)), jnp.array([4.0, 0.0])).tolist()
    [0.0, 3.0]
    """

    def predict(x: Float[Array, "n d"], y: Float[Array, " n"]) -> Float[Array, " n"]:
        before = _before(x.shape[0])
        pace = rate / jnp.maximum(jnp.arange(x.shape[0]), 1)

        def step(_: Array, w: Array) -> Array:  # [n, d], a w for each prefix
            error = before * (y[None, :] - jnp.dot(w, x.T, precision=FULL))
            return w + pace[:, None] * jnp.dot(error, x, precision=FULL)

        w = jax.lax.fori_loop(0, steps, step, jnp.zeros_like(x))
        return jnp.sum(w * x, axis=1)

    return predict


def gradient_descent_net(
    key: Key, *, hidden: int = 100, steps: int = 100, rate: float = 5e-3
) -> Baseline:
    r"""Return: predict by a ReLU net of two layers that Adam has fitted to the points before.

    $f(x) = a^T \max(0, W x + b) + c$, from weights uniform on +-1/sqrt(fan-in), the same for every
    prefix and, unless keys are mapped over, every prompt. Full batches (of up to 100 points, Garg's
    are, too).

    Source: Garg et al. 2022 (arXiv 2208.01066), section 4 and appendix A: 100 units, 100 steps of
    Adam at 5e-3.

    >>> predict = gradient_descent_net(jax.random.key(0), hidden=8, steps=300, rate=0.03)
    >>> x, y = jnp.array([[1.0], [-1.0], [1.0]]), jnp.array([1.0, -2.0, 0.0])
    >>> [round(float(p), 1) for p in jax.jit(predict)(x, y)[::2]]
    [0.0, 1.0]
    """
    adam = optax.adam(rate)

    def start(d: int) -> tuple[Array, ...]:
        shapes, spans = ((hidden, d), (hidden,), (hidden,), ()), (d, d, hidden, hidden)
        keys = [jax.random.fold_in(key, i) for i in range(4)]  # the key may serve again
        return tuple(
            jax.random.uniform(one, shape, minval=-1.0, maxval=1.0) / span**0.5
            for one, shape, span in zip(keys, shapes, spans, strict=True)
        )

    def net(params: tuple[Array, ...], x: Array) -> Array:
        inner, bias, outer, shift = params
        units = jax.nn.relu(jnp.dot(x, inner.T, precision=FULL) + bias[None, :])
        return jnp.dot(units, outer, precision=FULL) + shift

    def predict(x: Float[Array, "n d"], y: Float[Array, " n"]) -> Float[Array, " n"]:
        params = start(x.shape[1])

        def one(i: Array) -> Array:
            there = jnp.arange(x.shape[0]) < i

            def loss(params: tuple[Array, ...]) -> Array:
                errors = jnp.where(there, jnp.square(net(params, x) - y), 0.0)
                return jnp.sum(errors) / jnp.maximum(i, 1)

            def step(_: Array, carry: tuple) -> tuple:
                params, state = carry
                updates, state = adam.update(jax.grad(loss)(params), state)
                return optax.apply_updates(params, updates), state

            fitted, _ = jax.lax.fori_loop(0, steps, step, (params, adam.init(params)))
            return jnp.where(i > 0, net(fitted, x)[i], 0.0)

        return jax.lax.map(one, jnp.arange(x.shape[0]))

    return predict
