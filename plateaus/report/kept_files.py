"""Results from runs.csv and curves.csv.gz: all that figures and tables read, without results.nc."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from plateaus.report import kept_columns, kept_curves, kept_runs
from plateaus.report.kept_columns import FLAGS, Column
from plateaus.report.kept_curves import axis_texts
from plateaus.report.kept_runs import names_of
from plateaus.variables import EVALUATIONS, TASK, WINDOWS


def from_csv(folder: str | os.PathLike[str]) -> xr.Dataset:
    """Return the results of a run folder as its runs.csv and curves.csv.gz hold them.

    As results.nc has them, with at most about 60 evaluations and windows. Every table and figure
    can be made of it.

    Raises:
      ValueError: if a file is of another version of the columns.
    """
    place = Path(folder)
    stream = io.StringIO(gzip.decompress((place / kept_curves.FILE).read_bytes()).decode())
    header = json.loads(stream.readline().removeprefix("#"))
    _check(kept_curves.FILE, header["version"], (kept_curves.VERSION,))
    with (place / kept_runs.FILE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        _check(kept_runs.FILE, int(row["version"]), kept_columns.READ)
    columns = kept_columns.of_file(rows[0] if rows else ())
    dataset = _empty(header, rows, columns)
    places = {tuple(names.values()): at for at, names in kept_runs.runs(dataset)}
    keys = [*next(kept_runs.runs(dataset))[1]]
    _fill_runs(dataset, rows, columns, {**places}, keys)
    _fill_curves(dataset, csv.reader(stream), {**places}, len(keys))
    return dataset


def _check(file: str, version: int, known: tuple[int, ...]) -> None:
    if version not in known:
        read = " and ".join(map(str, known))
        raise ValueError(f"{file}: its columns are of version {version}; this reads {read}")


def _empty(
    header: dict[str, Any], rows: list[dict[str, str]], columns: dict[str, Column]
) -> xr.Dataset:
    """Return the declared results without a number."""
    coordinates = {
        name: xr.DataArray(values, dims=name, attrs=attributes)
        for name, (values, attributes) in header["coordinates"].items()
    }
    declared = dict(header["variables"])
    grid = [*json.loads(header["attributes"]["swept"]), "seed"]
    for title, column in columns.items():  # of what follows from whole curves
        for name, dims in ((column.whole, grid), (column.by_task, [*grid, TASK])):
            if name and name not in declared and _has(rows, title, dims != grid):
                of_losses = column.units == "loss"
                kind = header["variables"]["test_loss"][1] if of_losses else "float64"
                declared[name] = [dims, kind, {"long_name": column.meaning, "units": column.units}]
    data = {}
    for name, (dims, kind, attributes) in declared.items():
        shape = [header["sizes"][dim] for dim in dims]
        empty = np.full(shape, np.nan if np.dtype(kind).kind == "f" else 0, kind)
        data[name] = (dims, empty, attributes)
    return xr.Dataset(data, coordinates, header["attributes"])


def _has(rows: list[dict[str, str]], column: str, by_task: bool) -> bool:
    return any(row[column] for row in rows if bool(row["task"]) == by_task)


def _fill_runs(
    dataset: xr.Dataset,
    rows: list[dict[str, str]],
    columns: dict[str, Column],
    places: dict[Any, Any],
    keys: list[str],
) -> None:
    groups = [str(name) for name in dataset[TASK].values] if TASK in dataset.coords else []
    for row in rows:
        place = places[tuple(row[key] for key in keys)]
        for name, column in columns.items():
            variable = column.by_task if row["task"] else column.whole
            if not row[name] or not variable or variable not in dataset:
                continue
            at = (*place, groups.index(row["task"])) if row["task"] else place
            array = dataset[variable]
            value: Any = row[name]
            if name in FLAGS:
                value = names_of(name, array.attrs).index(value)
            array.values[at] = value


def _fill_curves(dataset: xr.Dataset, rows: Any, places: dict[Any, Any], keys: int) -> None:
    next(rows)
    steps = {
        time: {str(step): i for i, step in enumerate(dataset[time].values.tolist())}
        for time in (EVALUATIONS, WINDOWS)
        if time in dataset.coords
    }
    known: dict[str, tuple[Any, ...]] = {}
    for row in rows:
        *run, task, name, axis, step, value = row
        if name not in known:
            dims = [str(dim) for dim in dataset[name].dims[keys:]]
            time = next((dim for dim in dims if dim in steps), None)
            others = [dim for dim in dims if dim != time]
            at_texts = {text: at for at, text in axis_texts(dataset, others)}
            known[name] = dataset[name].values, time, dims, at_texts
        values, time, dims, at_texts = known[name]
        at = list(at_texts[task, axis])
        if time is not None:
            at.insert(dims.index(time), steps[time][step])
        values[(*places[tuple(run)], *at)] = value
