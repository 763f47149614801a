"""How much of the pool is in play: a number of items, a fraction, or a part that grows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus.types import Array, Draw, Int, Key, Number, PyTree, Scalar, Signals, Source


def fraction(part: Scalar, size: Array | int) -> Int[Array, ""]:
    """Return round(part * size), at least 1; exactly `size` at part = 1, whatever the size.

    >>> import jax
    >>> int(jax.jit(fraction)(0.02, 1_000_000))
    20000
    """
    size = jnp.int32(size)
    rounded = jnp.round(jnp.float32(part) * size).astype(jnp.int32)
    return jnp.where(part >= 1.0, size, jnp.clip(rounded, 1, size))


def narrowed(source: Source, size_of: Callable[[Any, Number], Array]) -> Source:
    """Return the source on the first `size_of(knobs, size)` of its items."""
    return source._replace(prepare=lambda knobs, size: source.prepare(knobs, size_of(knobs, size)))


def subset(source: Source) -> Source:
    """Keep the first `knobs.subset` (rho) of the pool; its items being exchangeable, a random part.

    Neutral at rho = 1. Source: paper 1, section 4.1.
    """

    return narrowed(source, lambda knobs, size: fraction(knobs.subset, size))


def first_items(source: Source) -> Source:
    """Keep the first `knobs.items` of the pool: a fixed number of tasks, subjects or points.

    Neutral at any number that is not below the size of the pool. Source: paper 1, section 4.1.
    """

    return narrowed(source, lambda knobs, size: jnp.minimum(jnp.int32(knobs.items), size))


def opening(knobs: Any) -> Int[Array, ""]:
    """Return the step at which a curriculum's first stage ends, the sum of its two knobs.

    `curriculum_step` + `curriculum_multiple` * `plateau_steps`, in optimiser steps: so that it can
    be given as it is or relative to the plateau of the baseline.
    """
    relative = jnp.round(jnp.float32(knobs.curriculum_multiple) * knobs.plateau_steps)
    return knobs.curriculum_step + relative.astype(jnp.int32)


class _Growth(NamedTuple):
    knobs: Any
    size: Int[Array, ""]  # at the end
    switch: Int[Array, ""]
    stage_steps: Int[Array, ""]


def _in_play(plan: _Growth, t: Array | int) -> Int[Array, ""]:
    """Return how many items are in play at step t, without ever leaving int32."""
    start = jnp.minimum(jnp.int32(plan.knobs.curriculum_start), plan.size)
    times = jnp.clip(1 + (t - plan.switch) // plan.stage_steps, 1, 31)
    grown = jnp.where(start <= plan.size >> times, start << times, plan.size)
    grows = (plan.knobs.curriculum_doubling > 0) & (plan.switch > 0)
    later = jnp.where(grows, grown, plan.size)
    return jnp.where(t < plan.switch, start, later)


class _Stages(NamedTuple):
    before: PyTree
    after: PyTree
    switch: Int[Array, ""]


def _two_stages(source: Source) -> Source:
    """Return `curriculum` without doublings: two sizes, for which sources prepare beforehand."""

    def prepare(knobs: Any, size: Number) -> _Stages:
        few = jnp.minimum(jnp.int32(knobs.curriculum_start), size)
        return _Stages(source.prepare(knobs, few), source.prepare(knobs, size), opening(knobs))

    def chosen(plan: _Stages, t: Number, before: PyTree, after: PyTree) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(t < plan.switch, a, b), before, after)

    def draw(key: Key, state: Any, plan: _Stages, t: Number) -> Draw:
        before = source.draw(key, state, plan.before, t)
        return chosen(plan, t, before, source.draw(key, state, plan.after, t))

    def log_prob(plan: _Stages, index: Array, t: Number) -> Array:
        before, after = (source.log_prob(p, index, t) for p in (plan.before, plan.after))
        return chosen(plan, t, before, after)

    def observe(state: Any, signals: Signals, plan: _Stages, t: Number) -> Any:
        return source.observe(state, signals, chosen(plan, t, plan.before, plan.after), t)

    return source._replace(prepare=prepare, draw=draw, log_prob=log_prob, observe=observe)


def curriculum(source: Source, doubles: bool = True) -> Source:
    r"""Train on the first `curriculum_start` items, and later on more; all are kept.

    From step S (see `opening`) on all N items are in play. With `curriculum_doubling` they are
    twice as many, and so on: $M(t) = \min(N, 2^{1 + \lfloor (t - S) / D \rfloor} M_0)$, with
    D = round(`curriculum_doubling` * S), at least one step. Neutral at S = 0, and where the first
    stage has all items.

    `doubles`: whether `curriculum_doubling` is in use. What the sources inside prepare depends on
    the size, and is then prepared anew in each step: cheap for uniform draws, not for a Zipf law.

    Source: paper 1, appendix A (32 tasks for 30 "steps", then doubled every 20).
    """
    if not doubles:
        return _two_stages(source)

    def prepare(knobs: Any, size: Number) -> _Growth:
        switch = opening(knobs)
        stage_steps = jnp.round(jnp.float32(knobs.curriculum_doubling) * switch.astype(jnp.float32))
        longest = jnp.float32(2**30)  # a longer stage than any run: what is cast must fit int32
        return _Growth(
            knobs=knobs,
            size=jnp.int32(size),
            switch=switch,
            stage_steps=jnp.clip(stage_steps, 1, longest).astype(jnp.int32),
        )

    def now(plan: _Growth, t: Number) -> PyTree:
        return source.prepare(plan.knobs, _in_play(plan, t))

    def draw(key: Key, state: Any, plan: _Growth, t: Number) -> Draw:
        return source.draw(key, state, now(plan, t), t)

    def log_prob(plan: _Growth, index: Array, t: Number) -> Array:
        return source.log_prob(now(plan, t), index, t)

    def observe(state: Any, signals: Signals, plan: _Growth, t: Number) -> Any:
        return source.observe(state, signals, now(plan, t), t)

    return source._replace(prepare=prepare, draw=draw, log_prob=log_prob, observe=observe)
