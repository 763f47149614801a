"""curves.csv.gz: curves thinned to 60 steps, and all else that figures and tables read.

The first line is a comment in JSON: the version, the attributes, coordinates and declarations of
results.nc. Then a row a number: the swept fields, the seed, the task, the variable, its place along
other axes ("layer=0;head=1"), the step (empty of what is constant over a run), the value.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.report.kept_columns import is_in_runs
from plateaus.report.kept_runs import number_text, runs, value_text
from plateaus.report.store import NOT_RUN
from plateaus.variables import EVALUATIONS, TASK, WINDOWS

FILE = "curves.csv.gz"
VERSION = 1
STEPS = 60
DIGITS = 4  # of a curve between its ends


def chosen(count: int, most: int = STEPS) -> NDArray[np.int_]:
    """Return places spaced evenly in logarithm among so many, the first and the last with them.

    >>> chosen(5).tolist(), chosen(101, 6).tolist()
    ([0, 1, 2, 3, 4], [0, 1, 3, 10, 32, 100])
    """
    if count <= most:
        return np.arange(count)
    number = most - 1
    while True:  # the first few fall on one another
        spaced = np.unique(np.geomspace(1, count - 1, number).round().astype(int))
        if spaced.size >= most - 1 or number > 8 * most:
            return np.concatenate([[0], spaced])
        number += 1


def thinned(dataset: xr.Dataset, also: Collection[int] = ()) -> xr.Dataset:
    """Return the results with few steps; evaluations at the steps `also` are there in any case.

    What is recorded by window becomes the mean since the window before that is there.
    """
    steps = dataset[EVALUATIONS].values
    places = np.union1d(chosen(steps.size), np.flatnonzero(np.isin(steps, [*also])))
    fewer = dataset.isel({EVALUATIONS: places})
    if not dataset.sizes.get(WINDOWS):  # none recorded, or none come to yet
        return fewer
    ends = chosen(dataset.sizes[WINDOWS])
    means = {
        str(name): _means(variable, ends)
        for name, variable in dataset.data_vars.items()
        if WINDOWS in variable.dims
    }
    return fewer.isel({WINDOWS: ends}).assign(means)


def _means(variable: xr.DataArray, ends: NDArray[np.int_]) -> xr.DataArray:
    """Return the means over the windows up to each of `ends`, of those that are numbers."""
    axis, values = variable.dims.index(WINDOWS), variable.values
    first = np.concatenate([[0], ends[:-1] + 1])
    usable = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        total = np.add.reduceat(np.where(usable, values, 0).astype(np.float64), first, axis)
        means = (total / np.add.reduceat(usable.astype(np.int64), first, axis)).astype(values.dtype)
    return variable.isel({WINDOWS: ends}).copy(data=means)


def content(dataset: xr.Dataset, also: Collection[int], at_the_end: Collection[str]) -> bytes:
    """Return the file's bytes: the same for the same results.

    `also`: evaluations that are kept in full. `at_the_end`: axes; of a variable with one of them
    the last evaluation is kept alone.
    """
    fewer = thinned(dataset, also)
    exact = {*also, *fewer[EVALUATIONS].values[[0, -1]].tolist()}
    header = {
        "version": VERSION,
        "attributes": {name: _plain(value) for name, value in dataset.attrs.items()},
        "coordinates": {
            str(name): [coordinate.values.tolist(), _attributes(coordinate)]
            for name, coordinate in fewer.coords.items()
        },
        "sizes": {str(name): size for name, size in fewer.sizes.items()},
        "variables": {
            str(name): [list(variable.dims), str(variable.dtype), _attributes(variable)]
            for name, variable in fewer.data_vars.items()
        },
    }
    stream = io.StringIO()
    stream.write(f"# {json.dumps(header)}\n")
    writer = csv.writer(stream, lineterminator="\n")
    members = [run for run in runs(fewer) if fewer["status"].values[run[0]] != NOT_RUN]
    names = [*members[0][1]] if members else []
    writer.writerow([*names, "task", "variable", "axis", "step", "value"])
    for name, variable in fewer.data_vars.items():
        if is_in_runs(str(name)):
            continue
        ends = bool({*variable.dims} & {*at_the_end})
        for place, values in members:
            for task, axis, step, number in _entries(variable, len(place), place, ends):
                full = step == "" or step in exact or variable.dtype.kind != "f"
                value = number_text(number) if full else f"{number:.{DIGITS}g}"
                writer.writerow([*values.values(), task, name, axis, step, value])
    return gzip.compress(stream.getvalue().encode(), 9, mtime=0)


def _entries(
    variable: xr.DataArray, grid: int, place: tuple[int, ...], ends: bool
) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield (task, axis, step, number) of one run's numbers, a curve after another."""
    dims, values = [str(dim) for dim in variable.dims[grid:]], variable.values[place]
    time = next((dim for dim in dims if dim in (EVALUATIONS, WINDOWS)), None)
    steps: list[Any] = [""] if time is None else variable[time].values.tolist()
    curves = values[None] if time is None else np.moveaxis(values, dims.index(time), 0)
    if time is not None and ends:
        steps, curves = steps[-1:], curves[-1:]
    others = [dim for dim in dims if dim != time]
    for at, (task, axis) in axis_texts(variable, others):
        for step, number in zip(steps, curves[(slice(None), *at)], strict=True):
            if number == number:
                yield task, axis, step, number


def axis_texts(
    variable: xr.DataArray | xr.Dataset, dims: list[str]
) -> Iterator[tuple[tuple[int, ...], tuple[str, str]]]:
    """Yield the places along dimensions with (task, text of the others), as they stand in rows."""
    names = [list(map(value_text, variable[dim].values.tolist())) for dim in dims]
    for at in np.ndindex(*map(len, names)):
        named = [
            (dim, names[i][place]) for i, (dim, place) in enumerate(zip(dims, at, strict=True))
        ]
        task = next((value for dim, value in named if dim == TASK), "")
        yield at, (task, ";".join(f"{dim}={value}" for dim, value in named if dim != TASK))


def _attributes(array: xr.DataArray) -> dict[str, Any]:
    return {str(name): _plain(value) for name, value in array.attrs.items()}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float) else np.asarray(value).tolist()
