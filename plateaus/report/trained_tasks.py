"""Which tasks of a mixture the settings of a sweep train on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from plateaus.report.cells import cell, swept_values
from plateaus.report.statistics import Row

START = "start_step_by_task"


def trained(dataset: xr.Dataset, index: Sequence[int]) -> tuple[str, ...]:
    """Return the tasks that a setting draws at any time."""
    drawn = np.isfinite(cell(dataset, START, index)).any(axis=0)
    return tuple(str(name) for name in dataset["task"].values[drawn])


def other_tasks(dataset: xr.Dataset, rows: Sequence[Row]) -> frozenset[tuple[int, ...]]:
    """Return the places of the settings that train on other tasks than their baseline does.

    A mean over their tasks is another quantity than that of the baseline, which need not be one of
    these rows: it may be in another facet.
    """
    if START not in dataset:
        return frozenset()
    swept = swept_values(dataset)

    def apart(row: Row) -> bool:
        baseline = [values.index(row.baseline[name]) for name, values in swept.items()]
        own, theirs = ({*trained(dataset, index)} for index in (row.index, baseline))
        return bool(own and theirs and own != theirs)

    return frozenset(row.index for row in rows if apart(row))
