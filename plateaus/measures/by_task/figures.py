"""Figures of mixtures of tasks: a panel for each task, its curves under every setting.

Every function takes the labelled results and their table, and returns a figure, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plateaus.measures.by_task.rows import trained
from plateaus.report import panels, survival, table
from plateaus.report.facets import label_outer, legend_above, panel_grid, shortened
from plateaus.report.selection import (
    came_to_the_end,
    followed,
    is_followed,
    last,
    running_mean,
    settings_with,
)
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look, looks, styled

MOST = 8  # settings that a panel can hold
COLUMNS = 4


def losses(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return each task's training loss, a running mean over 100 steps: mean of seeds, 95% band.

    In units of the no-context loss: every plateau is at 1, and .8 (dotted) is the escape.
    """
    name = "train_loss_by_task"
    if name not in dataset:
        return None

    def draw(axes: Axes, row: Row, task: str, look: Look) -> None:
        curves = averaged_losses(dataset.sel(task=task), name, row)
        panels.mean_curve(axes, dataset["step"].values, curves, look)
        for level in (0.8, 1.0):
            axes.axhline(level, ls=":", lw=0.8, color=GREY)

    return each_task(dataset, rows, draw, "training loss / no-context loss", "optimiser steps")


def mechanism(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return how far the model is from each task's no-context optimum, over training (log).

    Solid: squared distance to it (of probabilities, where y is boolean); thin and dotted: the
    task's test loss. On the plateau the loss is 1 and the distance small. Source: paper 2,
    mechanism.
    """
    apart = "test_distance_by_task_to_no_context"
    if apart not in dataset:
        return None

    def draw(axes: Axes, row: Row, task: str, look: Look) -> None:
        of_task, steps = dataset.sel(task=task), dataset["eval_step"].values
        for name, width, dash in ((apart, 1.4, "-"), ("test_loss_by_task", 0.9, ":")):
            mean, _ = survival.mean_band(followed(of_task, name, row))
            axes.plot(steps, np.maximum(mean, 1e-5), color=look.color, lw=width, ls=dash)
        panels.log_axis(axes)

    label = "distance to no-context (dotted: loss)"
    return each_task(dataset, rows, draw, label, "optimiser steps")


def sequences(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return each task's test loss against the prompts of that task seen in training (log).

    So that a mixture that gives a task few of its prompts is compared at equal data of it.
    """
    name, loss = "train_count_by_task", "test_loss_by_task"
    later_on = dataset.isel(eval_step=slice(1, None))  # in log scale there is nothing at no prompt
    if name not in dataset or not settings_with(later_on, rows, loss):
        return None
    ends, evaluations = dataset["step"].values, dataset["eval_step"].values
    at = np.searchsorted(ends, evaluations, side="right") - 1  # the last window before each

    def draw(axes: Axes, row: Row, task: str, look: Look) -> None:
        of_task = dataset.sel(task=task)
        if not is_followed(dataset, row).any():
            return
        counts = followed(of_task, name, row) * np.diff(ends, prepend=0)
        seen = np.nancumsum(counts, axis=1).mean(axis=0)
        mean, _ = survival.mean_band(followed(of_task, loss, row))
        later = (at >= 0) & (seen[np.maximum(at, 0)] > 0)
        axes.plot(seen[at[later]], mean[later], **look.line)
        axes.axhline(1.0, ls=":", lw=0.8, color=GREY)
        panels.log_axis(axes, "x")

    return each_task(dataset, rows, draw, "test loss / no-context loss", "prompts of the task")


def prefixes(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return each task's loss by the number of points before the query, at the end of training.

    Dashed: the Bayes-optimal or best known predictor, where there is one.
    """
    name = "test_loss_by_prefix_by_task"
    if not came_to_the_end(dataset, rows, name):
        return None

    def draw(axes: Axes, row: Row, task: str, look: Look) -> None:
        of_task, where = dataset.sel(task=task), dataset["prefix"].values
        mean, _ = survival.mean_band(last(of_task, name, row))
        axes.plot(where, mean, color=look.color, lw=look.width)
        known, best = (f"{name}_of_{predictor}" for predictor in ("known", "in_context"))
        if best in of_task and not of_task[best].equals(of_task[known].rename(best)):
            level = survival.mean_band(followed(of_task, best, row))[0]
            axes.plot(where, level, color=GREY, ls=(0, (4, 2)), lw=1.0)
        axes.axhline(1.0, ls=":", lw=0.8, color=GREY)
        axes.set_ylim(0, 1.6)

    return each_task(dataset, rows, draw, "loss / no-context loss", "points before the query")


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


def each_task(
    dataset: xr.Dataset,
    rows: Sequence[Row],
    draw: Callable[[Axes, Row, str, Look], None],
    ylabel: str,
    xlabel: str,
) -> Figure | None:
    """Return a panel for each task with what `draw` draws of every setting that trains on it.

    Of more settings than a panel holds: the first with each number of tasks.
    """
    tasks = [str(name) for name in dataset["task"].values]
    sets = {row.index: trained(dataset, row.index) for row in rows}
    tasks = [task for task in tasks if any(task in chosen for chosen in sets.values())]
    if not tasks:
        return None
    with styled():
        columns = min(COLUMNS, len(tasks))
        lines = -(-len(tasks) // columns)
        figure = Figure(figsize=(0.6 + 2.7 * columns, 0.9 + 2.2 * lines), layout="constrained")
        grid = panel_grid(figure, len(tasks), columns, sharex=True)
        shown = {task: _shown(rows, sets, task) for task in tasks}
        all_shown = len(rows) <= MOST
        palette = looks(len(rows) if all_shown else max(map(len, shown.values())))
        place = {row.index: i for i, row in enumerate(rows)}
        for axes, task in zip(grid, tasks, strict=True):
            for i, row in enumerate(shown[task]):
                draw(axes, row, task, palette[place[row.index] if all_shown else i])
            _fit(axes)
            axes.set_title(task.replace("_", " "))
            if xlabel == "optimiser steps":
                panels.step_axis(axes, rows[0].horizon)
            if not all_shown:
                names = [_short(row, sets[row.index]) for row in shown[task]]
                handles = [palette[i].handle(name) for i, name in enumerate(names)]
                axes.legend(handles=handles, fontsize=6, loc="best")
        label_outer(grid, columns, xlabel, ylabel, fontsize=8)
        if all_shown and rows[0].setting:
            legend_above(figure, [palette[i].handle(_name(row)) for i, row in enumerate(rows)])
    return figure


def _fit(axes: Axes) -> None:
    """Let the lines set the limits, not their bands: of two runs left, one may be far off."""
    if axes.get_yscale() == "log" or not axes.get_autoscaley_on():
        return
    values = np.concatenate([[], *(np.asarray(line.get_ydata(), float) for line in axes.lines)])
    values = values[np.isfinite(values)]
    if values.size and values.min() < values.max():
        low, high = values.min(), values.max()
        axes.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))


def _shown(
    rows: Sequence[Row], sets: dict[tuple[int, ...], tuple[str, ...]], task: str
) -> list[Row]:
    """Return the settings of a panel: all that train on the task, or one of each size."""
    trained_on = [row for row in rows if task in sets[row.index]]
    if len(rows) <= MOST:
        return trained_on
    counts = sorted({len(sets[row.index]) for row in trained_on})
    firsts = [next(r for r in trained_on if len(sets[r.index]) == count) for count in counts]
    return firsts[: MOST - 1] + ([firsts[-1]] if len(firsts) >= MOST else [])


def _name(row: Row) -> str:
    """Return a setting's name; of variants alone, the variant's."""
    name = table.label(row.setting) if len(row.setting) > 1 else str(panels.last_value(row))
    return name + shortened([row])


def _short(row: Row, tasks: Sequence[str]) -> str:
    """Return a name for a crowded panel: how many tasks."""
    return f"{len(tasks)} tasks" if len(tasks) != 1 else "alone"
