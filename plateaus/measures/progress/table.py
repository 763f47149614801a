"""Does a measure of progress say when a plateau ends, beyond what the loss says already?

Asked of the runs of a setting that are still on the plateau at half of the setting's median step of
escape, and read at that step: which of them will leave it soon?
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rich.table import Table

from plateaus.report import cells, csv_columns, rank_correlation, survival, table, terminal
from plateaus.report.selection import of_family
from plateaus.report.statistics import Row
from plateaus.report.store import NOT_RUN
from plateaus.report.survival import Interval
from plateaus.variables import EVALUATIONS

ESCAPE, LOSS, FAMILY = "escape_step", "test_loss", "progress"
ENOUGH = 64  # runs; of fewer the test sees strong correlations only


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProgressRow:
    """The rank correlation of one measure with the time of escape, over the runs of a setting.

    Args:
      setting, index: of the sweep, as in the main table.
      measure: its name in the results.
      step: the evaluation at which it is read, the last up to half of the median escape.
      runs: that were still on the plateau there; `escaped_before`: that were not, and are left out.
      loss: the rank correlation of the test loss at that step with the step of escape; as the
        other correlations NaN of fewer than 8 runs.
      alone: the same of the measure.
      beyond: the same given the loss: see `rank_correlation.partial`, also for `p_value`.
      p_adjusted: after Holm, over the table.
    """

    setting: dict[str, Any]
    index: tuple[int, ...]
    measure: str
    step: int
    runs: int
    escaped_before: int
    loss: float
    alone: float
    beyond: Interval
    p_value: float
    p_adjusted: float = math.nan


@dataclasses.dataclass(frozen=True)
class Landmark:
    """The runs of a setting that are on the plateau at half of its median.

    Args:
      place: of the evaluation there.
      chosen: [seed], which runs those are.
      times: [run], when they escape; inf of those that do not by the horizon.
      escaped_before: how many runs are left out as they had escaped.
    """

    place: int
    chosen: NDArray[np.bool_]
    times: NDArray[np.float64]
    escaped_before: int


def measures(dataset: xr.Dataset) -> dict[str, str]:
    """Return the measures of progress that were recorded, name -> what it is."""
    return {
        name: str(variable.attrs.get("long_name", name))
        for name, variable in of_family(dataset, FAMILY).items()
        if np.isfinite(variable.values).any()
    }


def landmark(dataset: xr.Dataset, row: Row) -> Landmark | None:
    """Return the runs on the plateau at half of its median; None where that is not known.

    Left out are runs that were not followed until they escaped or to the horizon.
    """
    if cells.passage_refusal(dataset, row.index, ESCAPE) or not np.isfinite(row.escape.value):
        return None
    ran = cells.cell(dataset, "status", row.index) != NOT_RUN
    passed = cells.passages(dataset, row.index, ESCAPE)
    steps = dataset[EVALUATIONS].values
    place = int(np.searchsorted(steps, row.escape.value / 2, side="right")) - 1
    if place < 1:  # before the first step there is nothing to read
        return None
    followed = passed.escaped | (passed.times >= row.horizon)
    late = passed.times > steps[place]
    chosen = np.zeros_like(ran)
    chosen[ran] = followed & late
    times = np.where(passed.escaped, passed.times, np.inf)[followed & late]
    return Landmark(place, chosen, times, int((passed.escaped & ~late).sum()))


def values_at(dataset: xr.Dataset, name: str, row: Row, at: Landmark) -> NDArray[np.float64]:
    """Return a variable of the runs at their landmark, [run]."""
    return cells.cell(dataset, name, row.index)[at.chosen, at.place].astype(np.float64)


def summarise(dataset: xr.Dataset, rows: Sequence[Row]) -> list[ProgressRow]:
    """Return a row for each setting with runs to be read and each measure of progress."""
    names = measures(dataset)
    raw = [one for row in rows for name in names for one in _rows(dataset, row, name)]
    adjusted = survival.holm([row.p_value for row in raw])
    return [dataclasses.replace(row, p_adjusted=p) for row, p in zip(raw, adjusted, strict=True)]


def _rows(dataset: xr.Dataset, row: Row, name: str) -> list[ProgressRow]:
    at = landmark(dataset, row)
    if at is None:
        return []
    measure, loss = (values_at(dataset, each, row, at) for each in (name, LOSS))
    finite = np.isfinite(measure) & np.isfinite(loss)
    measure, loss, times = measure[finite], loss[finite], at.times[finite]
    if not times.size:
        return []
    beyond = rank_correlation.partial(measure, times, loss)
    alone, of_loss = (rank_correlation.spearman(each, times) for each in (measure, loss))
    few = times.size < survival.FEWEST_RUNS
    return [
        ProgressRow(
            setting=row.setting,
            index=row.index,
            measure=name,
            step=int(dataset[EVALUATIONS].values[at.place]),
            runs=times.size,
            escaped_before=at.escaped_before,
            loss=math.nan if few else of_loss,
            alone=math.nan if few else alone,
            beyond=beyond.value,
            p_value=beyond.p_value,
        )
    ]


def tested(rows: Sequence[ProgressRow]) -> bool:
    """Return whether there is a setting with enough runs for a correlation."""
    return any(math.isfinite(row.p_value) for row in rows)


def csv_text(rows: Sequence[ProgressRow]) -> str:
    """Return the table as CSV."""
    columns = {field.name: field.name for field in dataclasses.fields(ProgressRow)[2:]}
    columns |= {"p_value": "p", "p_adjusted": "p_holm"}
    return table.as_csv(
        [csv_columns.swept(row.setting) | csv_columns.fields(row, columns) for row in rows]
    )


def text_table(rows: Sequence[ProgressRow]) -> Table:
    """Return the table for the terminal."""
    return terminal.fitted(lambda most: _table(rows, most))


def _table(rows: Sequence[ProgressRow], most: int) -> Table:
    names = [*rows[0].setting]
    headings = ["at step", "runs", "loss", "measure", "beyond the\nloss [95%]", "p\n(Holm)"]
    result = terminal.empty_table(
        [*terminal.setting_headings(names, 1), "measure of\nprogress"], headings
    )
    for row in rows:
        cell = terminal.setting_cells([table.value_text(row.setting[name]) for name in names], 1)
        result.add_row(
            *(terminal.folded(text, most) for text in [*cell, row.measure]),
            f"{row.step:,}",
            str(row.runs),
            terminal.short(row.loss, "+.2f"),
            terminal.short(row.alone, "+.2f"),
            terminal.bracketed(row.beyond, lambda value: terminal.short(value, "+.2f")),
            terminal.p_text(row.p_adjusted),
        )
    return result


def show(rows: Sequence[ProgressRow]) -> None:
    """Print the table and its remarks."""
    lines = [
        "rank correlations with the step of escape, over the runs still on the plateau at half of "
        "its median",
        "beyond the loss: given the test loss at that step; p by Freedman and Lane's permutations",
    ]
    if (fewest := min(row.runs for row in rows)) < ENOUGH:
        lines.append(f"exploratory: {fewest} runs, of which {ENOUGH} would be enough")
    terminal.print_table(text_table(rows), lines)
