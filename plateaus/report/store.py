"""Labelled results on disk: an array for each variable, a dimension for each swept field."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.variables import EVALUATIONS, WINDOWS, Variable

NOT_RUN, FINISHED, DIVERGED, UNFINISHED = 0, 1, 2, 3  # values of `status`
# Values of `ended_by`, by their places: why a run has no evaluation after its last one.
ENDINGS = ("not_run", "horizon", "diverged", "escaped", "completed", "stopped")
ENDING_OF = {NOT_RUN: "not_run", FINISHED: "horizon", DIVERGED: "diverged", UNFINISHED: "stopped"}
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


def save(dataset: xr.Dataset, path: Path) -> None:
    """Write the data set as netCDF-4 at `path`; this is not atomic (see `plateaus.files`)."""
    dataset.to_netcdf(path, engine="h5netcdf")


def load(path: Path) -> xr.Dataset:
    """Read a data set into memory and close the file.

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
        return dataset.load()
