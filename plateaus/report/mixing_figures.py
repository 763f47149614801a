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

from plateaus.report import by_task, curves, mixing, panels, survival, table, task_figures
from plateaus.report.facets import facets, heading, legend, styles_of
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look, looks, styled

GAIN, UNBIASED = "train_gram_gain_by_task", "train_gram_gain_unbiased_by_task"
AVERAGED = 0.05  # of the run: over so much of it agreement is averaged
COLUMNS = 3


def mixture(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the shares of the groups over training, a panel a setting: mean and range of seeds.

    A triangle is the mean step at which a group leaves its plateau, hollow where some runs never
    do; dotted: equal shares.
    """
    rows = _adapting(dataset, rows, mixing.MIXTURE)
    if not rows or not mixing.adapts(dataset):
        return None
    groups = _groups(dataset)

    def draw(axes: Axes, row: Row) -> None:
        shares = curves.finished(dataset, mixing.MIXTURE, row)
        _ranged(axes, dataset, shares, groups)
        _escapes(axes, dataset, row, groups)
        axes.axhline(1 / len(groups), ls=":", lw=0.8, color=GREY)

    figure = _by_setting(rows, draw, "share of the draws", sharey=True)
    with styled():
        _legend_of_groups(figure, groups, dataset)
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
        for part, facet in zip(
            figure.subfigures(len(parted), 1, squeeze=False)[:, 0], parted, strict=True
        ):
            if text := heading(facet):
                part.suptitle(text, x=0.008, ha="left", fontsize=9, weight="bold")
            for axes, (name, label) in zip(part.subplots(1, 2), named.items(), strict=True):
                for row, look in zip(facet, styles_of(facet), strict=True):
                    _banded(axes, mixing.spent(dataset, row), dataset, name, row, look)
                axes.axvline(mixing.least(dataset, rows), ls=(0, (4, 3)), lw=0.8, color=GREY)
                axes.set_ylim(curves.limits(dataset, rows, name))
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
        _banded(axes, mixing.spent(dataset, row), one, "test_loss_by_task", row, look)
        axes.xaxis.set_major_formatter(panels.THOUSANDS)

    return task_figures.each_task(dataset, rows, draw, "test loss", "compute (training steps)")


def gram_noise(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return what G p says of the groups, a line of panels a setting, and whether it is noise.

    (a) G p / |G p| of the biased Gram matrix, (b) of the unbiased one: mean and range of seeds. A
    gain that is noise ranges over everything; triangles as in `mixture`. (c) Over the seeds, of
    the same rounds: the share of the biased sum over groups of G p that the unbiased one keeps, 0
    if all is noise, 1 if none; and how often both put the same group first, by chance 1/G.
    """
    rows = _adapting(dataset, rows, GAIN)
    if not rows or not mixing.adapts(dataset):
        return None
    groups = _groups(dataset)
    window = max(1, round(AVERAGED * dataset.sizes["step"]))
    with styled():
        figure = Figure(figsize=(10, 0.9 + 2.4 * len(rows)), layout="constrained")
        parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        for number, (part, row) in enumerate(zip(parts, rows, strict=True)):
            if row.setting:
                text = table.label(row.setting)
                part.suptitle(text, x=0.008, ha="left", fontsize=9, weight="bold")
            biased, unbiased = gains(dataset, row)
            first, second, third = part.subplots(1, 3)
            for axes, gain in ((first, biased), (second, unbiased)):
                _ranged(axes, dataset, direction(gain), groups)
                _escapes(axes, dataset, row, groups)
                axes.axhline(0.0, ls=":", lw=0.8, color=GREY)
                axes.set_ylim(-1.05, 1.05)
            first.set_ylabel("G p / |G p|")
            share, agreed = signal(biased, unbiased, window), agreement(biased, unbiased, window)
            steps, line = dataset["step"].values, looks(1)[0].color
            third.plot(steps, np.clip(share, -1, 2), color="k", label="kept by the unbiased")
            third.plot(steps, agreed, color=line, ls="--", label="same group first")
            third.axhline(1 / len(groups), ls=":", lw=0.8, color=line)
            third.axhline(0.0, ls=":", lw=0.8, color="k")
            third.set_ylim(-1.05, 1.55)
            for axes in (first, second, third):
                panels.step_axis(axes, row.horizon)
            if number == 0:
                first.set_title("(a) biased")
                second.set_title("(b) unbiased")
                third.set_title("(c) is it signal?")
                third.legend(loc="lower right", fontsize=7)
        _legend_of_groups(figure, groups, dataset)
    return figure


def gains(dataset: xr.Dataset, row: Row) -> tuple[NDArray, NDArray]:
    """Return G p [run, step, G] of the finished runs, biased and unbiased; NaN before a round."""
    biased, unbiased = (curves.finished(dataset, name, row) for name in (GAIN, UNBIASED))
    none = np.all(biased == 0, axis=-1, keepdims=True)
    return np.where(none, np.nan, biased), np.where(none, np.nan, unbiased)


def direction(gain: NDArray) -> NDArray[np.float64]:
    """Return G p / |G p|_2, what is in the softmax.

    >>> direction(np.array([3.0, 4.0])).tolist()
    [0.6, 0.8]
    """
    norm = np.sqrt(np.sum(gain**2, axis=-1, keepdims=True))
    return gain / np.where(norm > 0, norm, np.nan)


def signal(biased: NDArray, unbiased: NDArray, window: int) -> NDArray[np.float64]:
    r"""Return $\sum_i (\hat G p)_i / \sum_i (G p)_i$ [step], unbiased over biased.

    With p equal $\sum_i (G p)_i$ is G times the squared norm of the mean gradient: the biased one
    has its noise on top. Sums are over runs and the last `window` steps before the ratio is taken.
    """
    kept, whole = (
        task_figures.running(_mean(gain.sum(axis=-1)), window)
        for gain in (unbiased, biased)
    )
    return kept / np.where(whole > 0, whole, np.nan)


def agreement(biased: NDArray, unbiased: NDArray, window: int) -> NDArray[np.float64]:
    """Return how often both gains put the same group first, of all runs and `window` steps."""
    known = np.isfinite(biased).all(axis=-1) & np.isfinite(unbiased).all(axis=-1)
    tops = (np.argmax(np.where(np.isfinite(x), x, -np.inf), axis=-1) for x in (biased, unbiased))
    same = np.where(known, np.equal(*tops), np.nan)
    return task_figures.running(_mean(same), window)


def _mean(values: NDArray) -> NDArray[np.float64]:
    """Return the mean over runs of what is there; NaN of nothing."""
    return survival.mean_band(values)[0]


def _adapting(dataset: xr.Dataset, rows: Sequence[Row], name: str) -> list[Row]:
    """Return the settings with a finished run in which something is told by the mixer."""
    if name not in dataset:
        return []
    return [row for row in rows if np.isfinite(curves.finished(dataset, name, row)).any()]


def _groups(dataset: xr.Dataset) -> dict[str, Look]:
    names = [str(name) for name in dataset["task"].values]
    return dict(zip(names, looks(len(names)), strict=True))


def _ranged(axes: Axes, dataset: xr.Dataset, values: NDArray, groups: dict[str, Look]) -> None:
    """Draw the mean over runs of each group's curve [run, step, G], and their range."""
    steps, told = dataset["step"].values, np.isfinite(values).any(axis=0).any(axis=-1)
    for g, look in enumerate(groups.values()):
        some = values[:, told, g]
        low, high, mean = (f(some, axis=0) for f in (np.nanmin, np.nanmax, np.nanmean))
        axes.fill_between(steps[told], low, high, color=look.color, alpha=0.16, lw=0)
        axes.plot(steps[told], mean, **look.line)


def _escapes(axes: Axes, dataset: xr.Dataset, row: Row, groups: dict[str, Look]) -> None:
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
    axes: Axes, x: NDArray, dataset: xr.Dataset, name: str, row: Row, look: Look
) -> None:
    mean, half = survival.mean_band(curves.finished(dataset, name, row))
    axes.fill_between(x, mean - half, mean + half, color=look.color, alpha=0.16, lw=0)
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


def _legend_of_groups(figure: Figure, groups: dict[str, Look], dataset: xr.Dataset) -> None:
    handles: list[Line2D | Patch] = [
        Line2D([], [], label=task.replace("_", " "), **look.line) for task, look in groups.items()
    ]
    handles.append(Patch(color=GREY, alpha=0.25, lw=0, label="range of seeds"))
    if by_task.ESCAPE in dataset:
        handles.append(Line2D([], [], color=GREY, marker="v", ls=":", lw=0.6, label="mean escape"))
    figure.legend(handles=handles, loc="outside upper center", ncols=min(6, len(handles)))
