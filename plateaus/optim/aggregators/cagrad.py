"""CAGrad: near the mean gradient, the direction along which the worst-off loss falls fastest."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plateaus.optim.aggregators.guard import stateless
from plateaus.optim.aggregators.quadratic import per_trace, shortest
from plateaus.types import Aggregator, Scalar

HALVINGS = 30
STATIONARY = 1e-4  # TorchJD's norm_eps: a combination as short as this, of trace 1, is none


def cagrad(c: Scalar = 0.5) -> Aggregator:
    r"""Raise the least $g_b \cdot d$ within $\lVert d - g_0 \rVert \le c \lVert g_0 \rVert$.

    With $g_0$ the mean and $g_w = \sum_b w_b g_b$:
    $$d = g_0 + c \lVert g_0 \rVert \frac{g_w}{\lVert g_w \rVert}, \qquad
    w = \arg\min_{w \ge 0, \, 1^\top w = 1} g_0 \cdot g_w + c \lVert g_0 \rVert \lVert g_w \rVert$$
    A *mean*: not divided by 1 + c, so equal gradients give (1 + c) times their mean. It conflicts
    with no gradient if c >= 1. All weights are 0 where $g_w$ vanishes (a Pareto-stationary point).
    Weights do not change with the gradients' common scale. Neutral at c = 0: the mean, bit for bit.

    Args:
      c: radius of the ball in lengths of the mean gradient, at least 0; may be traced.

    Source: Liu et al. 2021 (arXiv 2110.14048), equation 4 and algorithm 1; scale and zero weights
    as in TorchJD's CAGrad (whose c has no default; 0.5 is the paper's).

    >>> jax.jit(cagrad(c=0.5).update)(jnp.eye(2), ())[0].tolist()
    [0.75, 0.75]
    """

    def weigh(gram):
        gram = per_trace(gram)
        size = len(gram)
        with_mean = jnp.mean(gram, axis=1)
        square = jnp.maximum(jnp.mean(with_mean), 0)
        radius = c * jnp.sqrt(square)

        def nearest(length):
            # |g_w| is the least of (|g_w|^2 / s + s) / 2 over s; for a given s, the length,
            # w is the shortest combination of radius g_b + s g_0
            mixed = radius * length * (with_mean[:, None] + with_mean[None, :])
            w = shortest(radius**2 * gram + mixed + length**2 * square)
            return w, jnp.sqrt(jnp.maximum(w @ gram @ w, 0))

        def halve(carry, _):  # convex in s: its slope has the sign of s - |g_w|
            low, high, *_ = carry
            middle = (low + high) / 2
            w, length = nearest(middle)
            longer = length > middle
            return (
                jnp.where(longer, middle, low),
                jnp.where(longer, high, middle),
                w,
                length,
            ), None

        zero, most = jnp.float32(0), jnp.sqrt(jnp.max(jnp.diagonal(gram)))
        first = (zero, most, jnp.zeros(size, gram.dtype), zero)
        *_, w, length = jax.lax.scan(halve, first, length=HALVINGS)[0]
        moving = length >= STATIONARY
        conflict_averse = 1 / size + radius * w / jnp.where(moving, length, 1)
        return jnp.where(c == 0, 1 / size, jnp.where(moving, conflict_averse, 0))

    return stateless(weigh)
