"""Every group alike: what adaptive mixing is compared with."""

from __future__ import annotations

from typing import NamedTuple

from plateaus.data.mixers.mixer import Mixer, uniform_weights


class Knobs(NamedTuple):
    """None."""


def uniform() -> Mixer:
    """Draw every group alike, $q_i = 1/G$, whatever training tells ("stratified").

    Source: paper 4, baselines.

    >>> weights, _ = uniform().update(None, uniform().init(2), Knobs(), 0)
    >>> weights.tolist()
    [0.5, 0.5]
    """

    def init(groups):
        return uniform_weights(groups)

    def update(signals, state, knobs, t):
        return state, state

    return Mixer(init, update)
