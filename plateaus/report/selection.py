"""What figures and tables read of the results: variables by their family, runs alike in length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from plateaus.report import survival
from plateaus.report.cells import cell, followed_runs
from plateaus.report.statistics import Row
from plateaus.report.survival import Interval
from plateaus.variables import EVALUATIONS, TASK, WINDOWS


def of_family(dataset: xr.Dataset, family: str, **facts: Any) -> dict[str, xr.DataArray]:
    """Return the variables of a family, not by task, in their order: see `Variable.of`.

    `facts` are the values of further attributes.

    >>> norm = ("seed", [1.0], {"family": "weight_norm", "layer": "readout"})
    >>> list(of_family(xr.Dataset({"norm": norm, "weight_norm_x": ("seed", [1.0])}), "weight_norm"))
    ['norm']
    """
    members = dataset.filter_by_attrs(family=family, **facts).data_vars.items()
    return {str(name): variable for name, variable in members if TASK not in variable.dims}


def recorded(dataset: xr.Dataset, name: str) -> bool:
    """Return whether any run has a number of this name."""
    return name in dataset and bool(np.isfinite(dataset[name]).any())


def settings_with(dataset: xr.Dataset, rows: Sequence[Row], name: str) -> list[Row]:
    """Return the settings with a run that has a number of this name."""
    if name not in dataset:
        return []
    return [row for row in rows if np.isfinite(followed(dataset, name, row)).any()]


def is_followed(dataset: xr.Dataset, row: Row) -> NDArray[np.bool_]:
    """Return of which runs of a setting the curves are means, [seed]: see `followed_runs`."""
    return followed_runs(dataset, row.index)[0]


def followed(
    dataset: xr.Dataset, name: str, row: Row, *, whole: bool = False
) -> NDArray[np.float64]:
    """Return a variable of the runs of a setting that are followed to one step, [run, ..].

    NaN where not finite and, of what has a dimension of time, after the last step to which all
    these runs are followed. With `whole` each goes to its end, for what is a statistic of each run.
    """
    chosen, end = followed_runs(dataset, row.index)
    values = cell(dataset, name, row.index).astype(np.float64)[chosen]
    values = np.where(np.isfinite(values), values, np.nan)
    times = [dim for dim in dataset.variables[name].dims if dim in (EVALUATIONS, WINDOWS)]
    if times and not whole:
        values[:, dataset.variables[times[0]].values > end] = np.nan
    return values


def last(dataset: xr.Dataset, name: str, row: Row) -> NDArray[np.float64]:
    """Return a variable of the followed runs of a setting at the horizon; NaN if they end before.

    That is, of the runs that came to the horizon, and of none where some stopped at their event.
    Results go as far as their longest run, so that their last evaluation may lie before it.
    """
    values = followed(dataset, name, row)[:, -1]
    there = dataset[EVALUATIONS].values[-1] == dataset.attrs["horizon"]
    return values if there else np.full_like(values, np.nan)


def came_to_the_end(dataset: xr.Dataset, rows: Sequence[Row], name: str) -> list[Row]:
    """Return the settings whose followed runs have a number of this name at the horizon."""
    if name not in dataset:
        return []
    return [row for row in rows if np.isfinite(last(dataset, name, row)).any()]


def interval(values: NDArray) -> Interval:
    """Return the mean over runs that are numbers, and its 95% t interval, of enough of them.

    >>> interval(np.array([1.0, np.nan])).value
    1.0
    """
    return survival.mean_interval(values[np.isfinite(values)])


def running_mean(values: ArrayLike, window: int, *, centred: bool = False) -> NDArray[np.float64]:
    """Return the mean over the last `window` entries, or those around, that are numbers.

    Along the last axis; fewer at its ends.

    >>> running_mean([[2.0, 4.0, np.nan, 6.0]], 2).tolist()
    [[2.0, 3.0, 4.0, 6.0]]
    """
    numbers = np.asarray(values, np.float64)
    array = xr.DataArray(np.where(np.isfinite(numbers), numbers, np.nan))
    size = {array.dims[-1]: min(window, array.shape[-1])}
    return array.rolling(size, min_periods=1, center=centred).mean().values
