"""The panels that the figures are made of: each draws rows of the table into given axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from plateaus.report import words
from plateaus.report.cells import cell
from plateaus.report.selection import followed, interval
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, PALE, looks
from plateaus.report.table import value_text

THOUSANDS = FuncFormatter(lambda x, _: f"{x:,.0f}")


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


def step_axis(axes: Axes, last: float | int, most: int = 5) -> None:
    """Make the horizontal axis one of optimiser steps, from 0 to `last`, in `most` parts."""
    axes.set_xlim(0, last)
    axes.xaxis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_xlabel("optimiser steps")


def log_step_axis(axes: Axes, steps: NDArray, last: float | int, most: int = 6) -> None:
    """Make the horizontal axis one of optimiser steps, logarithmic from the first that is not 0."""
    words.log_steps(axes, float(min(steps[steps > 0].min(initial=last), last / 2)), last, most)


def log_axis(axes: Axes, which: str = "y") -> None:
    """Make an axis logarithmic, with plain numbers: the style typesets no mathematics."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_locator(words.RoundTicks())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    words.between(axis)


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
