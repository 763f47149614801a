"""What every aggregator does: it answers NaN with NaN, so that a divergence is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from plateaus.types import Aggregator, Array, Float, Key, PyTree


def loud(gram: Float[Array, "B B"], weights: Float[Array, " B"]) -> Float[Array, " B"]:
    """Return the weights; all NaN where an inner product is NaN or infinite.

    Otherwise a solver might give a broken example weight 0 and go on with the rest. Squared lengths
    above the largest float (gradients longer than 1.8e19) count as broken too.

    >>> import jax
    >>> jax.jit(loud)(jnp.array([[1.0, jnp.nan], [jnp.nan, 1.0]]), jnp.ones(2)).tolist()
    [nan, nan]
    """
    return jnp.where(jnp.isfinite(gram).all(), weights, jnp.nan)


def stateless(weigh: Callable[[Array], Array]) -> Aggregator:
    """Return the aggregator of a function gram [B, B] -> weights [B], guarded, in float32.

    >>> double = stateless(lambda gram: jnp.full(len(gram), 2.0))
    >>> import jax
    >>> jax.jit(double.update)(jnp.eye(3), double.init(3))[0].tolist()
    [2.0, 2.0, 2.0]
    """

    def update(gram: Array, state: Any, *, key: Key | None = None) -> tuple[Array, PyTree]:
        del key
        gram = jnp.asarray(gram, jnp.float32)
        return loud(gram, weigh(gram)), state

    return Aggregator(lambda size: (), update)
