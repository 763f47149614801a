"""runs.csv: what became of each run, a row a run and task.

The row without a task is the run as a whole. The columns are declared here, with their version;
`from_csv` reads them back beside curves.csv.gz.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.fields import INFINITE
from plateaus.report import table
from plateaus.report.cells import swept_values
from plateaus.report.statistics import LOWEST
from plateaus.report.store import ENDINGS, NOT_RUN
from plateaus.variables import EVALUATIONS, TASK

FILE = "runs.csv"
VERSION = 1  # of the columns
TENTHS = range(1, 11)  # of the horizon, after which losses are given
STATUSES = ("not_run", "finished", "diverged", "unfinished")
FLAGS = ("status", "ended_by", "device", "exactness")  # columns whose numbers have names


class Column(NamedTuple):
    """One column: its meaning and unit, and the variables it is of, for the run and by task."""

    meaning: str
    units: str = ""
    whole: str = ""
    by_task: str = ""


COLUMNS: dict[str, Column] = {
    "status": Column("what became of the run", whole="status"),
    "ended_by": Column("why its record ends", whole="ended_by"),
    "last_step": Column("its last evaluation, or the divergence", "steps", "last_step"),
    "start": Column("when the task is first drawn", "steps", by_task="start_step_by_task"),
    "escape": Column(
        "when it left the plateau; of a task, from its start",
        "steps",
        "escape_step",
        "escape_step_by_task",
    ),
    "half": Column("when half was learned", "steps", "half_step"),
    "completion": Column(
        "when nearly all was; of a task, from its start",
        "steps",
        "completion_step",
        "completion_step_by_task",
    ),
    "trained_escape": Column("escape on trained items", "steps", "trained_escape_step"),
    LOWEST: Column("lowest test loss at any evaluation", "loss", LOWEST),
    "plateau_distance": Column(
        "mean distance to the no-context optimum on the plateau",
        by_task="plateau_distance_by_task",
    ),
    **{
        f"loss_at_{tenth / 10:.1f}": Column(
            f"test loss at the last evaluation by {tenth / 10:.1f} of the horizon", "loss"
        )
        for tenth in TENTHS
    },
    "batch_size": Column("examples to a step", "examples", "batch_size"),
    "parameters": Column("numbers in the model's weights", whole="parameters"),
    "seconds": Column("wall seconds of its chunk, shared out", "seconds", "seconds"),
    "device": Column("device", whole="device"),
    "exactness": Column("digest of what its bits rest on", whole="exactness"),
}


def ordered(names: Iterable[str]) -> list[str]:
    """Return names of columns in the order in which they stand in the file.

    >>> ordered(["seconds", "b_reaches_0.5", "a_reaches_0.9", "status"])
    ['status', 'seconds', 'a_reaches_0.9', 'b_reaches_0.5']
    """
    places = {name: at for at, name in enumerate(COLUMNS)}
    return sorted(names, key=lambda name: (places.get(name, len(places)), name))


def documented() -> str:
    """Return the columns as lines of Markdown, for the README."""
    lines = ["| column | meaning | unit |", "|---|---|---|"]
    lines.append(f"| `version` | of the columns: {VERSION} | |")
    lines.append("| dotted names, `seed`, `task` | the run; no task: the run as a whole | |")
    tenths = [name for name in COLUMNS if name.startswith("loss_at_")]
    for name, column in COLUMNS.items():
        if name in tenths[1:]:
            continue
        shown = f"{tenths[0]}` .. `{tenths[-1]}" if name in tenths else name
        meaning = (
            "test loss at the last evaluation by each tenth of the horizon; empty if the run "
            "ended before it"
        )
        lines.append(
            f"| `{shown}` | {meaning if name in tenths else column.meaning} | {column.units} |"
        )
    return "\n".join(lines)


def lowest(dataset: xr.Dataset) -> xr.DataArray:
    """Return the lowest test loss of each run at whatever evaluation; NaN if it has none."""
    losses = dataset["test_loss"]
    least = np.fmin.reduce(losses.values, axis=losses.dims.index(EVALUATIONS), initial=np.inf)
    least = np.where(np.isfinite(least), least, np.nan).astype(losses.dtype)
    dims = [dim for dim in losses.dims if dim != EVALUATIONS]
    attributes = {"long_name": COLUMNS[LOWEST].meaning, "units": losses.attrs.get("units", "loss")}
    return xr.DataArray(least, dims=dims, attrs=attributes)


def text(dataset: xr.Dataset, further: Mapping[str, xr.DataArray]) -> str:
    """Return the runs as CSV; `further` are variables that follow from whole curves."""
    dataset = dataset.assign({LOWEST: lowest(dataset), **further})
    tasks = [*dataset[TASK].values] if TASK in dataset.coords else []
    records = []
    for place, names in runs(dataset):
        if dataset["status"].values[place] == NOT_RUN:
            continue
        for g, task in enumerate(["", *tasks]):
            record = {"version": VERSION, **names, "task": task}
            record |= _entries(dataset, place, g - 1 if task else None)
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


def _entries(dataset: xr.Dataset, place: tuple[int, ...], group: int | None) -> dict[str, str]:
    entries = {}
    for name, column in COLUMNS.items():
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
    losses, last = _losses(dataset, place, group), dataset["last_step"].values[place]
    for tenth, step in _by_tenth(dataset).items():
        if losses is not None and step <= last:
            at = int(np.searchsorted(dataset[EVALUATIONS].values, step, side="right")) - 1
            entries[f"loss_at_{tenth / 10:.1f}"] = number_text(losses[at])
    return entries


def _by_tenth(dataset: xr.Dataset) -> dict[int, int]:
    """Return the last evaluation by each tenth of a run that goes to the horizon.

    The results go as far as their longest run only, so that it may not be among theirs.
    """
    steps, horizon = dataset[EVALUATIONS].values, int(dataset.attrs["horizon"])
    if steps.size > 1:
        every = int(steps[1] - steps[0])
    else:
        every = json.loads(dataset.attrs["config"]).get("eval_every", horizon)
    return {tenth: every * (horizon * tenth // (10 * every)) for tenth in TENTHS}


def _losses(dataset: xr.Dataset, place: tuple[int, ...], group: int | None) -> NDArray | None:
    if group is None:
        return np.asarray(dataset["test_loss"].values[place])
    name = "test_loss_by_task"
    return np.asarray(dataset[name].values[place][:, group]) if name in dataset else None
