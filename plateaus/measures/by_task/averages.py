"""Means over the mixtures with one number of tasks, seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.measures.by_task import rows as by_task
from plateaus.measures.by_task.rows import TaskRow
from plateaus.report import cells, survival

Averaged = Mapping[tuple[int, str], NDArray[np.float64]]  # by number of tasks and task, [seed]


def by_count(
    dataset: xr.Dataset, task_rows: Sequence[TaskRow], variable: str
) -> dict[tuple[int, str], NDArray[np.float64]]:
    """Return, by number of tasks and task, each seed's mean over settings of min(T, horizon).

    Of the settings of which it is known for each seed: all runs were started, and none stopped.
    """
    horizon = float(dataset.attrs["horizon"])
    parts: dict[tuple[int, str], list[NDArray[np.float64]]] = {}
    for row in task_rows:
        times = by_task.passages(dataset, row.index, row.task, variable).times
        stopped = np.isin(cells.endings(dataset, row.index), ["stopped", *cells.AT_EVENT]).any()
        if times.size == dataset.sizes["seed"] and not stopped:
            parts.setdefault((len(row.tasks), row.task), []).append(np.minimum(times, horizon))
    return {key: np.mean(times, axis=0) for key, times in parts.items()}


def seed_ratios(
    averaged: Averaged, number: int, tasks: Sequence[str], horizon: float | int
) -> NDArray[np.float64]:
    """Return the logarithm of the ratio to the task alone, each seed's mean over tasks, [seed].

    But for tasks that the seed does not pass by the horizon either way, which say nothing of it;
    seeds of which nothing is known are left out.
    """
    logs = [
        np.where(
            np.minimum(averaged[number, task], averaged[1, task]) < horizon,
            np.log(averaged[number, task] / averaged[1, task]),
            np.nan,
        )
        for task in tasks
        if (number, task) in averaged and (1, task) in averaged
    ]
    by_seed = survival.mean_band(np.array(logs))[0] if logs else np.array([])
    return by_seed[np.isfinite(by_seed)]
