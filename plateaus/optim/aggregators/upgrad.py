"""UPGrad: each gradient is projected on the cone of directions that conflict with none."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plateaus.optim.aggregators.guard import stateless
from plateaus.optim.aggregators.quadratic import nonnegative, per_trace
from plateaus.types import Aggregator, Scalar


def upgrad(ridge: Scalar = 1e-4) -> Aggregator:
    r"""Average the projections of the gradients on the dual cone.

    It is the cone of the x with $g_b \cdot x \ge 0$ for all b.

    With e_i the unit vectors and $Q = G / \operatorname{tr} G + \text{ridge} \cdot I$:
    $$w = \sum_i \arg\min_{v \ge e_i / B} v^\top Q v$$
    A *mean*. It conflicts with no gradient beyond the ridge: $Q w \ge 0$. Weights do not change
    with the gradients' common scale. Neutral where no two gradients conflict: it is the mean.

    Args:
      ridge: added to the Gram matrix of trace 1; above 1e-5, as rounding needs; may be traced.

    Source: Quinton and Rey 2024 (arXiv 2406.16232), proposition 1; the ridge and the mean are
    TorchJD's UPGrad (whose norm_eps, which ignores gradients shorter than 1e-2, is left out).

    >>> jax.jit(upgrad().update)(jnp.array([[1.0, 0.5], [0.5, 1.0]]), ())[0].tolist()
    [0.5, 0.5]
    """

    def weigh(gram):
        unit = jnp.eye(len(gram), dtype=gram.dtype)
        q = per_trace(gram) + ridge * unit
        scale = jax.lax.rsqrt(jnp.diagonal(q))  # of diagonal 1: lengths may differ
        even = q * scale[:, None] * scale[None, :]

        def added(slope):  # v = e_i / B + z with z >= 0
            return scale * nonnegative(even, -scale * slope / len(gram), unit[0] > 1)[0]

        return 1 / len(gram) + jnp.sum(jax.vmap(added)(q), axis=0)

    return stateless(weigh)
