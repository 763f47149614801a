"""How much of the pool is in play: a fixed fraction, or one that grows during training."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from plateaus.types import Array, Int, Scalar, Source


def fraction(part: Scalar, size: Array | int) -> Int[Array, ""]:
    """Return round(part * size), at least 1; exactly `size` at part = 1, whatever the size.

    >>> int(fraction(0.02, 1_000_000))
    20000
    """
    size = jnp.int32(size)
    some = jnp.round(jnp.float32(part) * size).astype(jnp.int32)
    return jnp.where(part >= 1.0, size, jnp.clip(some, 1, size))


def subset(source: Source) -> Source:
    """Keep the first `knobs.subset` (rho) of the pool; its items being exchangeable, a random part.

    Neutral at rho = 1. Source: paper 1, section 4.1.
    """

    def prepare(knobs, size):
        return source.prepare(knobs, fraction(knobs.subset, size))

    return source._replace(prepare=prepare)


class _Stages(NamedTuple):
    before: object
    after: object
    switch: Int[Array, ""]


def curriculum(source: Source) -> Source:
    """Train on a part `knobs.curriculum_start` of the pool, and on all of it from a step on.

    The step is `curriculum_step` + `curriculum_multiple` * `plateau_steps` (optimiser steps), so
    that it can be given as it is or relative to the plateau of the baseline. The first items stay
    in play. Neutral at curriculum_start = 1, and when the step is 0.

    Source: paper 1, appendix A.
    """

    def prepare(knobs, size):
        relative = jnp.round(knobs.curriculum_multiple * knobs.plateau_steps)
        return _Stages(
            before=source.prepare(knobs, fraction(knobs.curriculum_start, size)),
            after=source.prepare(knobs, size),
            switch=knobs.curriculum_step + relative.astype(jnp.int32),
        )

    def draw(key, state, plan, t):
        before = source.draw(key, state, plan.before, t)
        after = source.draw(key, state, plan.after, t)
        return jax.tree.map(lambda a, b: jnp.where(t < plan.switch, a, b), before, after)

    return source._replace(prepare=prepare, draw=draw)
