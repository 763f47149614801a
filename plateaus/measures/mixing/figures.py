"""Figures of adaptive mixing: what the shares do, what that costs, and whether G is noise.

Every function takes the labelled results and their table, and returns a figure; None where no
setting's shares adapt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from plateaus.measures.by_task import figures as task_figures
from plateaus.measures.by_task import rows as by_task
from plateaus.measures.mixing import rows as mixing
from plateaus.report import curves, lengths, panels, survival
from plateaus.report.facets import by_facet, label_outer, legend_above, panel_grid, styles_of, title
from plateaus.report.selection import followed, settings_with
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look, looks_of, styled

COLUMNS = 3


def mixture(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the shares of the groups over training, a panel a setting.

    Mean of seeds, and one deviation around it, within their range. A triangle is the mean step
    at which a group leaves its plateau, hollow where some runs never do; dotted: equal shares.
    """
    rows = settings_with(dataset, rows, mixing.MIXTURE)
    if not rows or not mixing.adapts(dataset):
        return None
    groups = palette(dataset)
    columns = min(COLUMNS, len(rows))
    lines = -(-len(rows) // columns)
    with styled():
        size = (max(5.0, 3.3 * columns), 0.9 + 2.3 * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = panel_grid(figure, len(rows), columns, sharex=True, sharey=True)
        for axes, row in zip(grid, rows, strict=True):
            spread(axes, dataset, followed(dataset, mixing.MIXTURE, row), groups)
            escapes(axes, dataset, row, groups)
            axes.axhline(1 / len(groups), ls=":", lw=0.8, color=GREY)
            axes.set_title(title(row))
            panels.step_axis(axes, row.horizon)
        label_outer(grid, columns, "optimiser steps", "share (of draws or losses)")
        legend_above(figure, group_handles(groups, dataset))
    return figure


def loss_against_compute(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return average and worst loss against all compute, a line a setting, mean and 95% t band.

    Compute is in training steps, extra work counted in. Dashed: the least that a setting spends,
    at which the table compares.
    """
    if not mixing.adapts(dataset):
        return None
    labels = {"test_loss": "average test loss", mixing.WORST: "test loss of the worst group"}
    start = 1 if dataset.sizes["eval_step"] > 2 else 0  # the first losses would flatten the rest
    later = dataset.isel(eval_step=slice(start, None))

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        for axes, (name, label) in zip(part.subplots(1, 2), labels.items(), strict=True):
            for row, look in zip(facet, styles_of(facet), strict=True):
                compute, losses = mixing.spent(dataset, row), followed(dataset, name, row)
                panels.mean_curve(axes, compute, losses, look)
            axes.axvline(mixing.least(dataset, rows), ls=(0, (4, 3)), lw=0.8, color=GREY)
            axes.set_ylim(curves.limits(later, rows, name))
            axes.set_ylabel(label)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_formatter(panels.THOUSANDS)
            axes.set_xlabel("compute (training steps, extra work counted in)")

    return by_facet(rows, (9, 2.9), draw, top=0.9)


def domains(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return each group's test loss against all compute, a line a setting, mean and 95% t band."""
    if not mixing.adapts(dataset):
        return None

    def draw(axes: Axes, row: Row, task: str, look: Look) -> None:
        losses = followed(dataset.sel(task=task), "test_loss_by_task", row)
        panels.mean_curve(axes, mixing.spent(dataset, row), losses, look, 0.09)
        axes.xaxis.set_major_formatter(panels.THOUSANDS)

    return task_figures.each_task(dataset, rows, draw, "test loss", "compute (training steps)")


def palette(dataset: xr.Dataset) -> dict[str, Look]:
    """Return the names of the groups and their looks."""
    return looks_of([str(name) for name in dataset["task"].values])


def spread(axes: Axes, dataset: xr.Dataset, values: NDArray, groups: dict[str, Look]) -> None:
    """Draw the mean over runs of each group's curve [run, step, G], and their deviation.

    In steps: shares and gains change at the end of a round, recorded at the end of a window.
    """
    for g, look in enumerate(groups.values()):
        steps = dataset["step"].values
        panels.deviation_curve(axes, steps, values[..., g], look, drawstyle="steps-pre")


def escapes(axes: Axes, dataset: xr.Dataset, row: Row, groups: dict[str, Look]) -> None:
    """Mark the mean step, from the run's beginning, at which each group leaves its plateau."""
    if by_task.ESCAPE not in dataset:
        return
    for task, look in groups.items():
        passages = by_task.passages(dataset, row.index, task, by_task.ESCAPE)
        if not passages.escaped.any() or by_task.refusal(dataset, row.index, task, by_task.ESCAPE):
            continue
        end = lengths.followed_to(row.horizon, passages)
        at = float(survival.restricted_mean(*passages[1:], horizon=end))
        at += float(np.nanmean(followed(dataset.sel(task=task), by_task.START, row)))
        mark = look.color if passages.escaped.all() else "white"
        where = axes.get_xaxis_transform()
        axes.plot([at], [0.965], "v", ms=6, mfc=mark, mec=look.color, transform=where)
        axes.axvline(at, color=look.color, lw=0.6, ls=(0, (1, 2)))


def group_handles(groups: dict[str, Look], dataset: xr.Dataset) -> list[Any]:
    """Return the entries of groups in a legend, and of what `spread` and `escapes` draw of them."""
    handles: list[Any] = [look.handle(task.replace("_", " ")) for task, look in groups.items()]
    handles.append(Patch(color=GREY, alpha=0.25, lw=0, label="deviation of seeds"))
    if by_task.ESCAPE in dataset:
        handles.append(Line2D([], [], color=GREY, marker="v", ls=":", lw=0.6, label="mean escape"))
    return handles
