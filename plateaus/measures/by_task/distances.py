"""How far a model is from a task's no-context optimum while it is on the plateau."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.report import cells
from plateaus.report.cells import cell
from plateaus.report.selection import interval
from plateaus.report.statistics import Row
from plateaus.report.survival import NOTHING, Interval

ESCAPE, START = "escape_step_by_task", "start_step_by_task"
APART, DISTANCE = "test_distance_by_task_to_no_context", "plateau_distance_by_task"


def distances(of_task: xr.Dataset, index: Sequence[int]) -> NDArray[np.float64]:
    """Return each run's mean distance to a task's no-context optimum on the plateau, [seed].

    `of_task` are the results of one task. NaN without an evaluation there.
    """
    apart = cell(of_task, APART, index)
    start = cell(of_task, START, index)[:, None]
    escape = np.nan_to_num(cell(of_task, ESCAPE, index), nan=np.inf)[:, None]
    # The first tenth of a plateau is the way to it: initial outputs are not the optimum.
    steps = of_task["eval_step"].values[None, :] - start
    last = np.minimum(escape, cells.ends(of_task, index)[:, None] - start)
    on = (steps >= last / 10) & (steps <= last * 0.9)
    usable = [np.isfinite(a[o]).any() for a, o in zip(apart, on, strict=True)]
    means = [
        np.mean(a[o]) if there else np.nan for a, o, there in zip(apart, on, usable, strict=True)
    ]
    return np.array(means)


def plateau_distances(dataset: xr.Dataset, rows: Sequence[Row]) -> dict[str, xr.DataArray]:
    """Return `distances` of all tasks and settings under the name of their variable, if recorded.

    So that the table needs no evaluation but the last.
    """
    if APART not in dataset or ESCAPE not in dataset:
        return {}
    values = np.full(dataset[ESCAPE].shape, np.nan)
    for row in rows:
        for g, task in enumerate(dataset["task"].values):
            if cell(dataset, "status", row.index).any():
                values[row.index][:, g] = distances(dataset.sel(task=task), row.index)
    attributes = {"long_name": "distance to the no-context optimum on the plateau", "units": "1"}
    return {DISTANCE: xr.DataArray(values, dims=dataset[ESCAPE].dims, attrs=attributes)}


def distance(of_task: xr.Dataset, index: Sequence[int]) -> Interval:
    """Return the mean of `distances` over runs, from their variable where it is recorded."""
    if DISTANCE in of_task:
        return interval(cell(of_task, DISTANCE, index).astype(np.float64))
    return interval(distances(of_task, index)) if APART in of_task else NOTHING
