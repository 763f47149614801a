"""Shares that stay as they are given."""

from __future__ import annotations

from typing import Any, NamedTuple

from plateaus.data.mixers.mixer import Mixer, Round, uniform_weights
from plateaus.types import Array, PyTree


class Knobs(NamedTuple):
    """None: the shares are the mixture's own, `weight_` of each group."""


def fixed() -> Mixer:
    """Keep the shares by which groups were drawn: the mixture's weights, windows and schedule.

    >>> import jax.numpy as jnp
    >>> told = Round(jnp.array([0.75, 0.25]), *[jnp.zeros(2)] * 3, *[None] * 5)
    >>> fixed().update(told, fixed().init(2), Knobs(), 0)[0].tolist()
    [0.75, 0.25]
    """

    def init(groups: int) -> PyTree:
        return uniform_weights(groups)

    def update(signals: Round, state: Any, knobs: object, t: object) -> tuple[Array, PyTree]:
        return signals.shares, state

    return Mixer(init, update)
