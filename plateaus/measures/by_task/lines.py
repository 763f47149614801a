"""The lines of the printed table by task: each task among others, under the same task alone."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.measures.by_task.averages import by_count
from plateaus.measures.by_task.rows import ESCAPE, TaskRow
from plateaus.measures.by_task.task_sets import alone, choosing_fields
from plateaus.report import paired, survival, table
from plateaus.report.paired import Bound
from plateaus.report.survival import NOTHING, Interval

MOST = 40  # lines of one table; of more the averages over all mixtures of a size are shown


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """A task in one setting, or on average over the settings with so many tasks.

    Args:
      task: its name; `among`: "alone", or what it is trained with; `is_alone`: the former.
      runs, escaped: numbers of runs.
      steps: until the escape, counted from the task's start: the median, or of an average the mean
        of all runs, cut at `end`.
      end: how far a run of the task is followed at most, in steps from its start.
      seeds: of the runs; those of an average are of several settings.
      ratio, bound, p: beside the task alone; `own_ratio`: in prompts of the task.
      pairs, censored: seeds on which the ratio rests, and those on which neither run escapes.
      floor: whether a plateau of the two is hardly measured.
      final_loss: normalised test loss of the task at the end.
    """

    task: str
    among: str
    is_alone: bool
    runs: int
    seeds: int
    escaped: int
    steps: float
    end: float
    ratio: Interval = NOTHING
    bound: Bound = ""
    pairs: int = 0
    censored: int = 0
    p: float = math.nan
    own_ratio: float = math.nan
    floor: bool = False
    final_loss: float = math.nan


def lines(task_rows: Sequence[TaskRow], horizon: float) -> list[Line]:
    """Return a line for each row, those of a task together, alone first, then by the others.

    Without the tasks that no setting trains alone, of which nothing can be told here.
    """
    known = alone(task_rows)
    tasks = list(dict.fromkeys(row.task for row in task_rows))
    choosing = choosing_fields(task_rows)
    everything = list(dict.fromkeys(name for row in task_rows for name in row.tasks))
    ordered = sorted(task_rows, key=lambda row: (tasks.index(row.task), len(row.tasks)))
    return [
        Line(
            task=row.task,
            among=among(row, choosing, everything),
            is_alone=row.is_alone,
            runs=row.runs,
            seeds=row.runs,
            escaped=row.escaped,
            steps=row.escape.value,
            end=horizon - (0.0 if math.isnan(row.start) else row.start),
            ratio=row.ratio,
            bound=row.bound,
            pairs=row.pairs,
            censored=row.pairs_censored,
            p=row.p_adjusted,
            own_ratio=row.own_ratio,
            floor=row.floor,
            final_loss=row.final_loss.value,
        )
        for row in ordered
        if row.task in known
    ]


def among(row: TaskRow, choosing: Sequence[str], everything: Sequence[str]) -> str:
    """Return what a task is trained with, in few words: the setting's name, or the other tasks."""
    if row.is_alone:
        return "alone"
    values: Mapping[str, Any] = {name: row.setting[name] for name in choosing}
    name = table.label(values).removeprefix("variant=")
    if sorted(name.split(" + ")) != sorted(row.tasks):
        return name
    others = [task for task in row.tasks if task != row.task]
    missing = [task for task in everything if task not in row.tasks]
    if missing and len(missing) < len(others):
        return f"all but {', '.join(missing)}"
    return " + ".join(others)


def averages(dataset: xr.Dataset, place: Sequence[TaskRow]) -> list[Line]:
    """Return a line for each task and number of tasks, over all settings with so many.

    The steps of a seed are means over these settings, up to the horizon; see `averages.by_count`.
    """
    horizon, made = float(dataset.attrs["horizon"]), []
    means = by_count(dataset, place, ESCAPE)
    known = alone(place)
    tasks = list(dict.fromkeys(row.task for row in place if row.task in known))
    numbers = sorted({len(row.tasks) for row in place})
    for task, k in itertools.product(tasks, numbers):
        members = [row for row in place if (row.task, len(row.tasks)) == (task, k)]
        if not members:
            continue
        losses = [row.final_loss.value for row in members if not math.isnan(row.final_loss.value)]
        line = Line(
            task=task,
            among=f"{k - 1} of the others ({len(members)})" if k > 1 else "alone",
            is_alone=k == 1,
            runs=sum(row.runs for row in members),
            seeds=max(row.runs for row in members),
            escaped=sum(row.escaped for row in members),
            steps=math.nan,
            end=horizon,
            floor=any(row.floor for row in members),
            final_loss=float(np.mean(losses)) if losses else math.nan,
        )
        if (k, task) in means:
            line = dataclasses.replace(line, steps=float(means[k, task].mean()))
            if k > 1 and (1, task) in means:
                by_itself = next(row for row in place if row.task == task and row.is_alone)
                pair = means[k, task], means[1, task]
                line = _beside(line, pair, horizon, members, by_itself)
        made.append(line)
    adjusted = survival.holm([line.p for line in made])
    return [dataclasses.replace(line, p=p) for line, p in zip(made, adjusted, strict=True)]


def _beside(
    line: Line,
    pair: tuple[NDArray[np.float64], NDArray[np.float64]],
    horizon: float,
    members: Sequence[TaskRow],
    by_itself: TaskRow,
) -> Line:
    """Return an average beside the task alone, over the seeds on which either escapes."""
    told = np.minimum(*pair) < horizon
    found = paired.of_ratios(*(steps[told] for steps in pair))
    bound: Bound = ""
    if found.pairs:
        bound = ">" if not line.escaped else "<" if not by_itself.escaped else ""
    return dataclasses.replace(
        line,
        ratio=found._replace(bound=bound).shown,
        bound=bound,
        pairs=found.pairs,
        censored=int((~told).sum()),
        p=found.p_value,
        own_ratio=found.ratio.value * drawn(members),
    )


def drawn(members: Sequence[TaskRow]) -> float:
    """Return what a step draws of a task among others over alone, the geometric mean over rows."""
    logs = np.array([row.own_ratio / row.ratio.value for row in members])
    known = logs[np.isfinite(logs)]
    return float(np.exp(np.log(known).mean())) if known.size else math.nan
