"""Ratios to the task alone against the number of tasks: a panel a task, a mark a setting."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plateaus.measures.by_task import rows as by_task
from plateaus.measures.by_task.prompts import COUNT, drawn_a_step
from plateaus.measures.by_task.rows import TaskRow
from plateaus.report import panels, trained_tasks, words
from plateaus.report.facets import TITLE_SIZE, legend_above, panel_grid
from plateaus.report.statistics import Row
from plateaus.report.style import CATEGORIES, GREY, styled

COLUMNS, WIDTH = 4, 2.7
MARKERS = {"": "o", ">": "^", "<": "v"}  # of a ratio, or of a bound of it
Alone = Callable[[TaskRow], tuple[int, ...] | None]


def alone(dataset: xr.Dataset, rows: Sequence[Row]) -> Alone:
    """Return what finds the setting on a row's task alone: see `rows.single_task`."""
    sets = {row.index: trained_tasks.trained(dataset, row.index) for row in rows}
    by_index = {row.index: row for row in rows}
    return lambda row: by_task.single_task(rows, sets, by_index[row.index], row.task)


def prompts(dataset: xr.Dataset, row: TaskRow, single: tuple[int, ...] | None) -> float:
    """Return how many prompts of its task a setting draws a step, over those of the task alone."""
    if COUNT not in dataset or single is None:
        return math.nan
    drawn, of_single = (drawn_a_step(dataset, index, row.task) for index in (row.index, single))
    return drawn / of_single


def shares_differ(dataset: xr.Dataset, task_rows: Sequence[TaskRow], find: Alone) -> bool:
    """Return whether some setting draws other numbers of a task's prompts than the task alone."""
    shares = np.array([prompts(dataset, row, find(row)) for row in task_rows])
    return bool(np.any(np.abs(shares - 1) > 0.01))  # NaN is not


def escapes(
    dataset: xr.Dataset, rows: Sequence[Row], task_rows: Sequence[TaskRow]
) -> Figure | None:
    """Return a panel for each task that is compared with itself alone: see `forest.escapes`."""
    find = alone(dataset, rows)
    compared = [row for row in task_rows if not math.isnan(row.ratio.value)]
    tasks = list(dict.fromkeys(row.task for row in compared))
    if not tasks:
        return None
    with styled():
        columns = min(COLUMNS, len(tasks))
        lines = -(-len(tasks) // columns)
        size = (0.8 + WIDTH * columns, 0.7 + 2.4 * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = panel_grid(figure, len(tasks), columns, sharey=True)
        for number, (axes, task) in enumerate(zip(grid, tasks, strict=True)):
            shown = [row for row in compared if row.task == task]
            _panel(axes, dataset, shown, find)
            single = next(r for r in task_rows if r.index == find(shown[0]) and r.task == task)
            title = f"{task.replace('_', ' ')} (alone: escaped {single.escaped}/{single.runs})"
            axes.set_title(words.lines(title, WIDTH - 0.3, TITLE_SIZE))
            axes.set_xlabel("tasks in the mixture" if number + columns >= len(tasks) else "")
            axes.set_ylabel("" if number % columns else "steps to escape, ratio\nto the task alone")
        legend_above(figure, _handles())
    return figure


def _panel(axes: Axes, dataset: xr.Dataset, shown: Sequence[TaskRow], find: Alone) -> None:
    numbers = sorted({len(row.tasks) for row in shown})
    for kind, (color, face, dash, side) in enumerate(STYLES):
        middles = []
        for k in numbers:
            group = [row for row in shown if len(row.tasks) == k]
            places = k + side + 0.12 * np.linspace(-1, 1, len(group)) * (len(group) > 1)
            values = []
            for row, x in zip(group, places, strict=True):
                value = row.ratio.value * (prompts(dataset, row, find(row)) if kind else 1.0)
                style: dict[str, Any] = {
                    "mfc": face,
                    "mec": color,
                    "ms": 4,
                    "mew": 0.8,
                    "alpha": 0.7,
                }
                if math.isfinite(value):
                    axes.plot(x, value, ls="", marker=MARKERS[row.bound], **style)
                    values.append(value)
            middles.append(float(np.median(values)) if values else math.nan)
        axes.plot(np.array(numbers) + side, middles, color=color, ls=dash, lw=1.2)
    axes.axhline(1, color=GREY, lw=0.8, zorder=0)
    panels.log_axis(axes)
    axes.set_xticks(numbers)


STYLES = (
    (CATEGORIES[0], CATEGORIES[0], "-", -0.17),  # in steps
    (CATEGORIES[3], "white", "--", 0.17),  # in prompts of the task
)


def _handles() -> list[Line2D]:
    names = ("in steps", "in prompts of the task itself")
    handles = [
        Line2D([], [], color=color, ls=dash, marker="o", mfc=face, label=name)
        for name, (color, face, dash, _) in zip(names, STYLES, strict=True)
    ]
    for marker, name in (("^", "lower bound"), ("v", "upper bound")):
        handles.append(Line2D([], [], color=GREY, ls="", marker=marker, label=name))
    return handles
