"""Labelled results on disk: one array a variable, one dimension a swept field, and `seed`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

NOT_RUN, FINISHED, DIVERGED = 0, 1, 2
Record = Mapping[str, np.ndarray]  # variable -> the values of one run
Axes = Callable[[str], tuple[str, ...]]  # variable -> the dimensions it has beside time

_PASSAGE = "first evaluation at which the mean over three evaluations of the normalised test loss"
MEANING = {
    "train_loss": ("loss", "training loss, mean over the log window that ends at `step`"),
    "test_loss": ("loss", "loss on the test law"),
    "uninformed_loss": (
        "loss",
        "test loss of the best predictor that has not learned: the plateau",
    ),
    "best_loss": ("loss", "test loss of the optimal predictor"),
    "escape_step": ("optimiser steps", f"{_PASSAGE} is under 0.8; NaN if never"),
    "half_step": ("optimiser steps", f"{_PASSAGE} is under 0.5; NaN if never"),
    "completion_step": ("optimiser steps", f"{_PASSAGE} is under 0.1; NaN if never"),
    "batch_size": ("examples", "examples to an optimiser step"),
    "parameters": ("1", "numbers in the model's weights"),
    "mixed_step": (
        "optimiser steps",
        "first evaluation at which, over three, P on the answers of a mixture's tasks is above 1/2",
    ),
    "trained_escape_step": ("optimiser steps", "escape_step, of the loss on trained items only"),
    "trained_half_step": ("optimiser steps", "half_step, of the loss on trained items only"),
    "trained_completion_step": ("optimiser steps", "completion_step, likewise"),
    "attention_retrospective": ("1", "attention of the y tokens to their own x, mean"),
    "attention_previous": ("1", "attention of the tokens to the one before, mean"),
    "attention_induction": ("1", "attention to what came after the token before, mean"),
    "ablation_loss_retrospective": ("loss", "test loss without the most retrospective heads"),
    "ablation_loss_random": ("loss", "test loss without as many other heads, drawn at random"),
    "sharpness": ("loss", "largest eigenvalue of the training loss's Hessian"),
    "sharpness_lowest": ("loss", "smallest eigenvalue of the training loss's Hessian"),
    "gradient_norm": ("loss", "norm of the training loss's gradient"),
    "status": ("1", "what became of the run"),
    "last_step": ("optimiser steps", "last step with a finite loss, or the horizon"),
}
_STATUS = {"flag_values": [0, 1, 2], "flag_meanings": "not_run finished diverged"}


def assemble(
    records: Mapping[Any, Record],
    sweep: Mapping[str, Sequence[Any]],
    log_every: int,
    eval_every: int,
    attributes: Mapping[str, Any],
    axes: Axes = lambda name: (),
    labels: Mapping[str, Sequence[str]] | None = None,
) -> xr.Dataset:
    """Lay the records of runs, keyed by (swept values, seed), out on the grid of the sweep.

    Cells without a record hold NaN, and `status` 0; so do those of runs without a variable that
    others have. A variable that is scalar in the records has the dimensions (*sweep, seed);
    `train_*` have `step` too, any other curve `eval_step`. `axes` are the dimensions that a
    variable has of its own; it ends in them, numbered from 0, or named by `labels`, and padded with
    NaN where a setting's are shorter; with nothing but them, it is constant over a run.

    Raises ValueError without any record, and for a variable whose dimensions are not told.
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
    every = {name: value for record in records.values() for name, value in record.items()}
    coordinates: dict[str, Any] = {name: list(values) for name, values in sweep.items()}
    coordinates["seed"] = seeds
    tails = {name: _dimensions(name, np.ndim(value), axes) for name, value in every.items()}
    lengths: dict[str, int] = {}  # of each dimension, the longest of any run's
    for record in records.values():
        for name, value in record.items():
            for dimension, length in zip(tails[name], np.shape(value), strict=True):
                lengths[dimension] = max(length, lengths.get(dimension, 0))
    for dimension, length in lengths.items():
        coordinates[dimension] = _coordinate(dimension, length, log_every, eval_every)
        if dimension in (labels or {}):
            coordinates[dimension] = list(labels[dimension])  # type: ignore[index] # as tested
    variables = {}
    for name, value in every.items():
        kind = np.asarray(value).dtype
        whole = (*grid, *(lengths[dimension] for dimension in tails[name]))
        array = np.full(whole, np.nan if kind.kind == "f" else 0, kind)
        for key, record in records.items():
            if name in record:
                array[places[key] + tuple(map(slice, np.shape(record[name])))] = record[name]
        units, meaning = MEANING.get(name, ("1", name.replace("_", " ")))
        notes = {"units": units, "long_name": meaning} | (_STATUS if name == "status" else {})
        variables[name] = ((*sweep, "seed", *tails[name]), array, notes)
    plain = {k: v if isinstance(v, int | str) else json.dumps(v) for k, v in attributes.items()}
    dataset = xr.Dataset(variables, coordinates, plain)
    for name in {"step", "eval_step"} & set(dataset.coords):
        dataset[name].attrs["units"] = "optimiser steps"
    return dataset


def fault(name: str, rank: int, axes: Axes) -> str | None:
    """Return what is wrong with a record of so many dimensions beside time, if anything is.

    >>> fault("spectrum", 1, lambda name: ())
    'spectrum has 1 dimension of its own, but no axes: name them in instruments.AXES'
    >>> fault("spectrum", 1, lambda name: ("frequency",)) is None
    True
    """
    named = axes(name)
    if len(named) == rank:
        return None
    beside = f"{name} has {rank or 'no'} dimension{'s' * (rank != 1)} of its own"
    if not named:
        return f"{beside}, but no axes: name them in instruments.AXES"
    return f"{beside}, but the axes {', '.join(named)}"


def _dimensions(name: str, rank: int, axes: Axes) -> tuple[str, ...]:
    """Return the dimensions of one run's record of a variable: time is what is beside its own."""
    own = axes(name)
    time = ("step" if name.startswith("train_") else "eval_step",) if rank > len(own) else ()
    if wrong := fault(name, rank - len(time), axes):
        raise ValueError(wrong)
    return (*time, *own)


def _coordinate(dimension: str, length: int, log_every: int, eval_every: int) -> NDArray[np.int_]:
    if dimension == "step":
        return log_every * np.arange(1, length + 1)
    return (eval_every if dimension == "eval_step" else 1) * np.arange(length)


def save(dataset: xr.Dataset, path: Path) -> None:
    """Write the data set as netCDF-4 at `path` (aside and renaming is the caller's affair)."""
    dataset.to_netcdf(path, engine="h5netcdf")


def load(path: Path) -> xr.Dataset:
    """Read a data set into memory and close the file.

    >>> import tempfile
    >>> record = {"test_loss": np.zeros(3, np.float32), "status": np.int8(1)}
    >>> records, sweep = {((0.5,), 0): record}, {"data.subset": (0.5, 1.0)}
    >>> dataset = assemble(records, sweep, 10, 100, {"horizon": 200})
    >>> path = Path(tempfile.mkdtemp()) / "results.nc"
    >>> save(dataset, path)
    >>> load(path).status.values.tolist(), dict(load(path).sizes)
    ([[1], [0]], {'data.subset': 2, 'seed': 1, 'eval_step': 3})
    """
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        return dataset.load()
