"""runs.csv: what became of each run, a row a run and task.

The row without a task is the run as a whole. `kept_columns` declares the columns; `from_csv` reads
them back beside curves.csv.gz.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from plateaus.fields import INFINITE
from plateaus.report import table
from plateaus.report.cells import swept_values
from plateaus.report.kept_columns import (
    COLUMNS,
    FLAGS,
    TENTHS,
    VERSION,
    Column,
    at_tenth,
    of_results,
)
from plateaus.report.statistics import LOWEST
from plateaus.report.store import ENDINGS, NOT_RUN
from plateaus.variables import EVALUATIONS, TASK

FILE = "runs.csv"
STATUSES = ("not_run", "finished", "diverged", "unfinished")


def lowest(dataset: xr.Dataset) -> xr.DataArray:
    """Return the lowest test loss of each run at whatever evaluation; NaN if it has none."""
    losses = dataset["test_loss"]
    least = np.fmin.reduce(losses.values, axis=losses.dims.index(EVALUATIONS), initial=np.inf)
    least = np.where(np.isfinite(least), least, np.nan).astype(losses.dtype)
    dims = [dim for dim in losses.dims if dim != EVALUATIONS]
    attributes = {"long_name": COLUMNS[LOWEST].meaning, "units": losses.attrs.get("units", "loss")}
    return xr.DataArray(least, dims=dims, attrs=attributes)


def text(dataset: xr.Dataset, further: Mapping[str, xr.DataArray]) -> str:
    """Return the runs as CSV; `further` are variables that follow from whole curves.

    What results that were read from such a file have of these stays as it is: their curves are
    thinned.
    """
    whole = {LOWEST: lowest(dataset), **losses_by_tenth(dataset), **further}
    dataset = dataset.assign({n: array for n, array in whole.items() if n not in dataset})
    columns = of_results(map(str, dataset.data_vars))
    tasks = [*dataset[TASK].values] if TASK in dataset.coords else []
    records = []
    for place, names in runs(dataset):
        if dataset["status"].values[place] == NOT_RUN:
            continue
        for g, task in enumerate(["", *tasks]):
            record = {"version": VERSION, **names, "task": task}
            record |= _entries(dataset, columns, place, g - 1 if task else None)
            records.append(record)
    return table.as_csv(records)


def runs(dataset: xr.Dataset) -> Iterator[tuple[tuple[int, ...], dict[str, str]]]:
    """Yield the place of each run in the grid, and its swept values and seed as text."""
    values = {**swept_values(dataset), "seed": dataset["seed"].values.tolist()}
    for place in np.ndindex(*map(len, values.values())):
        named = zip(values.items(), place, strict=True)
        yield place, {name: value_text(several[i]) for (name, several), i in named}


def value_text(value: Any) -> str:
    """Return a swept value in full; infinity as a config has it."""
    return "inf" if value == INFINITE and not isinstance(value, str) else str(value)


def names_of(name: str, attributes: Mapping[str, Any]) -> list[str]:
    """Return the names of the numbers of a flag."""
    if name == "status":
        return [*STATUSES]
    return [*ENDINGS] if name == "ended_by" else str(attributes["flag_meanings"]).split()


def number_text(value: Any) -> str:
    """Return a number in as many digits as give it back; empty for NaN."""
    return "" if value != value else str(value)


def _entries(
    dataset: xr.Dataset,
    columns: Mapping[str, Column],
    place: tuple[int, ...],
    group: int | None,
) -> dict[str, str]:
    entries = {}
    for name, column in columns.items():
        variable = column.whole if group is None else column.by_task
        entries[name] = ""
        if name in ("status", "last_step", "ended_by") and group is not None:
            variable = column.whole  # repeated, so that each row can be read by itself
        if variable in dataset:
            array = dataset[variable]
            number = array.values[
                place if group is None or variable == column.whole else (*place, group)
            ]
            named = name in FLAGS
            entries[name] = (
                names_of(name, array.attrs)[int(number)] if named else number_text(number)
            )
    return entries


def losses_by_tenth(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return the test loss at the last evaluation by each tenth of the horizon, also by task.

    NaN where the run ended before.
    """
    found = {}
    for tenth, step in by_tenth(dataset).items():
        column = COLUMNS[at_tenth("loss", tenth)]
        for name, loss in ((column.whole, "test_loss"), (column.by_task, "test_loss_by_task")):
            if loss in dataset:
                at = int(np.searchsorted(dataset[EVALUATIONS].values, step, side="right")) - 1
                there = dataset[loss].isel({EVALUATIONS: at}, drop=True)
                found[name] = there.where(dataset["last_step"] >= step)
    return found


def by_tenth(dataset: xr.Dataset) -> dict[int, int]:
    """Return the last evaluation by each tenth of a run that goes to the horizon.

    The results go as far as their longest run only, so that it may not be among theirs.
    """
    steps, horizon = dataset[EVALUATIONS].values, int(dataset.attrs["horizon"])
    if steps.size > 1:
        every = int(steps[1] - steps[0])
    else:
        every = json.loads(dataset.attrs["config"]).get("eval_every", horizon)
    return {tenth: every * (horizon * tenth // (10 * every)) for tenth in TENTHS}
