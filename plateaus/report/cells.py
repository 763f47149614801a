"""The runs of one setting: their values, how each ended, and what can be said of all of them.

A run's record may end before the horizon. Where a budget or a signal stopped it, that says nothing
about the run, and it is censored there. Where it stopped at its event (`--stop-when`), the end says
what its losses were: those that go on are a selection, and no statistic of a later step is made of
them alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.report.store import DIVERGED, ENDING_OF, ENDINGS, NOT_RUN
from plateaus.report.survival import Passages
from plateaus.variables import EVALUATIONS

AT_EVENT = {"escaped": "escape", "completed": "completion"}  # why a run ended -> its event


def swept_values(dataset: xr.Dataset) -> dict[str, list[Any]]:
    """Return the swept fields and their values, as plain Python, in sweep order."""
    held = dataset.variables  # `dataset[name]` would gather the coordinates, too
    return {name: held[name].values.tolist() for name in json.loads(dataset.attrs["swept"])}


def cell(dataset: xr.Dataset, variable: str, index: Sequence[int]) -> NDArray:
    """Return one setting's part of a variable: [seed] or [seed, step]."""
    place = dict(zip(swept_values(dataset), index, strict=True))
    return dataset.variables[variable].isel(place).values


def evaluated_every(dataset: xr.Dataset) -> int:
    """Return after how many steps each losses were evaluated; kept curves may have fewer."""
    config = json.loads(dataset.attrs["config"])
    gaps = np.diff(dataset.variables[EVALUATIONS].values)
    return int(config.get("eval_every", gaps.min(initial=dataset.attrs["horizon"])))


def endings(dataset: xr.Dataset, index: Sequence[int]) -> NDArray[np.str_]:
    """Return why the record of each run of a setting ended, [seed]: one of `store.ENDINGS`.

    Results of before there was `ended_by` have it from the status.
    """
    status = cell(dataset, "status", index)
    of_status = np.array([ENDING_OF[value] for value in sorted(ENDING_OF)])[status.astype(int)]
    if "ended_by" not in dataset:
        return of_status
    recorded = np.array(ENDINGS)[cell(dataset, "ended_by", index).astype(int)]
    return np.where(recorded == "not_run", of_status, recorded)


def at_event(ended: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Return which runs stopped at their event, where that is why they ended, [seed].

    >>> at_event(np.array(["horizon", "escaped", "stopped"])).tolist()
    [False, True, False]
    """
    return np.isin(ended, [*AT_EVENT])


def refusal(ended: NDArray[np.str_], known: NDArray[np.bool_] | None = None) -> str:
    """Return why a statistic that looks past an event is undefined; empty where it is defined.

    `known`: of which runs it is known in spite of their end, [seed]; of none by default.

    >>> refusal(np.array(["escaped", "horizon", "escaped"]))
    '2 runs stopped at escape'
    """
    stopped = at_event(ended) if known is None else at_event(ended) & ~known
    if not stopped.any():
        return ""
    events = " or ".join(AT_EVENT[name] for name in AT_EVENT if name in ended[stopped])
    count = int(stopped.sum())
    return f"{count} run{'s' * (count != 1)} stopped at {events}"


def ends(dataset: xr.Dataset, index: Sequence[int]) -> NDArray[np.float64]:
    """Return to which step each run of a setting counts as followed; diverged: to the horizon."""
    diverged = cell(dataset, "status", index) == DIVERGED
    last = cell(dataset, "last_step", index).astype(np.float64)
    return np.where(diverged, float(dataset.attrs["horizon"]), last)


def passages(dataset: xr.Dataset, index: Sequence[int], variable: str = "escape_step") -> Passages:
    """Return when the runs of one setting passed a threshold, or were censored.

    A run that never passed is right-censored at its last step; a diverged run counts as never
    passed, censored at the horizon, whatever had been recorded of it. What runs that stopped at
    their event would have passed later is refused: see `passage_refusal`.
    """
    status, step = cell(dataset, "status", index), cell(dataset, variable, index)
    escaped = np.isfinite(step) & (status != DIVERGED)
    times = np.where(escaped, step, ends(dataset, index))
    ran = status != NOT_RUN
    return Passages(dataset["seed"].values[ran], times[ran].astype(np.float64), escaped[ran])


def passage_refusal(dataset: xr.Dataset, index: Sequence[int], variable: str) -> str:
    """Return why the times of a passage are undefined; empty where they are not.

    A run that stopped at its event before it passed is not censored at random.
    """
    return refusal(endings(dataset, index), np.isfinite(cell(dataset, variable, index)))


def followed_runs(dataset: xr.Dataset, index: Sequence[int]) -> tuple[NDArray[np.bool_], int]:
    """Return of which runs the curves of a setting are means, [seed], and their common last step.

    A mean over fewer and fewer runs would be one of a selection, so it ends where a run of it does.
    Without stops at events these are the runs that came farthest, as what a budget stops does not
    depend on the losses; else all of them, up to the first stop. Diverged runs are left out.
    """
    ended, last = endings(dataset, index), cell(dataset, "last_step", index)
    chosen = ~np.isin(ended, ["not_run", "diverged"])
    if not chosen.any():
        return chosen, 0
    if at_event(ended).any():
        return chosen, int(last[chosen].min())
    end = int(last[chosen].max())
    return chosen & (last == end), end


def loss_at(
    dataset: xr.Dataset, index: Sequence[int], step: int, variable: str = "test_loss"
) -> NDArray[np.float64]:
    """Return the loss of each run of a setting at the evaluation after `step` steps, [seed].

    NaN for runs that diverged, were never started or were stopped before it.

    Raises:
      ValueError: if there is no evaluation at `step`, or a run stopped at its event before it: the
        others would be a selection by their losses.
    """
    steps = dataset.variables[EVALUATIONS].values
    if step not in steps:
        near = int(steps[np.abs(steps - step).argmin()])
        raise ValueError(f"step = {step}: no evaluation there; the nearest is at {near}")
    ended, last = endings(dataset, index), cell(dataset, "last_step", index)
    if note := refusal(ended, last >= step):
        raise ValueError(f"step = {step}: {note} before it, so that the others are a selection")
    loss = cell(dataset, variable, index)[:, steps.tolist().index(step)].astype(np.float64)
    there = ~np.isin(ended, ["not_run", "diverged"]) & (last >= step)
    return np.where(there, loss, np.nan)
