"""What moves under the plateau: each measure of progress under the loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from plateaus.measures.curvature.figure import median_escape
from plateaus.measures.progress import table as progress
from plateaus.report import bands, panels, words
from plateaus.report.facets import by_facet, styles_of
from plateaus.report.selection import followed, settings_with
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look

LINE = 1.45  # inches that a line of panels is high


def measures(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return each measure of progress under the test loss, and what it says of the escape.

    Left, on log steps: the median over seeds; of up to 6 settings also their middle half or, of
    fewer than 8 seeds, each seed as a thin line. A mark at the foot with a vertical line is the
    median step at which a setting escapes (hollow, at the right edge, where half of its runs never
    do). Right: each run that is still on the plateau at half of that median, the measure there
    against the step at which the run escapes, a dot each; at the right edge, grey, those that never
    do. A measure that says when the plateau ends goes up or down with it; what it says beyond the
    loss is in progress.csv.
    """
    names = {
        name: meaning
        for name, meaning in progress.measures(dataset).items()
        if settings_with(dataset, rows, name)
    }
    if not names:
        return None
    labels = {progress.LOSS: panels.loss_label(dataset)} | names

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        _facet(part, dataset, facet, labels)

    return by_facet(rows, (9.5, LINE * len(labels) + 0.4), draw, top=0.8)


def _facet(
    part: SubFigure, dataset: xr.Dataset, facet: Sequence[Row], labels: dict[str, str]
) -> None:
    grid = part.subplots(len(labels), 2, width_ratios=(2, 1), sharex="col")
    spread, steps = len(facet) <= bands.MOST_SPREADS, dataset["eval_step"].values
    landmarks = [progress.landmark(dataset, row) for row in facet]
    first = [steps[at.place] for at in landmarks if at is not None]
    for (left, right), (name, label) in zip(grid, labels.items(), strict=True):
        panels.log_step_axis(left, steps, facet[0].horizon)
        for number, (row, look) in enumerate(zip(facet, styles_of(facet), strict=True)):
            bands.median_curve(left, steps, followed(dataset, name, row), look, spread=spread)
            median_escape(left, dataset, row, look, 0.03 + 0.04 * number)
            if (at := landmarks[number]) is not None:
                _runs(right, dataset, name, row, look, at)
        left.set_ylabel(words.lines(label, LINE - 0.15, 8), fontsize=8)
        panels.log_step_axis(right, np.array(first), facet[0].horizon, 4)
        for axes in (left, right):
            axes.set_xlabel("")
    grid[-1, 0].set_xlabel("optimiser steps")
    grid[-1, 1].set_xlabel("step of escape")
    grid[0, 1].set_title("at half of the median escape")


def _runs(
    axes: Axes, dataset: xr.Dataset, name: str, row: Row, look: Look, at: progress.Landmark
) -> None:
    """Draw a dot for each run on the plateau at half of its median."""
    values = progress.values_at(dataset, name, row, at)
    times = np.minimum(at.times, row.horizon)
    never = np.isinf(at.times)
    dots = {"ls": "", "marker": "o", "ms": 3, "alpha": 0.6, "color": look.color}
    axes.plot(times[~never], values[~never], **dots)
    axes.plot(times[never], values[never], **dots | {"mfc": "white", "color": GREY})
