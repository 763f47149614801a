"""Figures of the loss landscape: curvature and gradient over training, and about the plateau."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from plateaus.report import panels, survival
from plateaus.report.facets import by_facet, styles_of
from plateaus.report.selection import followed, settings_with
from plateaus.report.statistics import Row
from plateaus.report.style import Look

MEASURES = {"sharpness": "largest Hessian eigenvalue", "gradient_norm": "norm of the gradient"}
PHASES = ("before", "on", "after")


def landscape(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return sharpness and gradient norm over training, and before, on and after the plateau.

    Geometric means over seeds with their 95% t band; what is not positive is left out. A tick at
    the foot marks the mean escape of the runs of a setting that escaped.
    """
    names = [name for name in MEASURES if settings_with(dataset, rows, name)]
    if not names:
        return None

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        _facet(part, dataset, facet, names)

    return by_facet(rows, (9.5, 2.7 * len(names)), draw)


def _facet(part: SubFigure, dataset: xr.Dataset, facet: Sequence[Row], names: list[str]) -> None:
    grid = part.subplots(len(names), 2, width_ratios=(2, 1), sharey="row", squeeze=False)
    for (left, right), name in zip(grid, names, strict=True):
        for number, (row, look) in enumerate(zip(facet, styles_of(facet), strict=True)):
            _over_training(left, dataset, name, row, look)
            middle, low, high = _geometric(phases(dataset, name, row))
            places = np.arange(len(PHASES)) + 0.5 * ((number + 0.5) / len(facet) - 0.5)
            right.vlines(places, low, high, color=look.color, lw=1.4)
            right.plot(places, middle, **look.line | {"lw": 0.8}, **look.mark, ms=6)
        panels.log_axis(left)
        left.set_ylabel(MEASURES[name])
        panels.step_axis(left, facet[0].horizon)
        right.set_xticks(range(len(PHASES)), PHASES)
        right.set_xlim(-0.5, len(PHASES) - 0.5)
    grid[-1, 1].set_xlabel("the plateau")


def _over_training(axes: Axes, dataset: xr.Dataset, name: str, row: Row, look: Look) -> None:
    steps = dataset["eval_step"].values
    panels.band(axes, steps, _geometric(followed(dataset, name, row)), look)
    escape = followed(dataset, "escape_step", row)
    if np.isfinite(escape).any():
        foot = axes.get_xaxis_transform()  # steps along, a fraction of the axes up
        at = float(np.nanmean(escape))
        axes.plot([at], [0.03], transform=foot, color=look.color, **look.mark, ms=6, clip_on=False)
        axes.axvline(at, color=look.color, ls=look.dash, lw=0.7, alpha=0.7)


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


def _geometric(values: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Return the geometric mean over runs, and the ends of its interval."""
    middle, half = survival.mean_band(np.log(np.where(values > 0, values, np.nan)))
    return np.exp(middle), np.exp(middle - half), np.exp(middle + half)
