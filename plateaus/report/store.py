"""Labelled results on disk: an array for each variable, a dimension for each swept field."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.fields import INFINITE
from plateaus.variables import EVALUATIONS, WINDOWS, Variable

NOT_RUN, FINISHED, DIVERGED, UNFINISHED = 0, 1, 2, 3  # values of `status`
# Values of `ended_by`, by their places: why a run has no evaluation after its last one.
ENDINGS = ("not_run", "horizon", "diverged", "escaped", "completed", "stopped")
ENDING_OF = {NOT_RUN: "not_run", FINISHED: "horizon", DIVERGED: "diverged", UNFINISHED: "stopped"}
ORDER = "order"  # attribute of a file: swept field -> places of its values in the sweep's order
Record = Mapping[str, np.ndarray]  # variable -> the values of one run


def assemble(
    records: Mapping[Any, Record],
    sweep: Mapping[str, Sequence[Any]],
    log_every: int,
    eval_every: int,
    attributes: Mapping[str, Any],
    variables: Mapping[str, Variable],
    labels: Mapping[str, Sequence[str]] | None = None,
) -> xr.Dataset:
    """Return the records of runs, keyed by (swept values, seed), on the grid of the sweep.

    Cells without a record hold NaN, and `status` 0, as do the cells of runs that lack a variable. A
    variable has the dimensions (*sweep, seed), its dimension of time, and the axes that `variables`
    declares. These are numbered from 0 or named by `labels`, and padded with NaN in settings where
    they are shorter.

    Raises ValueError where there is no record, or one whose shape does not fit its declaration.
    """
    if not records:
        raise ValueError("no run to assemble")
    seeds = sorted({seed for _, seed in records})
    numbered = [{value: i for i, value in enumerate(values)} for values in sweep.values()]
    grid = (*(len(axis) for axis in numbered), len(seeds))
    places = {
        key: (*(axis[v] for axis, v in zip(numbered, key[0], strict=True)), seeds.index(key[1]))
        for key in records
    }
    lengths: dict[str, int] = {}
    examples: dict[str, np.ndarray] = {}
    for record in records.values():
        for name, value in record.items():
            if name not in variables or len(variables[name].dims) != np.ndim(value):
                dims = variables[name].dims if name in variables else "nothing"
                raise ValueError(f"{name} is of shape {np.shape(value)}, its declaration of {dims}")
            examples[name] = np.asarray(value)
            for dimension, length in zip(variables[name].dims, np.shape(value), strict=True):
                lengths[dimension] = max(length, lengths.get(dimension, 0))
    laid = {}
    for name, example in examples.items():
        variable = variables[name]
        longest = (lengths[dimension] for dimension in variable.dims)
        empty = np.nan if example.dtype.kind == "f" else 0
        array = np.full((*grid, *longest), empty, example.dtype)
        for key, record in records.items():
            if name in record:
                array[places[key] + tuple(map(slice, np.shape(record[name])))] = record[name]
        notes = {"units": variable.units, "long_name": variable.meaning, **variable.notes}
        laid[name] = ((*sweep, "seed", *variable.dims), array, notes)
    coordinates: dict[str, Any] = {name: list(values) for name, values in sweep.items()}
    coordinates["seed"] = seeds
    for dimension, length in lengths.items():
        named = (labels or {}).get(dimension, ())
        coordinates[dimension] = (
            list(named)
            if len(named) == length
            else _coordinate(dimension, length, log_every, eval_every)
        )
    plain = {k: v if isinstance(v, int | str) else json.dumps(v) for k, v in attributes.items()}
    dataset = xr.Dataset(laid, coordinates, plain)
    for name in {WINDOWS, EVALUATIONS} & set(dataset.coords):
        dataset[name].attrs["units"] = "optimiser steps"
    return dataset


def _coordinate(dimension: str, length: int, log_every: int, eval_every: int) -> NDArray[np.int_]:
    if dimension == WINDOWS:
        return log_every * np.arange(1, length + 1)
    return (eval_every if dimension == EVALUATIONS else 1) * np.arange(length)


def readable(dataset: xr.Dataset) -> xr.Dataset:
    """Return the results as they stand in a file: what is infinite is `inf`, numbers ascend.

    So `sel` finds values by what they are, and the nearest of them. The order of the sweep, in
    which tables and figures go, is kept in an attribute; `arranged` goes back to it.

    >>> items = xr.Dataset(coords={"data.items": [INFINITE, 32]}, attrs={"swept": '["data.items"]'})
    >>> readable(items)["data.items"].values.tolist()
    [32.0, inf]
    """
    order = {}
    for name in _swept(dataset):
        values = dataset[name].values
        if values.dtype.kind == "i" and (values == INFINITE).any():
            values = np.where(values == INFINITE, np.inf, values.astype(np.float64))
            dataset = dataset.assign_coords({name: (name, values, dataset[name].attrs)})
        if values.dtype.kind in "if" and (values[1:] < values[:-1]).any():
            ascending = np.argsort(values, kind="stable")
            dataset = dataset.isel({name: ascending})
            order[name] = np.argsort(ascending).tolist()
    return dataset.assign_attrs({ORDER: json.dumps(order)}) if order else dataset


def arranged(dataset: xr.Dataset) -> xr.Dataset:
    """Return what `readable` was given: the values in the order of the sweep, infinity as a number.

    >>> items = xr.Dataset(coords={"data.items": [INFINITE, 32]}, attrs={"swept": '["data.items"]'})
    >>> arranged(readable(items)).identical(items)
    True
    """
    for name in _swept(dataset):
        values = dataset[name].values
        if values.dtype.kind == "f" and np.isinf(values).any():
            numbers = [INFINITE if value == np.inf else int(value) for value in values]
            dataset = dataset.assign_coords({name: (name, numbers, dataset[name].attrs)})
    order = json.loads(dataset.attrs.get(ORDER, "{}"))  # `isel` copies the attributes, too
    dataset = dataset.isel(order)
    dataset.attrs.pop(ORDER, None)
    return dataset


def _swept(dataset: xr.Dataset) -> list[str]:
    return [name for name in json.loads(dataset.attrs.get("swept", "[]")) if name in dataset.coords]


def save(dataset: xr.Dataset, path: Path) -> None:
    """Write the data set as netCDF-4 at `path`; this is not atomic (see `plateaus.files`).

    The file has it as `readable` does.
    """
    readable(dataset).to_netcdf(path, engine="h5netcdf")


def load(path: Path) -> xr.Dataset:
    """Read a data set into memory, as it was when it was saved, and close the file.

    >>> import tempfile
    >>> declared = {"test_loss": Variable("loss"), "status": Variable("", time="")}
    >>> record = {"test_loss": np.zeros(3, np.float32), "status": np.int8(1)}
    >>> records, sweep = {((0.5,), 0): record}, {"data.subset": (0.5, 1.0)}
    >>> dataset = assemble(records, sweep, 10, 100, {"horizon": 200}, declared)
    >>> path = Path(tempfile.mkdtemp()) / "results.nc"
    >>> save(dataset, path)
    >>> load(path).status.values.tolist(), dict(load(path).sizes)
    ([[1], [0]], {'data.subset': 2, 'seed': 1, 'eval_step': 3})
    """
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        return arranged(dataset.load())
