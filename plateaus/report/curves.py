"""Further figures, each drawn where the results have what it shows: metrics, predictors, prefixes.

Every function takes the labelled results and their table, and returns a figure, or None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from plateaus.report import panels, survival
from plateaus.report.cells import cell
from plateaus.report.facets import (
    by_facet,
    facets,
    heading,
    label_outer,
    legend,
    legend_above,
    panel_grid,
    styles_of,
    title,
)
from plateaus.report.selection import (
    came_to_the_end,
    followed,
    last,
    of_family,
    recorded,
    settings_with,
)
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, styled
from plateaus.variables import EVALUATIONS

LAWS = {"test": "test law", "pool": "training law"}
DASHES: dict[str, Any] = {"test": "-", "pool": (0, (3, 1.5))}
ORDER = ("zero", "ridge", "biased_ridge", "dmmse")  # from nothing learned to memory
PREFIX = "_loss_by_prefix"


def metrics(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the test law's metrics over training, a column each: mean over seeds, 95% t band."""
    labels = {
        name: " ".join(filter(None, map(variable.attrs.get, ("measure", "items"))))
        for name, variable in of_family(dataset, "metric", law="test").items()
        if variable.dims[-1] == EVALUATIONS and name != "test_loss" and recorded(dataset, name)
    }
    return over_training(dataset, rows, labels)


def weight_norms(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the norm of each layer's weights over training, a column each, where recorded."""
    norms = of_family(dataset, "weight_norm")
    labels = {name: f"norm of {variable.attrs['layer']}" for name, variable in norms.items()}
    return over_training(dataset, rows, labels)


def examples(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the test loss against the examples seen, where the batch size differs."""
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
                panels.mean_curve(axes, seen, followed(dataset, "test_loss", row), look)
            axes.set_title(heading(facet))
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(panels.THOUSANDS)
            axes.set_ylim(panels.loss_limits(dataset, rows))
            axes.set_xlabel("examples seen")
            axes.set_ylabel(panels.loss_label(dataset))
        legend(figure, groups)
    return figure


def predictors(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return how far the model is from each named predictor over training, a panel a setting.

    Mean squared distance, mean over seeds: near "ridge" it generalises, near "dmmse" it has
    memorised its tasks. Solid on the test law, dashed on the training law.
    """
    distances = {
        (variable.attrs["law"], variable.attrs["predictor"]): variable
        for variable in of_family(dataset, "distance").values()
    }
    shown = {key: v for key, v in distances.items() if not _repeats_ridge(distances, *key)}
    if not shown:
        return None
    names = sorted(
        {name for _, name in shown}, key=lambda n: (ORDER.index(n) if n in ORDER else 9, n)
    )
    colors = {name: f"C{i}" for i, name in enumerate(names)}
    with styled():
        columns = min(4, len(rows))
        lines = -(-len(rows) // columns)
        size = (max(5.0, 2.6 * columns), 0.8 + 2.3 * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = panel_grid(figure, len(rows), columns, sharex=True, sharey=True)
        for axes, row in zip(grid, rows, strict=True):
            for (law, name), variable in shown.items():
                mean, _ = survival.mean_band(followed(dataset, str(variable.name), row))
                steps = dataset["eval_step"].values
                axes.plot(steps, mean, color=colors[name], ls=DASHES[law], lw=1.2)
            axes.set_title(title(row))
            panels.step_axis(axes, row.horizon)
        label_outer(grid, columns, "optimiser steps", "squared distance to")
        handles = [Line2D([], [], color=color, label=name) for name, color in colors.items()]
        laws = [law for law in LAWS if law in {law for law, _ in shown}]
        handles += [Line2D([], [], color=GREY, ls=DASHES[law], label=LAWS[law]) for law in laws]
        legend_above(figure, handles)
    return figure


def prefixes(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the loss by prefix length at the end of training, on each law, and the predictors'.

    Dotted: "zero" and "ridge" (in the first setting). Dashed, in a setting's own colour: "dmmse",
    best on its tasks.
    """
    laws = [law for law in LAWS if came_to_the_end(dataset, rows, f"{law}{PREFIX}")]
    if not laws:
        return None

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        for axes, law in zip(part.subplots(1, 2, squeeze=False)[0], laws, strict=False):
            _prefix_panel(axes, dataset, facet, law)

    return by_facet(rows, (10, 2.9), draw)


def _prefix_panel(axes: Axes, dataset: xr.Dataset, facet: Sequence[Row], law: str) -> None:
    where = dataset["prefix"].values
    for predictor in ("zero", "ridge"):
        if f"{law}{PREFIX}_of_{predictor}" in dataset:
            level = _level(dataset, facet[0], law, predictor)
            axes.plot(where, level, color=GREY, ls=":", lw=1.2)
    for row, look in zip(facet, styles_of(facet), strict=True):
        mean, _ = survival.mean_band(last(dataset, f"{law}{PREFIX}", row))
        axes.plot(where, mean, color=look.color, lw=look.width)
        if law == "pool" and f"{law}{PREFIX}_of_dmmse" in dataset:
            level = _level(dataset, row, law, "dmmse")
            axes.plot(where, level, color=look.color, ls=(0, (4, 2)), lw=0.9)
    axes.set_title(f"{LAWS[law]}, at the end")
    axes.set_xlabel("points before the query")
    axes.set_ylabel("squared error")
    axes.set_ylim(bottom=0)


def _level(dataset: xr.Dataset, row: Row, law: str, predictor: str) -> NDArray[np.float64]:
    return survival.mean_band(followed(dataset, f"{law}{PREFIX}_of_{predictor}", row))[0]


def over_training(
    dataset: xr.Dataset, rows: Sequence[Row], labels: Mapping[str, str]
) -> Figure | None:
    """Return curves over training: a column for each variable, a line of panels for each facet.

    `labels` are those of the vertical axes, by variable; without any the result is None.
    """
    if not labels:
        return None

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        grid = part.subplots(1, len(labels), squeeze=False)[0]
        for axes, (name, label) in zip(grid, labels.items(), strict=True):
            steps = dataset[dataset[name].dims[-1]].values
            for row, look in zip(facet, styles_of(facet), strict=True):
                panels.mean_curve(axes, steps, followed(dataset, name, row), look)
            axes.set_ylabel(label.replace("_", " "))
            axes.set_ylim(limits(dataset, rows, name))
            panels.step_axis(axes, facet[0].horizon)

    return by_facet(rows, (max(5.0, 3.4 * len(labels)), 2.7), draw)


def limits(dataset: xr.Dataset, rows: Sequence[Row], name: str) -> tuple[float, float]:
    """Return the range of the means: the band of two seeds would flatten every curve."""
    means = np.concatenate([survival.mean_band(followed(dataset, name, row))[0] for row in rows])
    means = means[np.isfinite(means)]
    low, high = (float(means.min()), float(means.max())) if means.size else (0.0, 1.0)
    room = 0.08 * max(high - low, 1e-6)
    return low - room, high + room


def _repeats_ridge(
    distances: Mapping[tuple[str, str], xr.DataArray], law: str, predictor: str
) -> bool:
    """Return whether this is the biased ridge where there is no bias: the ridge again."""
    if predictor != "biased_ridge":
        return False
    return bool(np.array_equal(distances[law, predictor], distances[law, "ridge"], equal_nan=True))
