"""Curves over training, each drawn where the results have it: metrics, norms, losses by examples.

Every function takes the labelled results and their table, and returns a figure, or None.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from plateaus.fields import INFINITE
from plateaus.report import bands, panels, table, words
from plateaus.report.bands import MOST_SPREADS
from plateaus.report.cells import cell, followed_runs
from plateaus.report.facets import (
    by_facet,
    facets,
    heading,
    legend,
    panel_grid,
    styles_of,
)
from plateaus.report.selection import (
    followed,
    is_followed,
    of_family,
    recorded,
    settings_with,
)
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, styled
from plateaus.variables import EVALUATIONS

COLUMNS = 3  # of panels over training
START = "data.curriculum_start"


def metrics(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the test law's metrics over training, a panel each, on log steps.

    The median over seeds; of up to 6 settings also the middle half of the seeds or, of fewer than
    8, each seed as a thin line. Over a panel stands how many settings have the metric, if not all.
    "Untrained" items are those that no batch may draw by then: what the model gets right of them it
    guesses from the others, and a curve ends where none are left.
    """
    labels = {
        name: str(variable.attrs["measure"]) + _of_items(variable)
        for name, variable in of_family(dataset, "metric", law="test").items()
        if variable.dims[-1] == EVALUATIONS and name != "test_loss" and recorded(dataset, name)
    }
    return over_training(dataset, rows, labels)


def _of_items(variable: xr.DataArray) -> str:
    items = variable.attrs.get("items", "")
    return f", {items} items" if items else ""


def weight_norms(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the norm of each layer's weights over training, a panel each, on log steps.

    The Euclidean norm of all weights of the layer: the median over seeds; of up to 6 settings also
    the middle half of the seeds or, of fewer than 8, each seed as a thin line.
    """
    norms = of_family(dataset, "weight_norm")
    labels = {name: f"norm of {variable.attrs['layer']}" for name, variable in norms.items()}
    return over_training(dataset, rows, labels)


def examples(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the test loss against the examples seen, where the batch size differs.

    Examples are the training prompts drawn so far, steps times batch size. The median over seeds;
    of up to 6 settings also the middle half of the seeds or, of fewer than 8, each seed as a thin
    line.
    """
    if "batch_size" not in dataset:
        return None
    started = dataset["status"].values != 0
    if len(np.unique(dataset["batch_size"].values[started])) < 2:
        return None
    if not settings_with(dataset.isel(eval_step=slice(1, None)), rows, "test_loss"):
        return None  # in log scale, there is nothing at no example
    with styled():
        groups = facets(rows)
        columns = min(2, len(groups))
        lines = -(-len(groups) // columns)
        size = (max(6.5, 5 * columns), 0.8 + 2.9 * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = panel_grid(figure, len(groups), columns)
        for axes, facet in zip(grid, groups, strict=True):
            for row, look in zip(facet, styles_of(facet), strict=True):
                batch = cell(dataset, "batch_size", row.index).max()
                seen = dataset["eval_step"].values * batch
                curves, few = followed(dataset, "test_loss", row), len(facet) <= MOST_SPREADS
                bands.median_curve(axes, seen, curves, look, spread=few)
            axes.set_title(heading(facet))
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(panels.THOUSANDS)
            axes.set_ylim(panels.loss_limits(dataset, rows))
            axes.set_xlabel("examples seen")
            axes.set_ylabel(panels.loss_label(dataset))
        legend(figure, groups)
    return figure


def loss_ratios(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the test loss of each setting beside its baseline's, step by step, of curricula.

    The ratio of the losses of two runs of a seed, in log scale, against log steps: the median over
    seeds; of up to 6 settings also the middle half of the seeds or, of fewer than 8, each seed as a
    thin line. Where a line is above 1 throughout, the baseline is at every step at least as good.
    """
    if not _has_curriculum(dataset) or all(row.is_baseline for row in rows):
        return None

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        axes, steps = part.subplots(), dataset["eval_step"].values
        panels.log_step_axis(axes, steps, facet[0].horizon)
        others = [(r, s) for r, s in zip(facet, styles_of(facet), strict=True) if not r.is_baseline]
        for row, look in others:
            few = len(others) <= MOST_SPREADS
            bands.median_curve(
                axes, steps[steps > 0], _ratios(dataset, rows, row)[:, steps > 0], look, spread=few
            )
        axes.axhline(1, color=GREY, lw=0.8, zorder=1)
        panels.log_axis(axes)
        baseline = words.lines(table.label(facet[0].baseline), 2.0, 9.0)
        axes.set_ylabel(f"test loss, ratio to that of\n{baseline}")

    return by_facet(rows, (7.5, 3.6), draw)


def _has_curriculum(dataset: xr.Dataset) -> bool:
    """Return whether more items come into play in some setting."""
    config, variants = (json.loads(dataset.attrs.get(n, "{}")) for n in ("config", "variants"))
    several = [config, *variants.values(), dict.fromkeys(json.loads(dataset.attrs["swept"]), 0)]
    return any(fields.get(START, INFINITE) != INFINITE for fields in several)


def _ratios(dataset: xr.Dataset, rows: Sequence[Row], row: Row) -> NDArray[np.float64]:
    """Return the test loss of runs as a ratio to those of the baseline, by seed, [seed, eval]."""
    baseline = next(other for other in rows if other.setting == row.baseline)
    first, second = (
        np.where(
            is_followed(dataset, each)[:, None], cell(dataset, "test_loss", each.index), np.nan
        )
        for each in (row, baseline)
    )
    usable = np.isfinite(first) & np.isfinite(second) & (first > 0) & (second > 0)
    end = min(followed_runs(dataset, each.index)[1] for each in (row, baseline))
    usable &= dataset[EVALUATIONS].values <= end  # beyond it they would be a selection of the pairs
    ratios = np.full(first.shape, np.nan)
    ratios[usable] = first[usable].astype(np.float64) / second[usable]
    return ratios[usable.any(axis=1)]


def over_training(
    dataset: xr.Dataset, rows: Sequence[Row], labels: Mapping[str, str]
) -> Figure | None:
    """Return curves over training on log steps: a panel for each variable, under each facet.

    `labels` are those of the vertical axes, by variable; without any the result is None.
    """
    if not labels:
        return None
    columns = min(COLUMNS, len(labels))
    lines = -(-len(labels) // columns)

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        grid = panel_grid(part, len(labels), columns)
        for axes, (name, label) in zip(grid, labels.items(), strict=True):
            _curve_panel(axes, dataset, facet, name)
            axes.set_ylabel(words.lines(label.replace("_", " "), 2.0, 9.0))
            axes.set_ylim(limits(dataset, rows, name))

    return by_facet(rows, (max(5.0, 3.5 * columns), 2.6 * lines), draw)


def _curve_panel(axes: Axes, dataset: xr.Dataset, facet: Sequence[Row], name: str) -> None:
    """Draw a variable over training, a line a setting, and how many settings have it."""
    steps = dataset[dataset[name].dims[-1]].values
    drawn = 0
    for row, look in zip(facet, styles_of(facet), strict=True):
        values = followed(dataset, name, row)
        if np.isfinite(values[:, steps > 0]).any():
            drawn += 1
            bands.median_curve(axes, steps, values, look, spread=len(facet) <= MOST_SPREADS)
    panels.log_step_axis(axes, steps, facet[0].horizon, most=5)
    if drawn < len(facet):
        axes.set_title(f"{drawn} of {len(facet)} settings have it")


def limits(dataset: xr.Dataset, rows: Sequence[Row], name: str) -> tuple[float, float]:
    """Return the range of the medians: a single run would flatten every curve."""
    middles = [bands.quartiles(followed(dataset, name, row))[0] for row in rows]
    seen = np.concatenate(middles) if middles else np.array([])
    seen = seen[np.isfinite(seen)]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
    room = 0.08 * max(high - low, 0.05 * abs(high), 1e-6)
    return low - room, high + room
