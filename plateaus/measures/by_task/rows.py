"""The table by task: one row for each task that a setting trains on, beside that task alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.report import survival, table
from plateaus.report.selection import finished, interval
from plateaus.report.statistics import DIVERGED, Passages, Row, cell
from plateaus.report.store import NOT_RUN
from plateaus.report.survival import NOTHING, Interval

ESCAPE, COMPLETION, START = "escape_step_by_task", "completion_step_by_task", "start_step_by_task"
COUNT = "train_count_by_task"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskRow:
    """One task in one setting: when it left its plateau, counted from when it was first drawn.

    Args:
      setting, index: of the sweep, as in the main table.
      task: its name; `tasks`: all that the setting trains on.
      runs, escaped, completed: numbers of runs.
      start: the median step at which it is first drawn.
      escape, completion: Kaplan-Meier medians, in steps; `inf` where not reached.
      plateau, convergence: restricted mean times to escape and to completion, bootstrapped.
      ratio, convergence_ratio: of these to the same task's alone, on the seeds run in both.
      pairs: number of those seeds; `p_value`, `p_adjusted`: log-rank test of the escapes, and Holm.
      sequences, own_sequences: median sequences until the escape, of all tasks and of its own.
      final_loss: normalised test loss of the task at the end, mean and t interval.
      distance: of the model to the task's no-context optimum, mean over the evaluations before the
        escape, then over runs: small if the model says just that on the plateau.
    """

    setting: dict[str, Any]
    index: tuple[int, ...]
    task: str
    tasks: tuple[str, ...]
    runs: int
    escaped: int
    completed: int
    start: float
    escape: Interval
    completion: Interval
    plateau: Interval
    convergence: Interval
    ratio: Interval = NOTHING
    convergence_ratio: Interval = NOTHING
    pairs: int = 0
    p_value: float = math.nan
    p_adjusted: float = math.nan
    sequences: float = math.nan
    own_sequences: float = math.nan
    final_loss: Interval = NOTHING
    distance: Interval = NOTHING


def trained(dataset: xr.Dataset, index: Sequence[int]) -> tuple[str, ...]:
    """Return the tasks that a setting draws at any time."""
    drawn = np.nansum(cell(dataset, COUNT, index), axis=(0, 1)) > 0
    return tuple(str(name) for name in dataset["task"].values[drawn])


def passages(dataset: xr.Dataset, index: Sequence[int], task: str, variable: str) -> Passages:
    """Return when the runs of a setting passed, from the task's start; else censored at the end."""
    of_task = dataset.sel(task=task)
    status, step, start = (cell(of_task, name, index) for name in ("status", variable, START))
    followed = dataset.attrs["horizon"] - start
    passed = np.isfinite(step) & (status != DIVERGED)
    ran = (status != NOT_RUN) & np.isfinite(start)  # a task that waits for another may never come
    times = np.where(passed, step, followed)
    return Passages(dataset["seed"].values[ran], times[ran].astype(np.float64), passed[ran])


def summarise(dataset: xr.Dataset, rows: Sequence[Row]) -> list[TaskRow]:
    """Return a row for each setting and each task it trains on; none without tasks."""
    if ESCAPE not in dataset:
        return []
    sets = {row.index: trained(dataset, row.index) for row in rows}
    made = [
        _row(dataset, row, task, sets[row.index], _single_task(rows, sets, row, task))
        for row in rows
        for task in sets[row.index]
    ]
    adjusted = survival.holm([row.p_value for row in made])
    return [dataclasses.replace(row, p_adjusted=p) for row, p in zip(made, adjusted, strict=True)]


def _single_task(
    rows: Sequence[Row], sets: dict[tuple[int, ...], tuple[str, ...]], row: Row, task: str
) -> tuple[int, ...] | None:
    """Return the setting that trains on the task alone and shares most with this one."""
    settings = [other for other in rows if sets[other.index] == (task,)]
    shared = [sum(map(int.__eq__, other.index, row.index)) for other in settings]
    best = max(shared, default=-1)
    needed = len(row.index) - 1  # all axes but the one along which the task sets change
    return settings[shared.index(best)].index if settings and best >= needed else None


def _row(
    dataset: xr.Dataset,
    row: Row,
    task: str,
    tasks: tuple[str, ...],
    single: tuple[int, ...] | None,
) -> TaskRow:
    index = row.index
    escape, completion = (passages(dataset, index, task, v) for v in (ESCAPE, COMPLETION))
    of_task = dataset.sel(task=task)
    median = survival.median_time(*escape[1:])
    start, sequences = (cell(of_task, n, index) for n in (START, "escape_sequences_by_task"))
    drawn = np.isfinite(start) & (cell(dataset, "status", index) != NOT_RUN)
    sequences = np.where(np.isfinite(sequences), sequences, np.inf)
    result = TaskRow(
        setting=row.setting,
        index=index,
        task=task,
        tasks=tasks,
        runs=escape.times.size,
        escaped=int(escape.escaped.sum()),
        completed=int(completion.escaped.sum()),
        start=_median(start[drawn]),
        escape=median,
        completion=survival.median_time(*completion[1:]),
        plateau=_mean(escape, dataset),
        convergence=_mean(completion, dataset),
        sequences=median.value * row.batch,
        own_sequences=_median(sequences[drawn]),
        final_loss=interval(finished(of_task, "test_loss_by_task", row)[:, -1]),
        distance=_distance(of_task, index),
    )
    if single is None or single == index:
        return result
    scratch = passages(dataset, single, task, ESCAPE)
    ratio, pairs = _ratio(escape, scratch, dataset)
    completed = passages(dataset, single, task, COMPLETION)
    return dataclasses.replace(
        result,
        ratio=ratio,
        convergence_ratio=_ratio(completion, completed, dataset)[0],
        pairs=pairs,
        p_value=survival.logrank_p(escape[1:], scratch[1:]),
    )


def _median(values: NDArray) -> float:
    return float(np.median(values)) if values.size else math.nan


def _mean(sample: Passages, dataset: xr.Dataset) -> Interval:
    return survival.plateau_length(sample, _horizon(dataset, sample))[0]


def _horizon(dataset: xr.Dataset, *samples: Passages) -> float:
    """Return how far all curves are known: to a run's end, or to the last run, if it was censored.

    A task that comes late is followed for less, by as much as the run before it took: runs that
    were followed for less than others are censored among them, and do not cut these short.
    """
    ends = [float(dataset.attrs["horizon"])]
    for sample in samples:
        latest = sample.times.max(initial=0.0)
        if not sample.escaped[sample.times == latest].all():
            ends.append(float(latest))
    return min(ends)


def _ratio(first: Passages, second: Passages, dataset: xr.Dataset) -> tuple[Interval, int]:
    """Return the ratio of restricted mean times over the seeds run in both, to one horizon."""
    _, i, j = np.intersect1d(first.seeds, second.seeds, return_indices=True)
    first, second = (
        Passages(*(part[chosen] for part in sample)) for sample, chosen in ((first, i), (second, j))
    )
    ratio, pairs, _ = survival.length_ratio(first, second, _horizon(dataset, first, second))
    return ratio, pairs


def _distance(of_task: xr.Dataset, index: Sequence[int]) -> Interval:
    name = "test_distance_by_task_to_no_context"
    if name not in of_task:
        return NOTHING
    apart = cell(of_task, name, index)
    start = cell(of_task, START, index)[:, None]
    escape = np.nan_to_num(cell(of_task, ESCAPE, index), nan=np.inf)[:, None]
    # The first tenth of a plateau is the way to it: initial outputs are not the optimum.
    steps = of_task["eval_step"].values[None, :] - start
    last = np.minimum(escape, of_task.attrs["horizon"] - start)
    on = (steps >= last / 10) & (steps <= last * 0.9)
    means = [np.mean(a[o]) for a, o in zip(apart, on, strict=True) if np.isfinite(a[o]).any()]
    return interval(np.asarray(means))


def csv_text(rows: Sequence[TaskRow]) -> str:
    """Return the table as CSV: the swept fields, the task, then the statistics.

    Steps are counted from `start`. `inf`: not reached by the horizon; empty: undefined.
    """
    columns = {field.name: field.name for field in dataclasses.fields(TaskRow)[4:]}
    return table.as_csv(
        [
            table.swept(row.setting)
            | {"task": row.task, "tasks": " ".join(row.tasks)}
            | table.fields(row, columns)
            for row in rows
        ]
    )
