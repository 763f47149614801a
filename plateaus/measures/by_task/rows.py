"""The table by task: one row for each task that a setting trains on, beside that task alone."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.data.curricula import AVERAGED
from plateaus.measures.by_task import prompts
from plateaus.measures.by_task.distances import ESCAPE, START, distance
from plateaus.report import cells, lengths, paired, survival
from plateaus.report.cells import cell
from plateaus.report.paired import Bound, Comparison
from plateaus.report.selection import interval, last
from plateaus.report.statistics import Row, comparison_fields, floor_note
from plateaus.report.store import DIVERGED, NOT_RUN
from plateaus.report.survival import NOTHING, Interval, Passages
from plateaus.report.trained_tasks import trained

COMPLETION = "completion_step_by_task"
COUNT = prompts.COUNT


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
      ratio: of the steps to escape to those of the task alone, a pair a seed, both cut where one
        of them would be followed no further: geometric mean; see `paired.compared`, also for
        `bound`, `sooner`, `pairs`, `p_value`. `pairs_censored`, `pair_ratios`, `p_adjusted`: as
        in the main table. convergence_ratio, convergence_bound: the same of completion.
      own_ratio: `ratio` counted in prompts of the task: times what is drawn of it a step, over that
        of the task alone.
      floor: whether this median plateau or that alone is under twice the steps of the mean by
        which an escape is told, about the shortest that is measured.
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
    bound: Bound = ""
    convergence_ratio: Interval = NOTHING
    convergence_bound: Bound = ""
    sooner: float = math.nan
    pairs: int = 0
    pairs_censored: int = 0
    pair_ratios: tuple[float, ...] = ()
    p_value: float = math.nan
    p_adjusted: float = math.nan
    floor: bool = False
    sequences: float = math.nan
    own_sequences: float = math.nan
    own_ratio: float = math.nan
    final_loss: Interval = NOTHING
    distance: Interval = NOTHING
    notes: str = ""

    @property
    def is_alone(self) -> bool:
        """Whether the setting trains on this task only."""
        return len(self.tasks) == 1


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
        _row(dataset, row, task, sets[row.index], single_task(rows, sets, row, task))
        for row in rows
        for task in sets[row.index]
    ]
    adjusted = survival.holm([row.p_value for row in made])
    return [dataclasses.replace(row, p_adjusted=p) for row, p in zip(made, adjusted, strict=True)]


def single_task(
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
    start, sequences = (cell(of_task, n, index) for n in (START, prompts.SEQUENCES))
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
        distance=distance(of_task, index),
    )
    notes, floor = [*_notes(refused, escape, completion, _latest(dataset, index, start))], ""
    alone = math.nan
    if single is not None and single != index:
        beside = {v: _beside(dataset, (index, single), task, v) for v in (ESCAPE, COMPLETION)}
        notes += beside[ESCAPE].notes()
        convergence = beside[COMPLETION]
        result = dataclasses.replace(
            result,
            **comparison_fields(beside[ESCAPE]),
            convergence_ratio=convergence.shown,
            convergence_bound=convergence.bound,
            own_ratio=beside[ESCAPE].ratio.value
            * prompts.drawn_a_step(dataset, index, task)
            / prompts.drawn_a_step(dataset, single, task),
        )
        if not refusal(dataset, single, task, ESCAPE):
            alone = survival.median_time(*passages(dataset, single, task, ESCAPE)[1:]).value
    floor = floor_note(least(dataset), median.value, alone)
    notes += [floor] * bool(floor)
    return dataclasses.replace(result, floor=bool(floor), notes="; ".join(notes))


def _beside(
    dataset: xr.Dataset, indices: tuple[tuple[int, ...], tuple[int, ...]], task: str, variable: str
) -> Comparison:
    """Return a task's passages in one setting beside those in another, seed by seed."""
    if any(refusal(dataset, index, task, variable) for index in indices):
        return paired.NO_COMPARISON
    return paired.compared(*samples(dataset, indices, task, variable))


def samples(
    dataset: xr.Dataset, indices: tuple[tuple[int, ...], tuple[int, ...]], task: str, variable: str
) -> tuple[Passages, Passages, NDArray[np.float64]]:
    """Return a task's passages in two settings, and to where each seed of both is compared.

    A task that starts late is followed for less; its pair is cut there.
    """
    first, second = (passages(dataset, index, task, variable) for index in indices)
    seeds = np.intersect1d(first.seeds, second.seeds)
    places = np.intersect1d(dataset["seed"].values, seeds, return_indices=True)[1]
    starts = [cell(dataset.sel(task=task), START, index)[places] for index in indices]
    return first, second, float(dataset.attrs["horizon"]) - np.maximum(*starts)


def least(dataset: xr.Dataset) -> float:
    """Return twice the steps of the mean by which an escape is told: no plateau is shorter."""
    config = json.loads(dataset.attrs["config"])
    windows = np.diff(dataset["step"].values, prepend=0)
    return 2.0 * max(AVERAGED, config.get("log_every", windows.min(initial=AVERAGED)))


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
