"""Figures of adaptive mixing: what the shares do, what that costs, and whether G is noise.

Every function takes the labelled results and their table, and returns a figure; None where no
setting's shares adapt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from plateaus.measures.by_task import figures as task_figures
from plateaus.measures.by_task import rows as by_task
from plateaus.measures.mixing import rows as mixing
from plateaus.report import curves, panels, survival, table
from plateaus.report.facets import by_facet, columns, facets, legend, styles_of
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look, looks, styled

COLUMNS = 3


def mixture(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the shares of the groups over training, a panel a setting.

    Mean of seeds, and one deviation around it, within their range. A triangle is the mean step
    at which a group leaves its plateau, hollow where some runs never do; dotted: equal shares.
    """
    rows = adapting(dataset, rows, mixing.MIXTURE)
    if not rows or not mixing.adapts(dataset):
        return None
    groups = palette(dataset)

    def draw(axes: Axes, row: Row) -> None:
        shares = curves.finished(dataset, mixing.MIXTURE, row)
        spread(axes, dataset, shares, groups)
        escapes(axes, dataset, row, groups)
        axes.axhline(1 / len(groups), ls=":", lw=0.8, color=GREY)

    figure = _by_setting(rows, draw, "share (of draws or losses)", sharey=True)
    with styled():
        legend_of_groups(figure, groups, dataset)
    return figure


def loss_against_compute(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return average and worst loss against all compute, a line a setting, mean and 95% t band.

    Compute is in training steps, extra work counted in. Dashed: the least that a setting spends,
    at which the table compares.
    """
    if not mixing.adapts(dataset):
        return None
    named = {"test_loss": "average test loss", mixing.WORST: "test loss of the worst group"}
    with styled():
        parted = facets(rows)
        figure = Figure(figsize=(9, 0.9 + 2.9 * len(parted)), layout="constrained")
        for part, facet in by_facet(figure, parted):
            for axes, (name, label) in zip(part.subplots(1, 2), named.items(), strict=True):
                for row, look in zip(facet, styles_of(facet), strict=True):
                    _banded(axes, mixing.spent(dataset, row), dataset, name, row, look)
                axes.axvline(mixing.least(dataset, rows), ls=(0, (4, 3)), lw=0.8, color=GREY)
                later = slice(1 if dataset.sizes["eval_step"] > 2 else 0, None)  # than the start
                axes.set_ylim(curves.limits(dataset.isel(eval_step=later), rows, name))
                axes.set_ylabel(label)
                _compute_axis(axes)
        legend(figure, parted)
    return figure


def domains(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return each group's test loss against all compute, a line a setting, mean and 95% t band."""
    if not mixing.adapts(dataset):
        return None

    def draw(axes: Axes, row: Row, task: str, look: Look) -> None:
        one = dataset.sel(task=task)
        _banded(axes, mixing.spent(dataset, row), one, "test_loss_by_task", row, look, 0.09)
        axes.xaxis.set_major_formatter(panels.THOUSANDS)

    return task_figures.each_task(dataset, rows, draw, "test loss", "compute (training steps)")


def adapting(dataset: xr.Dataset, rows: Sequence[Row], name: str) -> list[Row]:
    """Return the settings with a finished run in which something is told by the mixer."""
    if name not in dataset:
        return []
    return [row for row in rows if np.isfinite(curves.finished(dataset, name, row)).any()]


def palette(dataset: xr.Dataset) -> dict[str, Look]:
    """Return the names of the groups and their looks."""
    names = [str(name) for name in dataset["task"].values]
    return dict(zip(names, looks(len(names)), strict=True))


def spread(axes: Axes, dataset: xr.Dataset, values: NDArray, groups: dict[str, Look]) -> None:
    """Draw the mean over runs of each group's curve [run, step, G], and their deviation.

    In steps: shares and gains change at the end of a round, and are told at the end of a window.
    """
    steps, told = dataset["step"].values, np.isfinite(values).any(axis=0).any(axis=-1)
    for g, look in enumerate(groups.values()):
        some = values[:, told, g]
        mean, deviation = np.nanmean(some, axis=0), np.nanstd(some, axis=0)
        low = np.maximum(mean - deviation, np.nanmin(some, axis=0))
        high = np.minimum(mean + deviation, np.nanmax(some, axis=0))
        axes.fill_between(steps[told], low, high, color=look.color, alpha=0.13, lw=0, step="pre")
        axes.plot(steps[told], mean, drawstyle="steps-pre", **look.line)


def escapes(axes: Axes, dataset: xr.Dataset, row: Row, groups: dict[str, Look]) -> None:
    """Mark the mean step, from the run's beginning, at which each group leaves its plateau."""
    if by_task.ESCAPE not in dataset:
        return
    for task, look in groups.items():
        found = by_task.passages(dataset, row.index, task, by_task.ESCAPE)
        if not found.escaped.any():
            continue
        at = float(survival.restricted_mean(*found[1:], horizon=row.horizon))
        at += float(np.nanmean(curves.finished(dataset.sel(task=task), by_task.START, row)))
        mark = look.color if found.escaped.all() else "white"
        where = axes.get_xaxis_transform()
        axes.plot([at], [0.965], "v", ms=6, mfc=mark, mec=look.color, transform=where)
        axes.axvline(at, color=look.color, lw=0.6, ls=(0, (1, 2)))


def _banded(
    axes: Axes,
    x: NDArray,
    dataset: xr.Dataset,
    name: str,
    row: Row,
    look: Look,
    alpha: float = 0.16,
) -> None:
    mean, half = survival.mean_band(curves.finished(dataset, name, row))
    axes.fill_between(x, mean - half, mean + half, color=look.color, alpha=alpha, lw=0)
    axes.plot(x, mean, **look.line)


def _compute_axis(axes: Axes) -> None:
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(panels.THOUSANDS)
    axes.set_xlabel("compute (training steps, extra work counted in)")


def _by_setting(
    rows: Sequence[Row], draw: Callable[[Axes, Row], None], ylabel: str, sharey: bool
) -> Figure:
    """Return a panel for each setting."""
    columns = min(COLUMNS, len(rows))
    lines = -(-len(rows) // columns)
    with styled():
        size = (max(5.0, 3.3 * columns), 0.9 + 2.3 * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(lines, columns, sharey=sharey, squeeze=False).ravel()
        for number, (axes, row) in enumerate(zip(grid, rows, strict=False)):
            draw(axes, row)
            axes.set_title(table.label(row.setting).replace(", ", "\n"))
            panels.step_axis(axes, row.horizon)
            axes.set_xlabel("optimiser steps" if number + columns >= len(rows) else "")
            axes.set_ylabel("" if number % columns else ylabel)
        for axes in grid[len(rows) :]:
            axes.remove()
    return figure


def legend_of_groups(figure: Figure, groups: dict[str, Look], dataset: xr.Dataset) -> None:
    """Put one legend of the groups over the figure."""
    handles: list[Line2D | Patch] = [
        Line2D([], [], label=task.replace("_", " "), **look.line) for task, look in groups.items()
    ]
    handles.append(Patch(color=GREY, alpha=0.25, lw=0, label="deviation of seeds"))
    if by_task.ESCAPE in dataset:
        handles.append(Line2D([], [], color=GREY, marker="v", ls=":", lw=0.6, label="mean escape"))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=columns(figure, [str(h.get_label()) for h in handles]),
    )
