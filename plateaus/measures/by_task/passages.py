"""When each task of a mixture is learned, and when prompts of several are answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from plateaus.data.curricula import AVERAGED, ESCAPED
from plateaus.measures import plateau
from plateaus.variables import ONCE, SUFFIX, Variable

ANSWERED = 0.5  # of the probability is on the tasks' answers together
_SINCE = "steps from a task's start to the first with, over the last 100,"
VARIABLES = {
    "mixed_step": Variable(
        "first evaluation at which, over three, P on the answers of a mixture's tasks is above 1/2",
        "optimiser steps",
        ("mixture",),
        ONCE,
    )
} | {
    f"{name}{SUFFIX}": Variable(meaning, units, time=ONCE).by_task()
    for name, units, meaning in (
        ("start_step", "optimiser steps", "start of the window in which a task is first drawn"),
        ("escape_step", "optimiser steps", f"{_SINCE} a training loss under 0.8; NaN if never"),
        ("completion_step", "optimiser steps", f"{_SINCE} the error of who has learned it"),
        ("escape_sequences", "examples", "examples of the task until its escape"),
        ("completion_sequences", "examples", "examples of the task until its completion"),
    )
}


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
    result = {f"start_step{SUFFIX}": start}
    for name, step in steps.items():
        result[f"{name}_step{SUFFIX}"] = step - start
        place = np.nan_to_num(step / log_every - 1).astype(int)
        sequences = np.take_along_axis(seen, place[..., None], axis=-1)[..., 0]
        result[f"{name}_sequences{SUFFIX}"] = np.where(np.isnan(step), np.nan, sequences)
    return result


def mixed(curves: Mapping[str, NDArray], steps: NDArray) -> dict[str, NDArray]:
    """Return the step at which each mixture's prompts are answered, [R, M]; {} without them.

    The first evaluation at which the mass on the answers of the mixture's own tasks, the sum of the
    mean P of each, is above 1/2 in the mean over three evaluations; NaN if never. What is recorded
    of P and of the shares is [R, T, M, K], `steps` [T]. (A model that knows no task, but which
    outputs there are, has K/n on K answers of n.)

    >>> p, share = np.full((1, 4, 2, 2), 0.3), np.full((1, 4, 2, 2), [[0.5, 0.5], [1.0, 0.0]])
    >>> mixed({"mixed_probability": p, "mixed_share": share}, np.arange(4))["mixed_step"].tolist()
    [[2.0, nan]]
    """
    if "mixed_probability" not in curves:
        return {}
    p, share = (np.asarray(curves[f"mixed_{n}"], np.float64) for n in ("probability", "share"))
    mixed_in = np.nan_to_num(share).max(axis=1, keepdims=True) > 0  # [R, 1, M, K]
    mass = np.sum(np.where(mixed_in, p, 0.0), axis=-1)  # [R, T, M]
    step = plateau.passage_step(1 - np.moveaxis(mass, 1, 2), steps, 1 - ANSWERED)
    return {"mixed_step": step}
