"""A forest of many settings: a line each, where a panel of the main figure would be too crowded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from plateaus.report import panels, table
from plateaus.report.facets import facets, styles_of
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, styled

FEWEST = 9  # settings of a facet


def forest(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return each setting's mean plateau with its 95% interval, and how many runs escaped.

    None where no facet has more than eight settings.
    """
    if max(map(len, facets(rows)), default=0) < FEWEST:
        return None
    with styled():
        figure = Figure(figsize=(7.5, 0.9 + 0.24 * len(rows)), layout="constrained")
        axes = figure.subplots()
        looks = [look for facet in facets(rows) for look in styles_of(facet)]
        for place, (row, look) in enumerate(zip(rows, looks, strict=True)):
            value, low, high = row.plateau
            if np.isfinite([low, high]).all():
                axes.plot([low, high], [place, place], color=look.color, lw=look.width)
            axes.plot(value, place, color=look.color, **look.mark)
            axes.annotate(
                f"{row.escaped}/{row.runs}",
                (1.01, place),
                xycoords=("axes fraction", "data"),
                va="center",
                color=GREY,
                annotation_clip=False,
            )
            if row.is_baseline:
                axes.axvline(value, color=GREY, ls="--", lw=0.8)
        axes.set_yticks(range(len(rows)), [table.label(row.setting) for row in rows])
        axes.invert_yaxis()
        panels.step_axis(axes, rows[0].horizon)
        axes.set_xlabel("mean steps to escape, 95% interval; right: runs that escaped")
    return figure
