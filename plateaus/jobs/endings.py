"""Where the record of each run of a chunk ends, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from plateaus import train
from plateaus.measures import plateau
from plateaus.report.store import ENDINGS
from plateaus.variables import EVALUATIONS, WINDOWS, Variable

BOUNDS = ("uninformed_loss", "best_loss")  # of the plateau, constant over a run
AVERAGED = 3  # evaluations whose mean marks a passage
EVENTS = {"escaped": "escape_step", "completed": "completion_step"}  # of --stop-when
AT_EVENT = tuple(ENDINGS.index(event) for event in EVENTS)
_DIVERGED, _HORIZON, _STOPPED = (ENDINGS.index(name) for name in ("diverged", "horizon", "stopped"))


class Ends(NamedTuple):
    """The ends of the records of runs, [runs] each.

    Fields:
      step: the last evaluation, or the step at which the run diverged.
      ending: why there, as a place in `plateaus.report.store.ENDINGS`.
    """

    step: np.ndarray
    ending: np.ndarray


def event_steps(
    curves: Mapping[str, np.ndarray], eval_every: int, event: str | None, before: int = 0
) -> np.ndarray:
    """Return the step at which each run of curves [runs, time] comes to its event; NaN if never.

    Args:
      event: a key of `EVENTS`, or None, which no run comes to.
      before: steps of models that are not kept; what they do is no event.
    """
    if event is None:
        return np.full(curves["test_loss"].shape[0], np.nan)
    return passage(curves, eval_every, EVENTS[event], before)


def passage(
    curves: Mapping[str, np.ndarray], eval_every: int, name: str, before: int = 0
) -> np.ndarray:
    """Return the step at which each run's test loss passes a threshold of the plateau, by name."""
    losses = curves["test_loss"].copy()
    losses[:, : before // eval_every + 1 if before else 0] = np.nan
    level = plateau.normalised(losses, *(curves[bound][:, 0] for bound in BOUNDS))
    steps = eval_every * np.arange(losses.shape[1])
    return plateau.passage_step(level, steps, plateau.THRESHOLDS[name], AVERAGED)


def ends(
    at_event: np.ndarray, diverged_at: np.ndarray, done: int, horizon: int, event: str | None
) -> Ends:
    """Return where runs end that were all trained for `done` steps of `horizon`.

    Args:
      at_event: [runs], from `event_steps`; a run ends there, whatever became of it later.
      diverged_at: [runs], `train.NEVER` of runs that did not.
    """
    # An event at the horizon cuts nothing off.
    stopped, diverged = at_event < horizon, diverged_at != train.NEVER
    whole = np.where(done >= horizon, _HORIZON, _STOPPED)
    ending = np.where(diverged, _DIVERGED, whole)
    step = np.where(diverged, diverged_at, done)
    if event is not None:
        ending = np.where(stopped, ENDINGS.index(event), ending)
        step = np.where(stopped, np.nan_to_num(at_event), step)
    return Ends(step.astype(np.int32), ending.astype(np.int8))


def cut(
    curves: Mapping[str, np.ndarray],
    last: np.ndarray,
    variables: Mapping[str, Variable],
    log_every: int,
    eval_every: int,
) -> dict[str, np.ndarray]:
    """Return curves [runs, time, ...] without what lies after each run's step in `last`, [runs].

    It reads NaN there, or 0 in arrays of whole numbers, and no array is longer than the longest
    run, so that a run's record does not depend on the others of its chunk.
    """
    results = {}
    for name, array in curves.items():
        time = variables[name].time if name in variables else ""
        if time == EVALUATIONS:
            steps = eval_every * np.arange(array.shape[1])
        elif time == WINDOWS:
            steps = log_every * np.arange(1, array.shape[1] + 1)
        else:
            results[name] = array
            continue
        some = array[:, steps <= last.max(initial=0)]
        after = steps[None, : some.shape[1]] > last[:, None]
        empty = np.nan if some.dtype.kind == "f" else 0
        after = after.reshape(*after.shape, *[1] * (some.ndim - 2))
        results[name] = np.where(after, np.asarray(empty, some.dtype), some)
    return results
