"""Figures of adaptive mixing: what it costs, on average and by group.

Every function takes the labelled results and their table, and returns a figure; None where no
setting's shares adapt.
"""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from plateaus.measures.by_task import grid
from plateaus.measures.mixing import rows as mixing
from plateaus.report import bands, curves, panels
from plateaus.report.facets import by_facet, styles_of
from plateaus.report.selection import followed
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look


def loss_against_compute(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return average and worst loss against all compute, and their ratios to the baseline's.

    Compute is in training steps, extra work counted in. Left: the test loss, the median over seeds,
    a line a setting. Right: its ratio to the loss of the baseline's run of the same seed after the
    same compute, on a logarithmic axis: the median over seeds; of up to 6 settings also the middle
    half of the seeds or, of fewer than 8, each seed as a thin line. Below 1 (solid) a setting is
    better. Dashed: the least that a setting spends in all, at which the table compares.
    """
    if not mixing.adapts(dataset):
        return None
    labels = {"test_loss": "average test loss", mixing.WORST: "test loss of the worst group"}
    start = 1 if dataset.sizes["eval_step"] > 2 else 0  # the first losses would flatten the rest
    later = dataset.isel(eval_step=slice(start, None))
    shared = mixing.least(dataset, rows)

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        few = len(facet) - 1 <= bands.MOST_SPREADS
        panes = part.subplots(2, 2, sharex=True)
        for (left, right), (name, label) in zip(panes, labels.items(), strict=True):
            for row, look in zip(facet, styles_of(facet), strict=True):
                losses = followed(dataset, name, row)
                bands.median_curve(left, mixing.spent(dataset, row), losses, look, spread=False)
                baseline = next(other for other in rows if other.setting == row.baseline)
                if row is not baseline:
                    compute, ratios = mixing.ratios(dataset, row, baseline, name, shared)
                    bands.median_curve(right, compute, ratios, look, spread=few)
            left.set_ylim(curves.limits(later, rows, name))
            left.set_ylabel(label)
            right.axhline(1, color=GREY, lw=0.8)
            right.set_ylabel("ratio to the baseline's,\nsame seed and compute")
            panels.log_axis(right)
            for axes in (left, right):
                axes.axvline(shared, ls=(0, (4, 3)), lw=0.8, color=GREY)
                axes.set_xlim(left=0)
                axes.xaxis.set_major_formatter(panels.THOUSANDS)
        for axes in panes[1]:
            axes.set_xlabel("compute (training steps, extra work counted in)")

    return by_facet(rows, (10, 5), draw, top=0.9)


def domains(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return each group's test loss against all compute, a line a setting.

    The median over seeds; of up to 6 settings also the middle half of the seeds or, of fewer than
    8, each seed as a thin line. Compute is in training steps, extra work counted in.
    """
    if not mixing.adapts(dataset):
        return None

    def draw(axes: Axes, row: Row, task: str, look: Look, spread: bool) -> None:
        losses = followed(dataset.sel(task=task), "test_loss_by_task", row)
        bands.median_curve(axes, mixing.spent(dataset, row), losses, look, spread=spread)
        axes.xaxis.set_major_formatter(panels.THOUSANDS)

    return grid.each_task(dataset, rows, draw, "test loss", "compute (training steps)")
