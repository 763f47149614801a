"""The figures: loss curves, time on the plateau, plateau length against what was swept."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from scipy import stats

from plateaus.report import survival, table
from plateaus.report.statistics import FINISHED, Row, cell, passages
from plateaus.report.style import GREY, Look, looks, save, styled

__all__ = ["learning_curves", "plateau", "save"]


def plateau(dataset: xr.Dataset, rows: Sequence[Row], xmax: float | None = None) -> Figure:
    """Return the main figure: test loss, Kaplan-Meier curves, restricted mean plateau lengths.

    One line per value of the last swept field, one row of panels per combination of the others.
    Diverged runs are left out of the loss curves and counted in the legend; in the other panels
    they are runs that never escaped.

    Args:
      dataset: labelled results.
      rows: its table, from `summarise`.
      xmax: last optimiser step shown in the two left panels; the horizon by default.
    """
    facets = _facets(rows)
    with styled():
        figure = Figure(figsize=(10, 0.75 + 2.95 * len(facets)), layout="constrained")
        parts = np.atleast_1d(figure.subfigures(len(facets), 1))
        for number, (part, facet) in enumerate(zip(parts, facets, strict=True)):
            heading = table.label(dict(list(facet[0].setting.items())[:-1]))
            if heading:
                part.suptitle(heading, x=0.008, ha="left", fontsize=9.5, weight="bold")
            left, middle, right = part.subplots(1, 3, width_ratios=(1.3, 1, 1))
            styles = _styles(facet)
            _loss_panel(left, dataset, facet, styles)
            _survival_panel(middle, dataset, facet, styles)
            _length_panel(right, dataset, facet, styles)
            for axes in (left, middle):
                _step_axis(axes, xmax or facet[0].horizon)
            if number == 0:
                titles = "Mean over seeds, 95% band", "Kaplan-Meier estimate", "Mean, 95% interval"
                for letter, axes, title in zip("abc", (left, middle, right), titles, strict=True):
                    axes.set_title(f"({letter}) {title}", pad=7)
        _legend(figure, facets)
    return figure


def learning_curves(dataset: xr.Dataset, rows: Sequence[Row], xmax: float | None = None) -> Figure:
    """Return every run's test loss as a thin line, one panel per setting; training loss in grey."""
    columns = min(3, len(rows))
    lines = -(-len(rows) // columns)
    with styled():
        size = (max(5.0, 10 * columns / 3), 0.7 + 2.1 * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
        limits = [_loss_limits(dataset, rows)] * len(rows)
        for axes, row, limit in zip(grid, rows, limits, strict=False):
            _run_panel(axes, dataset, row)
            axes.set_ylim(limit)
            _step_axis(axes, xmax or row.horizon)
            axes.set_title(table.label(row.setting) + _diverged([row]))
        for axes in grid[len(rows) :]:
            axes.remove()
        for i, axes in enumerate(grid[: len(rows)]):
            if i % columns == 0:
                axes.set_ylabel(_label(dataset["test_loss"]))
            axes.set_xlabel("optimiser steps" if i + columns >= len(rows) else "")
            axes.tick_params(labelbottom=i + columns >= len(rows))
        handles = [
            Line2D([], [], color=looks(1)[0].color, lw=1, label="test loss, one line a seed"),
            Line2D([], [], color="0.75", lw=1, label="training loss"),
            Line2D([], [], color=GREY, lw=0.9, ls=":", label="uninformed and best predictors"),
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure


def _facets(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows grouped by every swept field but the last."""
    groups = itertools.groupby(rows, key=lambda row: tuple(row.setting.values())[:-1])
    return [list(group) for _, group in groups]


def _styles(facet: Sequence[Row]) -> list[Look]:
    """Return the looks of the last field's values; they are the same in every facet."""
    values = [row.is_baseline for row in facet]
    return looks(len(facet), values.index(True) if True in values else None)


def _label(variable: xr.DataArray) -> str:
    """Return the name of a variable with its units, where these say more than "a loss"."""
    name, units = str(variable.name).replace("_", " "), variable.attrs["units"]
    return name if units in ("", "1", "loss") else f"{name} ({units})"


def _diverged(rows: Sequence[Row]) -> str:
    count = sum(row.diverged for row in rows)
    return f" ({count} diverged)" if count else ""


def _step_axis(axes: Axes, last: float) -> None:
    axes.set_xlim(0, last)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.set_xlabel("optimiser steps")


def _levels(dataset: xr.Dataset, rows: Sequence[Row]) -> tuple[NDArray, NDArray]:
    """Return the uninformed and the best loss of each row, mean over the runs started; NaN."""
    return tuple(  # type: ignore[return-value]
        np.array([_mean(cell(dataset, name, row.index)) for row in rows])
        for name in ("uninformed_loss", "best_loss")
    )


def _mean(values: NDArray) -> float:
    usable = values[np.isfinite(values)]
    return float(usable.mean(dtype=np.float64)) if usable.size else np.nan


def _curves(dataset: xr.Dataset, variable: str, row: Row) -> NDArray[np.float64]:
    """Return the finished runs' curves, [run, step], NaN where not finite."""
    curves = cell(dataset, variable, row.index).astype(np.float64)
    curves = curves[cell(dataset, "status", row.index) == FINISHED]
    return np.where(np.isfinite(curves), curves, np.nan)


def _loss_limits(dataset: xr.Dataset, rows: Sequence[Row]) -> tuple[float, float]:
    """Return the range of losses worth showing: a spike to 1e6 must not flatten the plateau."""
    uninformed, best = _levels(dataset, rows)
    pools = [_curves(dataset, "test_loss", row).ravel() for row in rows]
    seen = np.concatenate([*pools, uninformed, best])
    seen = seen[np.isfinite(seen)]
    if not seen.size:
        return 0.0, 1.0
    low, high = (float(np.quantile(seen, q)) for q in (0.001, 0.995))
    floors, tops = best[np.isfinite(best)], uninformed[np.isfinite(uninformed)]
    if floors.size and tops.size:
        span = max(float(tops.max() - floors.min()), 1e-12)
        low, high = min(low, floors.min()), max(high, tops.max())
        low, high = max(low, floors.min() - span), min(high, tops.max() + 1.5 * span)
    room = 0.08 * max(high - low, 1e-12)
    return low - room, high + room


def _loss_panel(
    axes: Axes, dataset: xr.Dataset, facet: Sequence[Row], styles: Sequence[Look]
) -> None:
    steps = dataset["eval_step"].values
    for i, (row, look) in enumerate(zip(facet, styles, strict=True)):
        mean, half = mean_band(_curves(dataset, "test_loss", row))
        every = max(1, steps.size // 8)
        axes.fill_between(steps, mean - half, mean + half, color=look.color, alpha=0.16, lw=0)
        axes.plot(
            steps, mean, color=look.color, ls=look.dash, lw=look.width, marker=look.marker,
            ms=4, markevery=(i * every // len(facet), every), mec="white", mew=0.4,
        )  # fmt: skip
    axes.set_ylim(_loss_limits(dataset, facet))
    _level_lines(axes, dataset, facet, styles)
    axes.set_ylabel(_label(dataset["test_loss"]))


def mean_band(curves: NDArray) -> tuple[NDArray, NDArray]:
    """Return the mean over runs and the half width of its 95% Student t interval, [step].

    NaN entries are left out; NaN where no run is left, and no width for a single one.
    """
    usable = np.isfinite(curves)
    count = usable.sum(axis=0)
    filled = np.where(usable, curves, 0.0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = filled.sum(axis=0) / count
        spread = np.where(usable, (curves - mean) ** 2, 0.0).sum(axis=0) / (count - 1)
        half = stats.t.ppf(0.975, np.maximum(count - 1, 1)) * np.sqrt(spread / count)
    return mean, np.where(count > 1, half, np.nan)


def _level_lines(
    axes: Axes, dataset: xr.Dataset, facet: Sequence[Row], styles: Sequence[Look]
) -> None:
    """Draw the uninformed and the best loss: once if shared, else in each value's colour."""
    for name, levels, above in zip(
        ("uninformed", "best"), _levels(dataset, facet), (True, False), strict=True
    ):
        known = levels[np.isfinite(levels)]
        if not known.size:
            continue
        shared = np.ptp(known) < 0.01 * max(1e-12, float(np.abs(known).max()))
        for level, look in list(zip(levels, styles, strict=True))[: 1 if shared else None]:
            axes.axhline(known[0] if shared else level, ls=":", lw=0.9, zorder=1,
                         color=GREY if shared else look.color)  # fmt: skip
        edge = known.max() if above else known.min()
        _note(axes, name, (1.0, edge), ("axes fraction", "data"), (-2, 2 if above else -2))


def _note(
    axes: Axes, text: str, at: tuple[float, float], coordinates: Any, offset: tuple[int, int]
) -> None:
    """Write a small grey note inside the axes, on the side of `at` to which `offset` points."""
    note = axes.annotate(
        text, at, xycoords=coordinates, xytext=offset, textcoords="offset points", color=GREY,
        fontsize=8, ha={-1: "right", 0: "center", 1: "left"}[int(np.sign(offset[0]))],
        va="bottom" if offset[1] > 0 else "top",
    )  # fmt: skip
    note.set_in_layout(False)  # it lies inside; the layout would take it for a margin


def _survival_panel(
    axes: Axes, dataset: xr.Dataset, facet: Sequence[Row], styles: Sequence[Look]
) -> None:
    for row, look in zip(facet, styles, strict=True):
        runs = passages(dataset, row.index)
        if not runs.times.size:
            continue
        times, fraction = survival.survival_curve(runs.times, runs.escaped)
        x, y = np.r_[0, times], np.r_[1, fraction]
        axes.step(x, y, where="post", color=look.color, ls=look.dash, lw=look.width)
        ends = np.unique(runs.times[~runs.escaped])
        at = np.searchsorted(x, ends, side="right") - 1
        axes.plot(ends, y[at], ls="", marker="|", ms=8, mew=1.6, color=look.color, clip_on=False)
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("fraction of runs still on the plateau")
    _note(axes, "| censored run", (0, 0), "axes fraction", (5, 8))


def _length_panel(
    axes: Axes, dataset: xr.Dataset, facet: Sequence[Row], styles: Sequence[Look]
) -> None:
    horizon = facet[0].horizon
    for x, (row, look) in enumerate(zip(facet, styles, strict=True)):
        runs = passages(dataset, row.index)
        times = np.minimum(runs.times, horizon)
        spread = x + np.linspace(-0.22, 0.22, max(2, times.size))[: times.size]
        axes.plot(spread, times, ls="", marker=".", ms=3.5, color=look.color, alpha=0.35, mew=0)
        value, low, high = row.plateau
        axes.vlines(x, low, high, color=look.color, lw=1.6)
        axes.plot(x, value, marker=look.marker, ms=6.5, color=look.color, mec="white", mew=0.6)
        _note(axes, f"{row.escaped}/{row.runs}", (x, 1.0), ("data", "axes fraction"), (0, -1))
        if row.is_baseline and len(facet) > 1:
            axes.axhline(value, ls=(0, (4, 3)), lw=0.8, color=GREY, zorder=0)
    names = list(facet[0].setting)
    axes.set_xticks(
        range(len(facet)),
        [_tick(row) for row in facet] if names else [""],
    )
    axes.set_xlim(-0.6, len(facet) - 0.4)
    axes.set_xlabel(names[-1] if names else "all runs")
    axes.set_ylim(0, 1.14 * horizon)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    axes.set_ylabel("restricted mean plateau (steps)")


def _tick(row: Row) -> str:
    return table.label({"": list(row.setting.values())[-1]}).removeprefix("=")


def _run_panel(axes: Axes, dataset: xr.Dataset, row: Row) -> None:
    for variable, axis, color, width in (
        ("train_loss", "step", "0.75", 0.4),
        ("test_loss", "eval_step", looks(1)[0].color, 0.7),
    ):
        curves = cell(dataset, variable, row.index)
        axes.plot(dataset[axis].values, curves.T, color=color, lw=width, alpha=0.8)
    for levels in _levels(dataset, [row]):
        axes.axhline(levels[0], ls=":", lw=0.9, color=GREY)


def _legend(figure: Figure, facets: Sequence[Sequence[Row]]) -> None:
    """Put one legend over all facets; the styles are those of the last field's values."""
    first, handles = facets[0], []
    if not first[0].setting:
        return
    for i, (row, look) in enumerate(zip(first, _styles(first), strict=True)):
        name = _tick(row) + (" (baseline)" if row.is_baseline else "")
        name += _diverged([facet[i] for facet in facets])
        handles.append(
            Line2D(
                [],
                [],
                color=look.color,
                ls=look.dash,
                lw=look.width,
                marker=look.marker,
                ms=5,
                mec="white",
                mew=0.4,
                label=name,
            )  # fmt: skip
        )
    figure.legend(
        handles=handles, title=list(first[0].setting)[-1], loc="outside upper center",
        ncols=min(len(handles), 7), handlelength=3.2,
    )  # fmt: skip
