"""The panels that the figures are made of: each draws rows of the table into given axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogFormatter, MaxNLocator
from numpy.typing import NDArray

from plateaus.report import survival
from plateaus.report.cells import cell, passages
from plateaus.report.selection import followed, interval
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, PALE, Look, looks
from plateaus.report.table import value_text

MANY = 7  # settings side by side
THOUSANDS = FuncFormatter(lambda x, _: f"{x:,.0f}")


def loss_panel(
    axes: Axes, dataset: xr.Dataset, rows: Sequence[Row], styles: Sequence[Look]
) -> None:
    """Draw the mean test loss of each row's runs with its 95% band, and both levels."""
    steps = dataset["eval_step"].values
    every = max(1, steps.size // 8)
    for i, (row, look) in enumerate(zip(rows, styles, strict=True)):
        staggered = (i * every // len(rows), every)  # markers of overlapping lines stay apart
        marks: dict[str, Any] = {**look.mark, "ms": 4, "markevery": staggered}
        mean_curve(axes, steps, followed(dataset, "test_loss", row), look, **marks)
    axes.set_ylim(loss_limits(dataset, rows))
    _level_lines(axes, dataset, rows, styles)
    if all(row.diverged == row.runs for row in rows):
        _note(axes, "no run finished", (0.5, 0.5), "axes fraction", (0, 1))
    axes.set_ylabel(loss_label(dataset))


def survival_panel(
    axes: Axes, dataset: xr.Dataset, rows: Sequence[Row], styles: Sequence[Look]
) -> None:
    """Draw the Kaplan-Meier curve of each row, with a tick where runs were censored."""
    for row, look in zip(rows, styles, strict=True):
        runs = passages(dataset, row.index)
        if not runs.times.size:
            continue
        times, fraction = survival.survival_curve(runs.times, runs.escaped)
        x, y = np.r_[0, times], np.r_[1, fraction]
        axes.step(x, y, where="post", **look.line)
        ends = np.unique(runs.times[~runs.escaped])
        if ends.size:  # an empty unclipped line would have an infinite extent in the layout
            at = np.searchsorted(x, ends, side="right") - 1
            tick = {"marker": "|", "ms": 8, "mew": 1.6, "color": look.color}
            axes.plot(ends, y[at], ls="", clip_on=False, **tick)
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("fraction still on the plateau")


def length_panel(
    axes: Axes, dataset: xr.Dataset, rows: Sequence[Row], styles: Sequence[Look]
) -> None:
    """Draw the restricted mean plateau of each row with its interval, and every seed faintly.

    The mark is hollow where the mean is to an earlier step than the horizon.
    """
    horizon = rows[0].horizon
    many = len(rows) > MANY  # the counts would run into one another: upright, with more room
    for x, (row, look) in enumerate(zip(rows, styles, strict=True)):
        runs = passages(dataset, row.index)
        times = np.minimum(runs.times, horizon)
        places = x + (np.linspace(-0.25, 0.25, times.size) if times.size != 1 else 0)
        axes.plot(places, times, ls="", marker="o", ms=3, color=look.color, alpha=0.3, mew=0)
        value, low, high = row.plateau
        axes.plot([x, x], [low, high], color=look.color, lw=1.8, solid_capstyle="butt")
        hollow = {"mfc": "white", "mec": look.color} if row.plateau_to < horizon else {}
        axes.plot([x], [value], color=look.color, **look.mark | hollow, ms=7)
        count = f"{row.escaped}/{row.runs}"
        turned = 90 if many else 0
        _note(axes, count, (float(x), 1.0), ("data", "axes fraction"), (0, -1), turned)
        if row.is_baseline and len(rows) > 1:
            axes.axhline(value, ls=(0, (4, 3)), lw=0.8, color=GREY, zorder=0)
    names = list(rows[0].setting)
    ticks = [last_value(row) for row in rows] if names else [""]
    crowded = len(ticks) * max(map(len, ticks)) > 40
    axes.set_xticks(range(len(rows)), ticks)
    axes.tick_params("x", labelrotation=40 if crowded else 0)
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.set_ylim(
        0, (1.3 if many else 1.14) * horizon
    )  # room for the counts above the censored runs
    axes.set_xlabel(names[-1] if names else "")
    axes.set_ylabel("optimiser steps to escape")
    axes.yaxis.set_major_formatter(THOUSANDS)


def run_panel(axes: Axes, dataset: xr.Dataset, row: Row) -> None:
    """Draw every run of one setting as a thin line: training loss faint, test loss over it."""
    for variable, axis, color, width in (
        ("train_loss", "step", PALE, 0.4),
        ("test_loss", "eval_step", looks(1)[0].color, 0.7),
    ):
        if variable not in dataset:  # kept records do without the training loss
            continue
        curves = cell(dataset, variable, row.index)
        axes.plot(dataset[axis].values, curves.T, color=color, lw=width, alpha=0.8)
    for levels in _levels(dataset, [row]):
        if np.isfinite(levels[0]):
            axes.axhline(levels[0], ls=":", lw=0.9, color=GREY)


def band(
    axes: Axes,
    x: NDArray,
    curves: tuple[NDArray, NDArray, NDArray],
    look: Look,
    alpha: float = 0.16,
    **options: Any,
) -> None:
    """Draw a line in a shaded band: its middle, its lower and its upper edge; `options` of it."""
    middle, low, high = curves
    step = "pre" if options.get("drawstyle") == "steps-pre" else None
    axes.fill_between(x, low, high, color=look.color, alpha=alpha, lw=0, step=step)  # type: ignore[arg-type] # None is allowed
    axes.plot(x, middle, **look.line, **options)


def mean_curve(
    axes: Axes, x: NDArray, values: NDArray, look: Look, alpha: float = 0.16, **options: Any
) -> None:
    """Draw the mean over runs of [run, x] with its 95% t band; `options` are those of a line."""
    mean, half = survival.mean_band(values)
    band(axes, x, (mean, mean - half, mean + half), look, alpha, **options)


def deviation_curve(axes: Axes, x: NDArray, values: NDArray, look: Look, **options: Any) -> None:
    """Draw the mean over runs of [run, x], and one deviation around it within their range."""
    recorded = np.isfinite(values).any(axis=0)
    if not recorded.any():
        return
    finite = np.ma.masked_invalid(values[:, recorded])
    mean, deviation = finite.mean(axis=0), finite.std(axis=0)
    low = np.maximum(mean - deviation, finite.min(axis=0))
    high = np.minimum(mean + deviation, finite.max(axis=0))
    band(axes, x[recorded], (mean, low, high), look, 0.14, **options)


def step_axis(axes: Axes, last: float | int) -> None:
    """Make the horizontal axis one of optimiser steps, from 0 to `last`."""
    axes.set_xlim(0, last)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_xlabel("optimiser steps")


def log_axis(axes: Axes, which: str = "y") -> None:
    """Make an axis logarithmic, with plain numbers: the style typesets no mathematics."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    few = LogFormatter(minor_thresholds=(1, 0.4))  # between decades where there is hardly one
    axis.set_minor_formatter(few)


def last_value(row: Row) -> str:
    """Return the value of the last swept field as text, rounded where it would not fit an axis."""
    value = list(row.setting.values())[-1]
    text = value_text(value)
    return f"{value:.3g}" if len(text) > 9 and isinstance(value, float) else text


def loss_label(dataset: xr.Dataset) -> str:
    """Return the axis label of the test loss, with its units where they say more than "loss"."""
    units = dataset["test_loss"].attrs["units"]
    return "test loss" if units in ("", "1", "loss") else f"test loss ({units})"


def loss_limits(dataset: xr.Dataset, rows: Sequence[Row]) -> tuple[float, float]:
    """Return the range of losses worth showing: a spike to 1e6 must not flatten the plateau."""
    uninformed, best = _levels(dataset, rows)
    losses = [followed(dataset, "test_loss", row, whole=True).ravel() for row in rows]
    seen = np.concatenate([*losses, uninformed, best])
    seen = seen[np.isfinite(seen)]
    if not seen.size:
        return 0.0, 1.0
    low, high = (float(end) for end in np.quantile(seen, (0.001, 0.995)))
    floor, top = best[np.isfinite(best)], uninformed[np.isfinite(uninformed)]
    if floor.size and top.size:
        bottom, ceiling = float(floor.min()), float(top.max())
        span = max(ceiling - bottom, 1e-12)
        low = max(min(low, bottom), bottom - span)
        high = min(max(high, ceiling), ceiling + 1.5 * span)
    room = 0.08 * max(high - low, 1e-12)
    return low - room, high + room


def _levels(dataset: xr.Dataset, rows: Sequence[Row]) -> tuple[NDArray, NDArray]:
    """Return the uninformed and the best loss of each row, mean over its runs, NaN if none."""
    uninformed, best = (
        np.array([interval(cell(dataset, name, row.index)).value for row in rows])
        for name in ("uninformed_loss", "best_loss")
    )
    return uninformed, best


def _level_lines(
    axes: Axes, dataset: xr.Dataset, rows: Sequence[Row], styles: Sequence[Look]
) -> None:
    """Draw the uninformed and the best loss: once if shared, else in each row's colour."""
    uninformed, best = _levels(dataset, rows)
    for name, levels, side in (("uninformed", uninformed, 1), ("best", best, -1)):
        finite = levels[np.isfinite(levels)]
        if not finite.size:
            continue
        if np.ptp(finite) <= 0.01 * float(np.abs(finite).max()):
            axes.axhline(float(finite.mean()), ls=":", lw=1, color=GREY)
        else:
            for level, look in zip(levels, styles, strict=True):
                axes.axhline(level, ls=":", lw=1, color=look.color)
        edge = float(finite.max() if side > 0 else finite.min())
        # Late losses are low and early ones high: each label where the curves are not.
        at = (1.0 if side > 0 else 0.0, edge)
        _note(axes, name, at, ("axes fraction", "data"), (-3 * side, 2 * side))


def _note(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    coordinates: Any,
    offset: tuple[int, int],
    turned: float = 0,
) -> None:
    """Write a small grey note inside the axes, on the side of `at` to which `offset` points."""
    axes.annotate(
        text,
        at,
        xycoords=coordinates,
        xytext=offset,
        textcoords="offset points",
        color=GREY,
        fontsize=8,
        rotation=turned,
        ha="right" if offset[0] < 0 else "left" if offset[0] > 0 else "center",
        va="bottom" if offset[1] > 0 else "top",
    )
