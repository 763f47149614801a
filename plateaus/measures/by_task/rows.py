"""The table by task: one row for each task that a setting trains on, beside that task alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.report import cells, lengths, survival, table
from plateaus.report.cells import cell
from plateaus.report.selection import interval, last
from plateaus.report.statistics import Row
from plateaus.report.store import DIVERGED, NOT_RUN
from plateaus.report.survival import NOTHING, Interval, Passages

ESCAPE, COMPLETION, START = "escape_step_by_task", "completion_step_by_task", "start_step_by_task"
COUNT = "train_count_by_task"
APART, DISTANCE = "test_distance_by_task_to_no_context", "plateau_distance_by_task"


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
      notes: why a number is missing, or to which step a mean is taken.
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
    notes: str = ""


def trained(dataset: xr.Dataset, index: Sequence[int]) -> tuple[str, ...]:
    """Return the tasks that a setting draws at any time."""
    drawn = np.isfinite(cell(dataset, START, index)).any(axis=0)
    return tuple(str(name) for name in dataset["task"].values[drawn])


def passages(dataset: xr.Dataset, index: Sequence[int], task: str, variable: str) -> Passages:
    """Return when the runs of a setting passed, from the task's start; else censored at their end.

    A diverged run counts as never passed, and as followed to the horizon.
    """
    of_task = dataset.sel(task=task)
    status, step, start = (cell(of_task, name, index) for name in ("status", variable, START))
    followed = cells.ends(dataset, index) - start
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
    of_task, horizon = dataset.sel(task=task), float(dataset.attrs["horizon"])
    escape, completion = (passages(dataset, index, task, v) for v in (ESCAPE, COMPLETION))
    refused = {v: refusal(dataset, index, task, v) for v in (ESCAPE, COMPLETION)}
    median = NOTHING if refused[ESCAPE] else survival.median_time(*escape[1:])
    start, sequences = (cell(of_task, n, index) for n in (START, "escape_sequences_by_task"))
    drawn = np.isfinite(start) & (cell(dataset, "status", index) != NOT_RUN)
    sequences = np.where(np.isfinite(sequences), sequences, np.nan if refused[ESCAPE] else np.inf)
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
        completion=NOTHING if refused[COMPLETION] else survival.median_time(*completion[1:]),
        plateau=NOTHING if refused[ESCAPE] else lengths.plateau_length(escape, horizon)[0],
        convergence=NOTHING
        if refused[COMPLETION]
        else lengths.plateau_length(completion, horizon)[0],
        sequences=median.value * row.batch,
        own_sequences=_median(sequences[drawn]),
        final_loss=interval(last(of_task, "test_loss_by_task", row)),
        distance=_distance(of_task, index),
        notes="; ".join(_notes(refused, escape, completion, _latest(dataset, index, start))),
    )
    if single is None or single == index:
        return result
    alone = {v: refusal(dataset, single, task, v) for v in (ESCAPE, COMPLETION)}
    scratch = passages(dataset, single, task, ESCAPE)
    ratio, pairs, _ = lengths.length_ratio(escape, scratch, horizon)
    completed = passages(dataset, single, task, COMPLETION)
    convergence_ratio, *_ = lengths.length_ratio(completion, completed, horizon)
    undefined = bool(refused[ESCAPE] or alone[ESCAPE])
    return dataclasses.replace(
        result,
        ratio=NOTHING if undefined else ratio,
        convergence_ratio=NOTHING
        if refused[COMPLETION] or alone[COMPLETION]
        else convergence_ratio,
        pairs=pairs,
        p_value=math.nan if undefined else survival.logrank_p(escape[1:], scratch[1:]),
    )


def refusal(dataset: xr.Dataset, index: Sequence[int], task: str, variable: str) -> str:
    """Return why the times of a task's passage are undefined; empty where they are not.

    Runs stop at the event of the whole loss, which says something of each task.
    """
    of_task = dataset.sel(task=task)
    step, start = (cell(of_task, name, index) for name in (variable, START))
    return cells.refusal(cells.endings(dataset, index), np.isfinite(step) | np.isnan(start))


def _latest(dataset: xr.Dataset, index: Sequence[int], start: NDArray) -> float:
    """Return how far a task would be followed at most: from its first start to the horizon."""
    return float(dataset.attrs["horizon"] - np.min(start[np.isfinite(start)], initial=np.inf))


def _notes(
    refused: Mapping[str, str], escape: Passages, completion: Passages, latest: float
) -> Iterator[str]:
    """Yield why the times of a task are undefined, or how far their means are taken."""
    samples = {"escape": (ESCAPE, escape), "completion": (COMPLETION, completion)}
    for name, (variable, sample) in samples.items():
        if refused[variable]:
            yield f"no {name}: {refused[variable]}"
        elif sample.times.size and (end := lengths.followed_to(latest, sample)) < latest:
            yield f"mean steps to {name} up to {end:.0f}: followed no further"


def _median(values: NDArray) -> float:
    return float(np.median(values)) if values.size else math.nan


def distances(of_task: xr.Dataset, index: Sequence[int]) -> NDArray[np.float64]:
    """Return each run's mean distance to a task's no-context optimum on the plateau, [seed].

    `of_task` are the results of one task. NaN without an evaluation there.
    """
    apart = cell(of_task, APART, index)
    start = cell(of_task, START, index)[:, None]
    escape = np.nan_to_num(cell(of_task, ESCAPE, index), nan=np.inf)[:, None]
    # The first tenth of a plateau is the way to it: initial outputs are not the optimum.
    steps = of_task["eval_step"].values[None, :] - start
    last = np.minimum(escape, cells.ends(of_task, index)[:, None] - start)
    on = (steps >= last / 10) & (steps <= last * 0.9)
    usable = [np.isfinite(a[o]).any() for a, o in zip(apart, on, strict=True)]
    means = [
        np.mean(a[o]) if there else np.nan for a, o, there in zip(apart, on, usable, strict=True)
    ]
    return np.array(means)


def plateau_distances(dataset: xr.Dataset, rows: Sequence[Row]) -> dict[str, xr.DataArray]:
    """Return `distances` of all tasks and settings under the name of their variable, if recorded.

    So that the table needs no evaluation but the last.
    """
    if APART not in dataset or ESCAPE not in dataset:
        return {}
    values = np.full(dataset[ESCAPE].shape, np.nan)
    for row in rows:
        for g, task in enumerate(dataset["task"].values):
            if cell(dataset, "status", row.index).any():
                values[row.index][:, g] = distances(dataset.sel(task=task), row.index)
    attributes = {"long_name": "distance to the no-context optimum on the plateau", "units": "1"}
    return {DISTANCE: xr.DataArray(values, dims=dataset[ESCAPE].dims, attrs=attributes)}


def _distance(of_task: xr.Dataset, index: Sequence[int]) -> Interval:
    if DISTANCE in of_task:
        return interval(cell(of_task, DISTANCE, index).astype(np.float64))
    return interval(distances(of_task, index)) if APART in of_task else NOTHING


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
