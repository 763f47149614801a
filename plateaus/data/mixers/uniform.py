"""Every group alike: what adaptive mixing is compared with."""

from __future__ import annotations

from plateaus.data.mixers.mixer import Mixer, uniform_weights


def uniform() -> Mixer:
    """Draw every group alike, $q_i = 1/G$, whatever the signals ("stratified").

    Source: paper 4, baselines.

    >>> weights, _ = uniform().update(None, uniform().init(2), None, 0)
    >>> weights.tolist()
    [0.5, 0.5]
    """
    return Mixer(uniform_weights, lambda signals, state, knobs, t: (state, state))
