"""Figures of the loss landscape: curvature and gradient over training, and about the plateau."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from plateaus.report import bands, panels, survival
from plateaus.report.cells import passages
from plateaus.report.facets import by_facet, styles_of
from plateaus.report.selection import followed, settings_with
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look, styled

MEASURES = {"sharpness": "largest Hessian eigenvalue", "gradient_norm": "norm of the gradient"}
PHASES = ("before", "on", "after")


def landscape(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return sharpness and gradient norm over training, and before, on and after the plateau.

    Sharpness is the largest eigenvalue of the Hessian of the training loss. Left, on log steps: the
    median over seeds; of up to 6 settings also their middle half or, of fewer than 8 seeds, each
    seed as a thin line; a mark at the foot with a vertical line is the median step at which a
    setting escapes, its own mark and dash; at the right edge where half of its runs never do.
    Right: the first evaluation, the geometric mean on the plateau, and from the completion on;
    medians over seeds, which are the faint dots. What is not positive is left out.
    """
    names = [name for name in MEASURES if settings_with(dataset, rows, name)]
    if not names:
        return None

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        _facet(part, dataset, facet, names)

    figure = by_facet(rows, (9.5, 2.7 * len(names)), draw, top=1.0)
    with styled():
        mark: dict[str, Any] = {"color": GREY, "lw": 0.7, "marker": "o", "ms": 5}
        handle = Line2D([], [], label="median escape (hollow: half never do)", **mark)
        figure.legend(handles=[handle], loc="outside lower left")
    return figure


def _facet(part: SubFigure, dataset: xr.Dataset, facet: Sequence[Row], names: list[str]) -> None:
    grid = part.subplots(len(names), 2, width_ratios=(2, 1), sharey="row", squeeze=False)
    for (left, right), name in zip(grid, names, strict=True):
        panels.log_step_axis(left, dataset["eval_step"].values, facet[0].horizon)
        for number, (row, look) in enumerate(zip(facet, styles_of(facet), strict=True)):
            _over_training(left, dataset, name, row, look, len(facet) <= bands.MOST_SPREADS)
            median_escape(left, dataset, row, look, 0.03 + 0.04 * number)
            found = phases(dataset, name, row)
            places = np.arange(len(PHASES)) + 0.7 * ((number + 0.5) / len(facet) - 0.5)
            right.plot(places, bands.quartiles(found)[0], **look.line | {"lw": 0.8})
            for place, values in zip(places, found.T, strict=True):
                bands.median_point(right, place, values, look)
        panels.log_axis(left)
        left.set_ylabel(MEASURES[name])
        right.set_xticks(range(len(PHASES)), PHASES)
        right.set_xlim(-0.5, len(PHASES) - 0.5)
    grid[-1, 1].set_xlabel("phase: before, on, after the plateau")


def _over_training(
    axes: Axes, dataset: xr.Dataset, name: str, row: Row, look: Look, spread: bool
) -> None:
    values = followed(dataset, name, row)
    steps, values = dataset["eval_step"].values, np.where(values > 0, values, np.nan)
    bands.median_curve(axes, steps, values, look, spread=spread)


def median_escape(axes: Axes, dataset: xr.Dataset, row: Row, look: Look, beside: float) -> None:
    """Mark the median escape of a setting; hollow, at the edge and so high, if not reached."""
    runs = passages(dataset, row.index)
    if not runs.times.size:
        return
    at = survival.median_time(runs.times, runs.escaped).value
    mark: dict[str, Any] = {"color": look.color, **look.mark, "ms": 6, "clip_on": False}
    if np.isfinite(at):
        axes.plot([at], [0.03], transform=axes.get_xaxis_transform(), **mark)  # a fraction up
        axes.axvline(at, color=look.color, ls=look.dash, lw=0.7, alpha=0.7)
    else:
        hollow = {"mfc": "white", "mec": look.color, "mew": 1.2}
        axes.plot([1], [beside], transform=axes.transAxes, **mark | hollow)


def phases(dataset: xr.Dataset, name: str, row: Row) -> NDArray[np.float64]:
    """Return [run, 3] of the followed runs: before, on, after the plateau; NaN where there is none.

    Before: the first evaluation. On: the geometric mean of the later ones before the escape. After:
    of those from the completion on, or the one at the horizon of a run that escaped and never
    completed; NaN where runs stopped at their event.
    """
    values, steps = followed(dataset, name, row, whole=True), dataset["eval_step"].values
    values = np.where(values > 0, values, np.nan)
    escape, completion = (followed(dataset, f"{n}_step", row) for n in ("escape", "completion"))
    escaped, horizon = np.isfinite(escape), dataset.attrs["horizon"]
    after = np.where(np.isfinite(completion), completion, np.where(escaped, horizon, np.inf))
    if row.stopped:
        after = np.full_like(after, np.inf)
    on = (steps > 0) & (steps < np.where(escaped, escape, np.inf)[:, None])
    return np.stack(
        [values[:, 0], _log_mean(values, on), _log_mean(values, steps >= after[:, None])], axis=1
    )


def _log_mean(values: NDArray, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.exp(survival.mean_band(np.log(np.where(chosen, values, np.nan)).T)[0])
