"""When each task of a mixture leaves its plateau and is learned, from its training losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from plateaus.groups import SUFFIX
from plateaus.probes import plateau

AVERAGED = 100  # optimiser steps, as in paper 2
ESCAPED = plateau.THRESHOLDS["escape_step"]


def by_task(
    curves: Mapping[str, NDArray], log_every: int, learned_below: Sequence[float]
) -> dict[str, NDArray]:
    r"""Return the passages of every task of every run, [R, G] each, from windows [R, W, G].

    Escape: the first step at which the mean training loss of the last 100 steps, in units of the
    no-context loss, is below 0.8; completion: the same of the last point's error, below the task's
    own threshold. To the resolution of a window; both counted from the first step of the window in
    which the task is first drawn, `start_step_by_task`, and NaN if never.

    Beside the steps, the sequences of that task until then: `escape_sequences_by_task`. (The total
    number of sequences is steps times batch.)

    Source: paper 2, plateau escape and completion.
    """
    loss, error, count = (
        np.moveaxis(np.asarray(curves[f"train_{name}{SUFFIX}"], np.float64), 1, 2)
        for name in ("loss", "error", "count")
    )  # [R, G, W]
    ends = log_every * np.arange(1, loss.shape[-1] + 1)
    window = max(1, round(AVERAGED / log_every))
    drawn = np.nan_to_num(count) > 0
    start = np.where(drawn.any(axis=-1), ends[drawn.argmax(axis=-1)] - log_every, np.nan)
    below = np.asarray(learned_below)
    learned = [
        plateau.passage_step(error[:, g], ends, limit, window) for g, limit in enumerate(below)
    ]
    steps = {
        "escape": plateau.passage_step(loss, ends, ESCAPED, window),
        "completion": np.stack(learned, axis=-1),
    }
    seen = log_every * np.cumsum(np.nan_to_num(count), axis=-1)
    found = {f"start_step{SUFFIX}": start}
    for name, step in steps.items():
        found[f"{name}_step{SUFFIX}"] = step - start
        place = np.nan_to_num(step / log_every - 1).astype(int)
        sequences = np.take_along_axis(seen, place[..., None], axis=-1)[..., 0]
        found[f"{name}_sequences{SUFFIX}"] = np.where(np.isnan(step), np.nan, sequences)
    return found
