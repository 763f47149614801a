"""The figures: loss curves, time on the plateau, plateau length against what was swept."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plateaus.report import facets, panels, table
from plateaus.report.facets import incomplete, shortened, styles_of
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, PALE, looks, save, styled

__all__ = ["learning_curves", "plateau", "save"]

TITLES = (
    "(a) mean over seeds, 95% t band",
    "(b) Kaplan-Meier estimate, | = censored",
    "(c) restricted mean, 95% interval",
)


def plateau(dataset: xr.Dataset, rows: Sequence[Row], xmax: float | int | None = None) -> Figure:
    """Return the main figure: test loss, Kaplan-Meier curves, restricted mean plateau lengths.

    One line per value of the last swept field, one row of panels per combination of the others.
    Diverged runs are left out of the loss curves and counted in the legend, or beside the name
    of their row of panels; in the other panels they are runs that never escaped. Where runs ended
    early, the curves end with the first of them, or are of those that came farthest. The dashed
    line of (c) is the baseline.

    Args:
      dataset: labelled results.
      rows: its table, from `summarise`.
      xmax: last optimiser step shown in (a) and (b); the horizon by default.
    """
    groups = facets.facets(rows)
    with styled():
        figure = Figure(figsize=(10, 0.8 + 2.9 * len(groups)), layout="constrained")
        headings = [facets.heading(facet) for facet in groups]
        missing = [incomplete(facet) + shortened(facet) for facet in groups]
        titles = [text and text + more for text, more in zip(headings, missing, strict=True)]
        parts = facets.headed_lines(figure, titles)
        for number, (part, facet) in enumerate(zip(parts, groups, strict=True)):
            loss, survival, length = part.subplots(1, 3, width_ratios=(1.3, 1, 1))
            panels.loss_panel(loss, dataset, facet, styles_of(facet))
            panels.survival_panel(survival, dataset, facet, styles_of(facet))
            panels.length_panel(length, dataset, facet, styles_of(facet))
            for axes in (loss, survival):
                panels.step_axis(axes, xmax or facet[0].horizon)
            if number == 0:
                for axes, title in zip((loss, survival, length), TITLES, strict=True):
                    axes.set_title(title)
                if any(row.plateau_to < row.horizon for row in rows if row.runs):
                    length.set_title(f"{TITLES[2]}\n(hollow: to an earlier step)")
        if rows[0].setting:
            facets.legend(figure, groups)
        elif missing[0]:
            figure.suptitle(missing[0].strip(), fontsize=9)
    return figure


def learning_curves(
    dataset: xr.Dataset, rows: Sequence[Row], xmax: float | int | None = None
) -> Figure:
    """Return every run's test loss as a thin line, one panel per setting; training loss faint.

    Args:
      dataset: labelled results.
      rows: its table, from `summarise`.
      xmax: last optimiser step shown; the horizon by default.
    """
    columns = min(3, len(rows))
    lines = -(-len(rows) // columns)
    with styled():
        size = (max(5.0, 10 * columns / 3), 0.6 + 2.1 * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = facets.panel_grid(figure, len(rows), columns, sharex=True, sharey=True)
        for axes, row in zip(grid, rows, strict=True):
            panels.run_panel(axes, dataset, row)
            panels.step_axis(axes, xmax or row.horizon)
            axes.set_title(table.label(row.setting).replace(", ", "\n") + incomplete([row]))
        facets.label_outer(grid, columns, "optimiser steps", panels.loss_label(dataset))
        grid[0].set_ylim(panels.loss_limits(dataset, rows))
        handles = [
            Line2D([], [], color=looks(1)[0].color, lw=1, label="test loss, one line a seed"),
            Line2D([], [], color=PALE, lw=1, label="training loss"),
            Line2D([], [], color=GREY, lw=1, ls=":", label="uninformed and best loss"),
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure
