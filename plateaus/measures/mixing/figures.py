"""Figures of adaptive mixing: what it costs, on average and by group.

Every function takes the labelled results and their table, and returns a figure; None where no
setting's shares adapt.
"""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from plateaus.measures.by_task import figures as task_figures
from plateaus.measures.mixing import rows as mixing
from plateaus.report import bands, curves, panels
from plateaus.report.facets import by_facet, styles_of
from plateaus.report.selection import followed
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look

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
    """Return each group's test loss against all compute, a line a setting.

    The median over seeds; of up to 6 settings also the middle half of the seeds or, of fewer than
    8, each seed as a thin line. Compute is in training steps, extra work counted in.
    """
    if not mixing.adapts(dataset):
        return None

    def draw(axes: Axes, row: Row, task: str, look: Look) -> None:
        losses = followed(dataset.sel(task=task), "test_loss_by_task", row)
        compute, few = mixing.spent(dataset, row), len(rows) <= bands.MOST_SPREADS
        bands.median_curve(axes, compute, losses, look, spread=few)
        axes.xaxis.set_major_formatter(panels.THOUSANDS)

    return task_figures.each_task(dataset, rows, draw, "test loss", "compute (training steps)")
