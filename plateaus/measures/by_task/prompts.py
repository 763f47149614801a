"""How many prompts of a task a step draws."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from plateaus.measures.by_task.distances import ESCAPE, START
from plateaus.report.cells import cell
from plateaus.report.store import NOT_RUN

COUNT, SEQUENCES = "train_count_by_task", "escape_sequences_by_task"


def drawn_a_step(dataset: xr.Dataset, index: Sequence[int], task: str) -> float:
    """Return the prompts of a task in a step of a setting, in four digits; NaN where not recorded.

    Of each run the mean from the task's start to its escape, or to the end of the run; of the runs
    the geometric mean, so that it turns a ratio of steps into one of prompts.
    """
    of_task = dataset.sel(task=task)
    start, step, sequences = (cell(of_task, name, index) for name in (START, ESCAPE, SEQUENCES))
    counts = np.nan_to_num(cell(of_task, COUNT, index))  # [seed, window]
    last = cell(dataset, "last_step", index)
    ends = np.minimum(dataset["step"].values, last[:, None])
    drawn = np.sum(counts * np.diff(ends, axis=1, prepend=0), axis=1)
    escaped = np.isfinite(step) & (step > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(escaped, sequences / step, drawn / (last - start))
    means = means[np.isfinite(means) & (means > 0) & (cell(dataset, "status", index) != NOT_RUN)]
    return float(f"{np.exp(np.log(means).mean()):.4g}") if means.size else math.nan
