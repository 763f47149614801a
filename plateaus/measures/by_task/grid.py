"""A panel for each task of a mixture, with what is drawn of every setting that trains on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plateaus.measures.by_task.rows import ESCAPE, START, passages
from plateaus.report import bands, panels, table, words
from plateaus.report.facets import (
    TITLE_SIZE,
    legend_above,
    panel_grid,
    shortened,
    styles_of,
)
from plateaus.report.statistics import Row
from plateaus.report.style import Look, looks, styled
from plateaus.report.trained_tasks import trained

MOST = 8  # settings that a panel can hold
COLUMNS = 4
WIDTH = 2.7  # inches, of a panel
Draw = Callable[[Axes, Row, str, Look, bool], None]
Sets = dict[tuple[int, ...], tuple[str, ...]]


def each_task(
    dataset: xr.Dataset, rows: Sequence[Row], draw: Draw, ylabel: str, xlabel: str
) -> Figure | None:
    """Return a panel for each task with what `draw` draws of every setting that trains on it.

    `draw` takes the axes, a setting, the task, the setting's look, and whether there is room for
    more than a line of it. Of more settings than a panel holds: the first with each number of
    tasks. The title says how many of the runs shown escape the task's plateau.
    """
    tasks = [str(name) for name in dataset["task"].values]
    sets = {row.index: trained(dataset, row.index) for row in rows}
    tasks = [task for task in tasks if any(task in chosen for chosen in sets.values())]
    if not tasks:
        return None
    shown = {task: _shown(rows, sets, task) for task in tasks}
    palette, names = _palette(rows, sets)
    room = max(map(len, shown.values())) <= bands.MOST_SPREADS
    with styled():
        columns = min(COLUMNS, len(tasks))
        lines = -(-len(tasks) // columns)
        size = (0.8 + WIDTH * columns, 0.9 + 2.3 * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = panel_grid(figure, len(tasks), columns)
        for number, (axes, task) in enumerate(zip(grid, tasks, strict=True)):
            for row in shown[task]:
                draw(axes, row, task, palette[row.index], room)
            _fit(axes)
            title = task.replace("_", " ") + _escaped(dataset, shown[task], task)
            axes.set_title(words.lines(title, WIDTH - 0.3, TITLE_SIZE))
            if xlabel == "optimiser steps":
                _step_axis(axes, dataset)
            axes.set_xlabel(xlabel if number + columns >= len(tasks) else "")
            axes.set_ylabel("" if number % columns else ylabel, fontsize=words.SIZE)
        if rows[0].setting:
            legend_above(figure, [look.handle(name) for name, look in names.items()])
    return figure


def _shown(rows: Sequence[Row], sets: Sets, task: str) -> list[Row]:
    """Return the settings of a panel: all that train on the task, or one of each size."""
    trained_on = [row for row in rows if task in sets[row.index]]
    if len(rows) <= MOST:
        return trained_on
    counts = sorted({len(sets[row.index]) for row in trained_on})
    firsts = [next(r for r in trained_on if len(sets[r.index]) == count) for count in counts]
    return firsts[: MOST - 1] + ([firsts[-1]] if len(firsts) >= MOST else [])


def _palette(
    rows: Sequence[Row], sets: Sets
) -> tuple[dict[tuple[int, ...], Look], dict[str, Look]]:
    """Return the looks of settings, and the entries of the legend; of many: by number of tasks."""
    if len(rows) <= MOST:
        palette = styles_of(rows) if len(rows[0].setting) == 1 else looks(len(rows))
        names = words.distinct([_name(row) for row in rows])
        by_row = {row.index: look for row, look in zip(rows, palette, strict=True)}
        return by_row, dict(zip(names, palette, strict=True))
    sizes = sorted({len(chosen) for chosen in sets.values()})
    by_size = dict(zip(sizes, looks(len(sizes), order=sizes), strict=True))
    names = [f"{size} tasks" if size > 1 else "alone" for size in sizes]
    return {index: by_size[len(chosen)] for index, chosen in sets.items()}, dict(
        zip(names, by_size.values(), strict=True)
    )


def _name(row: Row) -> str:
    """Return a setting's name; of variants alone, the variant's; empty where nothing is swept."""
    name = table.label(row.setting) if len(row.setting) != 1 else str(panels.last_value(row))
    return name + shortened([row])


def _escaped(dataset: xr.Dataset, rows: Sequence[Row], task: str) -> str:
    """Return how many runs of some settings escape a task's plateau, as part of a title."""
    if ESCAPE not in dataset:
        return ""
    runs = np.concatenate([passages(dataset, row.index, task, ESCAPE).escaped for row in rows])
    return f" (escaped {runs.sum()}/{runs.size})"


def _step_axis(axes: Axes, dataset: xr.Dataset) -> None:
    """Make the axis logarithmic, unless tasks come late: then their plateaus would be thin."""
    starts = dataset[START].values if START in dataset else np.zeros(1)
    horizon = dataset.attrs["horizon"]
    if np.nanmax(starts, initial=0.0) > 0:
        panels.step_axis(axes, horizon)
        return
    drawn = [np.asarray(line.get_xdata(), float) for line in axes.lines]
    steps = np.concatenate([[horizon], *(values for values in drawn if values.size > 2)])
    panels.log_step_axis(axes, steps, horizon, most=5)


def _fit(axes: Axes) -> None:
    """Let the heavy lines set the limits, and half as much room above and below to the others.

    Of two runs left, one may be far off.
    """
    if axes.get_yscale() == "log":
        return
    heavy, seen = [], []
    for line in axes.lines:
        values = np.asarray(line.get_ydata(), float)
        seen.append(values[np.isfinite(values)])
        if line.get_linewidth() > 0.7:
            heavy.append(seen[-1])
    for band in axes.collections:
        seen += [np.asarray(path.vertices)[:, 1] for path in band.get_paths()]
    lines = np.concatenate([[], *heavy])
    if lines.size and lines.min() < lines.max():
        room = 0.5 * (lines.max() - lines.min())
        values = np.clip(np.concatenate(seen), lines.min() - room, lines.max() + room)
        low, high = values.min(), values.max()
        axes.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
