"""Schedules of the learning rate, traced, so that they can be swept.

optax's own branch in Python on their lengths, which fails where a length is traced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from plateaus.types import Array, Scalar

SHAPES: dict[str, Callable[[Array], Array]] = {
    "linear": lambda share: share,
    "cosine": lambda share: (1 - jnp.cos(jnp.pi * share)) / 2,
}
"""The shapes of a decay: the share of its steps that are left -> the factor of the rate."""


class ScheduleState(NamedTuple):
    """How many updates there have been."""

    count: Array  # type: ignore[assignment] # shadowing tuple.count, as optax does


def warm_up(steps: Scalar) -> optax.GradientTransformation:
    r"""Multiply update t, counted from 0, by $\min(1, (t + 1) / W)$: a linear warm-up of W steps.

    Put it last in a chain: what Adam makes of a gradient hardly depends on the gradient's scale.
    W may be traced. Neutral at W = 0 (and at 1): the updates come out bit for bit.

    Source: Goyal et al., arXiv 1706.02677, section 2.2 (there from a rate above 0).

    >>> optimiser = optax.chain(optax.sgd(1.0), warm_up(4))
    >>> updates, _ = jax.jit(optimiser.update)(jnp.ones(()), optimiser.init(jnp.ones(())))
    >>> float(updates)
    -0.25
    """
    return _multiplied(lambda t: jnp.minimum(1.0, (t + 1) / jnp.maximum(steps, 1)))


def decay(start: Scalar, steps: Scalar, shape: str = "linear") -> optax.GradientTransformation:
    r"""Multiply update t, counted from 0, by $1 - (t - s) / D$, held in [0, 1]: a linear decay.

    A "cosine" decay multiplies by $(1 - \cos \pi q) / 2$ where a linear one does by q. Update s is
    the last whole one, update s + D - 1 has q = 1 / D, and from s + D on all are zero. So the decay
    of the last D of S steps has s = S - D and no zero among them: a linear one is warm_up(D)
    backwards. Warm-up, stable, decay is `optax.chain(family, warm_up(W), decay(S - D, D))`. Put it
    last in a chain. Start and steps may be traced.
    Neutral at D = 0, whatever s: the updates come out bit for bit.

    Args:
      start: s, the updates before the first of the D.
      steps: D, the length of the decay.
      shape: "linear" or "cosine".

    Source: Hu et al. 2024 (MiniCPM), arXiv 2404.06395, section 4 (warm-up, stable, decay; there
    the decay is exponential); Loshchilov and Hutter 2017, arXiv 1608.03983, equation 5 (cosine).

    >>> optimiser = optax.chain(optax.sgd(1.0), decay(start=1, steps=2))
    >>> state, taken, update = optimiser.init(jnp.ones(())), [], jax.jit(optimiser.update)
    >>> for _ in range(4):
    ...     updates, state = update(jnp.ones(()), state)
    ...     taken.append(float(updates))
    >>> taken
    [-1.0, -1.0, -0.5, -0.0]
    """

    def factor(t: Array) -> Array:
        remaining = steps - jnp.maximum(t - start, 0)
        share = jnp.maximum(remaining, 0) / jnp.maximum(steps, 1)
        return jnp.where(steps == 0, 1.0, SHAPES[shape](share))

    return _multiplied(factor)


def _multiplied(factor: Callable[[Array], Array]) -> optax.GradientTransformation:
    """Multiply update t, counted from 0, by `factor` of t."""

    def init(params):
        del params
        return ScheduleState(jnp.int32(0))

    def update(updates, state, params=None):
        del params
        now = factor(state.count)
        scaled = jax.tree.map(lambda u: (now * u).astype(u.dtype), updates)
        return scaled, ScheduleState(state.count + 1)

    return optax.GradientTransformation(init, update)
