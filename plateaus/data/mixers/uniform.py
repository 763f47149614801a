"""Every group alike: what adaptive mixing is compared with."""

from __future__ import annotations

from typing import Any, NamedTuple

from plateaus.data.mixers.mixer import Mixer, uniform_weights
from plateaus.types import Array, PyTree


class Knobs(NamedTuple):
    """None."""


def uniform() -> Mixer:
    """Draw every group alike, $q_i = 1/G$, whatever training tells ("stratified").

    Source: paper 4, baselines.

    >>> weights, _ = uniform().update(None, uniform().init(2), Knobs(), 0)
    >>> weights.tolist()
    [0.5, 0.5]
    """

    def init(groups: int) -> PyTree:
        return uniform_weights(groups)

    def update(signals: object, state: Any, knobs: object, t: object) -> tuple[Array, PyTree]:
        return state, state

    return Mixer(init, update)
