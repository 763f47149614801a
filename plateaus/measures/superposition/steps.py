"""When prompts of several tasks are answered, beside when the tasks are learned."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.measures.by_task import rows as by_task
from plateaus.measures.superposition import rows as superposition
from plateaus.report import cells, csv_columns, table, trained_tasks
from plateaus.report.selection import followed, interval, is_followed
from plateaus.report.statistics import Row
from plateaus.report.survival import NOTHING, Interval
from plateaus.report.terminal import bracketed, print_table

STEP = "mixed_step"
ANSWERED = 0.5  # P on the answers at that step


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepsRow:
    """When the followed runs of a setting answer mixed prompts and when they learn the tasks.

    All in optimiser steps; a step is there only for the runs that get so far.

    Args:
      setting, index: of the sweep, as in the main table.
      mixture: the evenest one, of which `mixed` is; `runs`: that were followed.
      no_context: P on the answers of a model that answers by any of the tasks it trains on, where
        their answers differ: above 1/2, `mixed` may come before any task is learned.
      mixed: first evaluation with half of the probability on the answers, mean of three; in
        `mixed_runs` runs. `alone`: the same of prompts of one task, the mean over the tasks.
      escape, last_escape: from the losses, the mean over the mixed tasks, and the last of them; in
        `escaped_runs` runs.
      after_escape, after_last_escape, after_alone: `mixed` less these, seed by seed; in `pairs`
        runs (`alone_pairs` for the last).
    """

    setting: dict[str, Any]
    index: tuple[int, ...]
    mixture: str
    runs: int
    no_context: float = math.nan
    mixed: Interval = NOTHING
    mixed_runs: int = 0
    escape: Interval = NOTHING
    last_escape: Interval = NOTHING
    escaped_runs: int = 0
    alone: Interval = NOTHING
    after_escape: Interval = NOTHING
    after_last_escape: Interval = NOTHING
    pairs: int = 0
    after_alone: Interval = NOTHING
    alone_pairs: int = 0

    def text(self) -> str:
        """Return the row as a remark.

        >>> StepsRow(setting={}, index=(), mixture="5:5", runs=2).text()
        'mixed step of 5:5: none in 2 runs'
        """
        if not self.mixed_runs:
            return f"mixed step of {self.mixture}: none in {self.runs} runs"
        line = f"mixed step of {self.mixture}: {self.mixed.value:,.0f}"
        line += f" ({self.mixed_runs} of {self.runs} runs)"
        if self.pairs:
            line += f"; after the mean escape {_signed(self.after_escape)}"
        if self.alone_pairs:
            line += f", after that of prompts of one task {_signed(self.after_alone)}"
        if self.no_context > ANSWERED:
            line += f" (by any of its tasks, without context, P is {self.no_context:.2f} already)"
        return line


def summarise(dataset: xr.Dataset, rows: Sequence[Row]) -> list[StepsRow]:
    """Return a row for each setting that was given mixed prompts, where its steps are recorded."""
    if STEP not in dataset:
        return []
    return [_row(dataset, row) for row in superposition.with_mixed_prompts(dataset, rows)]


def steps_of(dataset: xr.Dataset, row: Row) -> dict[str, NDArray[np.float64]]:
    """Return the steps [run] of the followed runs, NaN if never: mixed, alone, escape, ..

    All NaN where a run stopped at its event before such a step: others would be a selection.
    """
    passed = followed(dataset, STEP, row)  # [run, mixture]
    shares = superposition.named_shares(dataset)
    single = [int(np.argmax(column == 1)) for column in shares.T if (column == 1).any()]
    never = np.full(passed.shape[0], np.nan)
    steps = {"mixed": passed[:, superposition.evenest(dataset)], "alone": never}
    if len(single) == shares.shape[1]:  # NaN where a task is never answered
        steps["alone"] = passed[:, single].mean(axis=1)
    steps |= {"escape": never, "last_escape": never}
    if by_task.ESCAPE in dataset:
        tasks = dataset.sel(task=list(superposition.answers(dataset)))
        escapes = followed(tasks, by_task.ESCAPE, row) + followed(tasks, by_task.START, row)
        steps |= {"escape": escapes.mean(axis=1), "last_escape": escapes.max(axis=1)}
    ended = cells.endings(dataset, row.index)[is_followed(dataset, row)]
    return {
        name: never if cells.refusal(ended, np.isfinite(values)) else values
        for name, values in steps.items()
    }


def no_context(dataset: xr.Dataset, row: Row) -> float:
    """Return K over the number of tasks that a setting trains on; NaN where not recorded."""
    if by_task.COUNT not in dataset:
        return math.nan
    tasks = trained_tasks.trained(dataset, row.index)
    mixed = [name for name in superposition.answers(dataset) if name in tasks]
    return len(mixed) / len(tasks) if tasks else math.nan


def _row(dataset: xr.Dataset, row: Row) -> StepsRow:
    steps = steps_of(dataset, row)
    steps |= {f"after_{name}": steps["mixed"] - steps[name] for name in steps if name != "mixed"}
    count = {name: int(np.isfinite(values).sum()) for name, values in steps.items()}
    return StepsRow(
        setting=row.setting,
        index=row.index,
        mixture=superposition.mixture_name(dataset, superposition.evenest(dataset)),
        runs=steps["mixed"].size,
        no_context=no_context(dataset, row),
        mixed_runs=count["mixed"],
        escaped_runs=count["escape"],
        pairs=count["after_escape"],
        alone_pairs=count["after_alone"],
        **{name: interval(values) for name, values in steps.items()},
    )


def csv_text(rows: Sequence[StepsRow]) -> str:
    """Return the table as CSV, in optimiser steps; empty where no run gets so far."""
    columns = {field.name: field.name for field in dataclasses.fields(StepsRow)[2:]}
    columns |= {name: f"{name}_step" for name in ("mixed", "escape", "last_escape", "alone")}
    return table.as_csv(
        [csv_columns.swept(row.setting) | csv_columns.fields(row, columns) for row in rows]
    )


def show(rows: Sequence[StepsRow]) -> None:
    """Print the steps of every setting, under the table of mixed prompts."""
    lines = ["mixed step: first evaluation, mean of three, with P on the answers above 1/2"]
    for row in rows:
        where = f"{table.label(row.setting)}: " if row.setting else ""
        lines.append(f"{where}{row.text()}")
    print_table(None, lines)


def _signed(difference: Interval) -> str:
    return bracketed(difference, lambda value: f"{value:+,.0f}")
