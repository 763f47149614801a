"""Sources to start from: uniform draws with replacement, whole batches, epochs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from plateaus.data.permutation import permute
from plateaus.types import Array, Draw, Key, Number, Source


def _uniform_log_prob(plan: Array, index: Array, t: object) -> Array:
    return jnp.where((index >= 0) & (index < plan), -jnp.log(plan.astype(jnp.float32)), -jnp.inf)


def _uniform(draw: Callable[..., Draw]) -> Source:
    """Return the source of draws from all items alike; its plan is their number."""
    return Source(
        init=lambda key: (),
        prepare=lambda knobs, size: jnp.int32(size),
        draw=draw,
        log_prob=_uniform_log_prob,
        observe=lambda state, signals, plan, t: state,
    )


def uniform(batch: int) -> Source:
    """Draw `batch` items of the pool a step, uniformly, with replacement.

    Integers all the way: a float32 uniform could not tell more than 2^24 items apart.

    >>> source = uniform(batch=4)
    >>> plan = source.prepare(None, 10)
    >>> jax.jit(source.draw)(jax.random.key(0), (), plan, 0).index.shape
    (4,)
    """

    def draw(key: Key, state: object, plan: Number, t: Number) -> Draw:
        index = jax.random.randint(jax.random.fold_in(key, t), (batch,), 0, plan)
        return Draw(index, jnp.zeros_like(index))

    return _uniform(draw)


def epochs(batch: int) -> Source:
    """Draw every item of the pool once an epoch, in a new order each epoch.

    Step t takes the positions t * batch + (0 .. batch - 1) of the endless sequence of epochs; a
    batch may straddle two of them. The order is a keyed permutation, so the size may be traced.

    Units: t * batch must stay below 2^31.
    """

    def draw(key: Key, state: object, plan: Number, t: Number) -> Draw:
        position = t * batch + jnp.arange(batch, dtype=jnp.int32)
        epoch, place = position // plan, position % plan
        orders = jax.random.fold_in(key, 0)  # the same at every step
        index = jax.vmap(permute, (None, 0, None, 0))(orders, place, plan, epoch)
        return Draw(index, jnp.zeros_like(index))

    return _uniform(draw)


def whole_batches(source: Source, batch: int) -> Source:
    """Let `source` draw one *batch* of the pool a step, out of size // batch fixed ones.

    Batch number i holds the items i * batch .. (i + 1) * batch - 1. An intervention inside (Zipf)
    then acts on batches, not on items.
    """

    def prepare(knobs: Any, size: Number) -> Any:
        return source.prepare(knobs, jnp.maximum(size // batch, 1))

    def draw(key: Key, state: Any, plan: Any, t: Number) -> Draw:
        number = source.draw(key, state, plan, t).index
        index = (number[:, None] * batch + jnp.arange(batch, dtype=jnp.int32)[None, :]).reshape(-1)
        return Draw(index, jnp.zeros_like(index))

    def log_prob(plan: Any, index: Array, t: Number) -> Array:
        return source.log_prob(plan, index // batch, t) - jnp.log(jnp.float32(batch))

    return source._replace(prepare=prepare, draw=draw, log_prob=log_prob)
