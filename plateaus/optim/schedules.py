"""Schedules of the learning rate, traced, so that they can be swept.

optax's own branch in Python on their lengths, which fails where a length is traced.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from plateaus.types import Array, Scalar


class WarmUpState(NamedTuple):
    """How many updates there have been."""

    count: Array  # type: ignore[assignment] # shadowing tuple.count, as optax does


def warm_up(steps: Scalar) -> optax.GradientTransformation:
    r"""Multiply update t, counted from 0, by $\min(1, (t + 1) / W)$: a linear warm-up of W steps.

    Put it last in a chain: what Adam makes of a gradient hardly depends on the gradient's scale.
    W may be traced. Neutral at W = 0 (and at 1): the updates come out bit for bit.

    Source: Goyal et al., arXiv 1706.02677, section 2.2 (there from a rate above 0).

    >>> optimiser = optax.chain(optax.sgd(1.0), warm_up(4))
    >>> updates, _ = optimiser.update(jnp.ones(()), optimiser.init(jnp.ones(())))
    >>> float(updates)
    -0.25
    """

    def init(params):
        del params
        return WarmUpState(jnp.int32(0))

    def update(updates, state, params=None):
        del params
        factor = jnp.minimum(1.0, (state.count + 1) / jnp.maximum(steps, 1))
        scaled = jax.tree.map(lambda u: (factor * u).astype(u.dtype), updates)
        return scaled, WarmUpState(state.count + 1)

    return optax.GradientTransformation(init, update)
