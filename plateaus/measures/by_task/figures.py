"""Figures of mixtures of tasks: a panel for each task, its curves under every setting.

Every function takes the labelled results and their table, and returns a figure, or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plateaus.measures.by_task.grid import each_task
from plateaus.measures.by_task.rows import COUNT, ESCAPE, START, passages, refusal
from plateaus.report import bands, panels, survival
from plateaus.report.selection import (
    came_to_the_end,
    followed,
    is_followed,
    last,
    running_mean,
    settings_with,
)
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look

STEPS = "optimiser steps"
TEST_LOSS = "test_loss_by_task"
BY_PREFIX = "test_loss_by_prefix_by_task"
BEST_DASH = (0, (4, 2))
FLOOR = 1e-5  # of distances, that a logarithmic axis can show them


def losses(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return each task's training loss, of each run a running mean over 100 steps.

    In units of the no-context loss: the plateau is at 1 (dotted), and a run escapes below 0.8
    (dotted); a panel's title says how many do. The median over seeds; of up to 6 settings also the
    middle half of the seeds or, of fewer than 8, each seed as a thin line. Narrow and dotted, where
    a setting does not draw the task: its test loss, in the same units. Grey and dashed: the loss of
    the Bayes-optimal or best known predictor that is told the family; in a mixture, where nothing
    tells it, the least loss is higher. With more than 8 settings a line is the first with so many
    tasks.
    """
    name = "train_loss_by_task"
    if name not in dataset:
        return None

    def draw(axes: Axes, row: Row, task: str, look: Look, spread: bool) -> None:
        of_task = dataset.sel(task=task)
        curves = averaged_losses(of_task, name, row)
        steps, evaluations = dataset["step"].values, dataset["eval_step"].values
        bands.median_curve(axes, steps, curves, look, spread=spread)
        if TEST_LOSS in dataset and COUNT in dataset:
            drawn = np.asarray(np.nansum(followed(of_task, COUNT, row), axis=0) > 0)
            window = np.searchsorted(steps, evaluations)  # in which an evaluation lies, or before
            away = ~drawn[np.minimum(window, len(steps) - 1)]
            test = np.where(away, followed(of_task, TEST_LOSS, row), np.nan)
            bands.median_curve(axes, evaluations, test, look, spread=False, lw=0.8, ls=":")
        for level in (0.8, 1.0):
            axes.axhline(level, ls=":", lw=0.8, color=GREY)
        best = best_by_prefix(of_task, row)
        if best is not None:
            axes.axhline(float(best.mean()), ls=BEST_DASH, lw=1.0, color=GREY)

    label = "training loss / no-context loss\n(dotted: plateau 1, escape 0.8)"
    return each_task(dataset, rows, draw, label, STEPS)


def mechanism(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return how far the model is from each task's no-context optimum, over training.

    The mean squared distance of the outputs to those that are best without context (of
    probabilities, where y is boolean), on a logarithmic axis from 1e-5 on: small while a model says
    just that, which is the plateau. The median over seeds; of up to 6 settings also the middle half
    of the seeds or, of fewer than 8, each seed as a thin line. A triangle on a line: the median
    step of the task's escape, where the plateau ends; a panel's title says how many runs escape.
    With more than 8 settings a line is the first with so many tasks. Source: paper 2, mechanism.
    """
    apart = "test_distance_by_task_to_no_context"
    if apart not in dataset:
        return None

    def draw(axes: Axes, row: Row, task: str, look: Look, spread: bool) -> None:
        of_task, steps = dataset.sel(task=task), dataset["eval_step"].values
        values, later = np.maximum(followed(of_task, apart, row), FLOOR), steps > 0
        bands.median_curve(axes, steps[later], values[:, later], look, spread=spread)
        step = _median_escape(dataset, row, task)
        if np.isfinite(step):
            middle = np.interp(step, steps, bands.quartiles(values)[0])
            style: dict[str, Any] = {"ms": 7, "mec": "black", "mew": 0.8, "zorder": 4}
            axes.plot([step], [middle], "v", color=look.color, **style)
        panels.log_axis(axes)

    label = "squared distance to the\nno-context outputs"
    return each_task(dataset, rows, draw, label, STEPS)


def _median_escape(dataset: xr.Dataset, row: Row, task: str) -> float:
    """Return the median step, from the run's beginning, at which a task is escaped; or inf."""
    if ESCAPE not in dataset or refusal(dataset, row.index, task, ESCAPE):
        return float("inf")
    runs = passages(dataset, row.index, task, ESCAPE)
    start = followed(dataset.sel(task=task), START, row)
    if not runs.times.size or not np.isfinite(start).any():
        return float("inf")
    return survival.median_time(runs.times, runs.escaped).value + float(np.nanmedian(start))


def sequences(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return each task's test loss against the prompts of that task drawn in training.

    So that a mixture that gives a task few of its prompts is compared at equal data of it. In units
    of the no-context loss: the plateau is at 1 (dotted). The median over seeds; of up to 6 settings
    also the middle half of the seeds or, of fewer than 8, each seed as a thin line. With more than
    8 settings a line is the first with so many tasks.
    """
    name = COUNT
    later_on = dataset.isel(eval_step=slice(1, None))  # in log scale there is nothing at no prompt
    if name not in dataset or not settings_with(later_on, rows, TEST_LOSS):
        return None
    ends, evaluations = dataset["step"].values, dataset["eval_step"].values
    at = np.searchsorted(ends, evaluations, side="right") - 1  # the last window before each

    def draw(axes: Axes, row: Row, task: str, look: Look, spread: bool) -> None:
        of_task = dataset.sel(task=task)
        if not is_followed(dataset, row).any():
            return
        counts = followed(of_task, name, row) * np.diff(ends, prepend=0)
        seen = np.nancumsum(counts, axis=1).mean(axis=0)
        later = (at >= 0) & (seen[np.maximum(at, 0)] > 0)
        values = followed(of_task, TEST_LOSS, row)[:, later]
        bands.median_curve(axes, seen[at[later]], values, look, spread=spread)
        axes.axhline(1.0, ls=":", lw=0.8, color=GREY)
        panels.log_axis(axes, "x")

    label = "test loss / no-context loss\n(dotted: plateau 1)"
    return each_task(dataset, rows, draw, label, "prompts of the task drawn so far")


def prefixes(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return each task's loss by the number of points before the query, at the end of training.

    In units of the no-context loss (dotted: 1). The median over seeds; of up to 6 settings also the
    middle half of the seeds or, of fewer than 8, each seed as a thin line. Grey and dashed: the
    Bayes-optimal or best known predictor, where there is one. With more than 8 settings a line is
    the first with so many tasks.
    """
    name = BY_PREFIX
    if not came_to_the_end(dataset, rows, name):
        return None

    def draw(axes: Axes, row: Row, task: str, look: Look, spread: bool) -> None:
        of_task, where = dataset.sel(task=task), dataset["prefix"].values
        bands.median_curve(axes, where, last(of_task, name, row), look, spread=spread)
        best = best_by_prefix(of_task, row)
        if best is not None:
            axes.plot(where, best, color=GREY, ls=BEST_DASH, lw=1.0)
        axes.axhline(1.0, ls=":", lw=0.8, color=GREY)

    label = "loss / no-context loss\n(dotted: 1; dashed: best known)"
    return each_task(dataset, rows, draw, label, "points before the query")


def best_by_prefix(of_task: xr.Dataset, row: Row) -> NDArray[np.float64] | None:
    """Return the loss of the best known predictor at each prefix, or None where none is known.

    Of Bayes' rule for the task's own family; the median over seeds, as their test samples differ.
    """
    known, best = (f"{BY_PREFIX}_of_{predictor}" for predictor in ("known", "in_context"))
    if best not in of_task or of_task[best].equals(of_task[known].rename(best)):
        return None
    return bands.quartiles(followed(of_task, best, row))[0]


def averaged_losses(dataset: xr.Dataset, name: str, row: Row) -> NDArray[np.float64]:
    """Return a variable of training windows, [run, .., window], as running means over 100 steps."""
    steps, values = dataset["step"].values, followed(dataset, name, row)
    widths = np.diff(steps, prepend=0)
    if np.ptp(widths) == 0:
        return running_mean(values, max(1, round(100 / int(steps[0]))))
    # Of thinned curves, which are means over longer and longer windows.
    first = np.searchsorted(steps, steps - 100, side="right")
    return np.stack(
        [
            survival.mean_band(np.moveaxis(values[:, i : j + 1], 1, 0))[0]
            for j, i in enumerate(first)
        ],
        axis=1,
    )
