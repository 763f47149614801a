"""Further figures, each drawn where the results have what it shows: metrics, predictors, prefixes.

Every function takes the labelled results and their table, and returns a figure, or None.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from plateaus.report import panels, survival, table
from plateaus.report.facets import by_facet, facets, heading, legend, styles_of
from plateaus.report.statistics import FINISHED, Row, cell
from plateaus.report.style import GREY, styled

LAWS = {"test": "test law", "pool": "training law"}
ORDER = ("zero", "ridge", "biased_ridge", "dmmse")  # from nothing learned to memory
DISTANCE = "_distance_to_"
PREFIX = "_loss_by_prefix"
NORM = "weight_norm_"


def metrics(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the test law's metrics over training, a column each: mean over seeds, 95% t band."""
    names = [
        str(name)
        for name, variable in dataset.data_vars.items()
        if variable.dims[-1] == "eval_step" and str(name).startswith("test_")
        if DISTANCE not in str(name) and str(name) != "test_loss"
        if bool(np.isfinite(variable).any())
    ]
    return over_training(dataset, rows, names, [n.removeprefix("test_") for n in names])


def weight_norms(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the norm of each layer's weights over training, a column each, where recorded."""
    names = [str(name) for name in dataset.data_vars if str(name).startswith(NORM)]
    return over_training(dataset, rows, names, [f"norm of {n.removeprefix(NORM)}" for n in names])


def examples(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the test loss against the examples seen, where the batch size differs."""
    if "batch_size" not in dataset:
        return None
    if len(np.unique(dataset["batch_size"].values[_ran(dataset)])) < 2:
        return None
    with styled():
        groups = facets(rows)
        columns = min(2, len(groups))
        lines = -(-len(groups) // columns)
        size = (max(6.5, 5 * columns), 0.8 + 2.9 * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes, facet in zip(grid, groups, strict=False):
            for row, look in zip(facet, styles_of(facet), strict=True):
                batch = cell(dataset, "batch_size", row.index).max()
                mean, half = survival.mean_band(finished(dataset, "test_loss", row))
                seen = dataset["eval_step"].values * batch
                axes.fill_between(
                    seen, mean - half, mean + half, color=look.color, alpha=0.16, lw=0
                )
                axes.plot(seen, mean, **look.line)
            axes.set_title(heading(facet))
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(panels.THOUSANDS)
            axes.set_ylim(panels.loss_limits(dataset, rows))
            axes.set_xlabel("examples seen")
            axes.set_ylabel(panels.loss_label(dataset))
        for axes in grid[len(groups) :]:
            axes.remove()
        legend(figure, groups)
    return figure


def predictors(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return how far the model is from each named predictor over training, a panel a setting.

    Mean squared distance, mean over seeds: near "ridge" it generalises, near "dmmse" it has
    memorised its tasks. Solid on the test law, dashed on the training law.
    """
    names = [str(n) for n in dataset.data_vars if DISTANCE in str(n)]
    names = [n for n in names if not _repeats(dataset, n)]
    found = dict.fromkeys(name.partition(DISTANCE)[2] for name in names)
    kinds = sorted(found, key=lambda kind: (ORDER.index(kind) if kind in ORDER else 9, kind))
    if not names:
        return None
    with styled():
        columns = min(4, len(rows))
        lines = -(-len(rows) // columns)
        size = (max(5.0, 2.6 * columns), 0.8 + 2.3 * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
        colors = {kind: f"C{i}" for i, kind in enumerate(kinds)}
        for i, (axes, row) in enumerate(zip(grid, rows, strict=False)):
            for name in names:
                law, _, kind = name.partition(DISTANCE)
                mean, _ = survival.mean_band(finished(dataset, name, row))
                dashes = "-" if law == "test" else (0, (3, 1.5))
                axes.plot(dataset["eval_step"].values, mean, color=colors[kind], ls=dashes, lw=1.2)
            axes.set_title(table.label(row.setting).replace(", ", "\n"))
            panels.step_axis(axes, row.horizon)
            bottom = i + columns >= len(rows)  # the last of its column
            axes.set_xlabel("optimiser steps" if bottom else "")
            axes.tick_params(labelbottom=bottom)
            axes.set_ylabel("" if i % columns else "squared distance to")
        for axes in grid[len(rows) :]:
            axes.remove()
        handles = [Line2D([], [], color=colors[kind], label=kind) for kind in kinds]
        handles += [
            Line2D([], [], color=GREY, ls=ls, label=text)
            for ls, text in (("-", LAWS["test"]), ((0, (3, 1.5)), LAWS["pool"]))
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def prefixes(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the loss by prefix length at the end of training, on each law, and the predictors'.

    Dotted: "zero" and "ridge" (in the first setting). Dashed, in a setting's own colour: "dmmse",
    best on its tasks.
    """
    laws = [law for law in LAWS if f"{law}{PREFIX}" in dataset]
    if not laws:
        return None
    with styled():
        groups = facets(rows)
        figure = Figure(figsize=(10, 0.8 + 2.9 * len(groups)), layout="constrained")
        for part, facet in by_facet(figure, groups):
            for axes, law in zip(part.subplots(1, 2, squeeze=False)[0], laws, strict=False):
                _prefix_panel(axes, dataset, facet, law)
        legend(figure, groups)
    return figure


def _prefix_panel(axes: Axes, dataset: xr.Dataset, facet: Sequence[Row], law: str) -> None:
    where = dataset["prefix"].values
    for predictor in ("zero", "ridge"):
        if f"{law}{PREFIX}_of_{predictor}" in dataset:
            level = _level(dataset, facet[0], law, predictor)
            axes.plot(where, level, color=GREY, ls=":", lw=1.2)
    for row, look in zip(facet, styles_of(facet), strict=True):
        last = finished(dataset, f"{law}{PREFIX}", row)[:, -1]
        axes.plot(where, survival.mean_band(last)[0], color=look.color, lw=look.width)
        if law == "pool" and f"{law}{PREFIX}_of_dmmse" in dataset:
            level = _level(dataset, row, law, "dmmse")
            axes.plot(where, level, color=look.color, ls=(0, (4, 2)), lw=0.9)
    axes.set_title(f"{LAWS[law]}, at the end")
    axes.set_xlabel("points before the query")
    axes.set_ylabel("squared error")
    axes.set_ylim(bottom=0)


def _level(dataset: xr.Dataset, row: Row, law: str, predictor: str) -> NDArray[np.float64]:
    return survival.mean_band(finished(dataset, f"{law}{PREFIX}_of_{predictor}", row))[0]


def over_training(
    dataset: xr.Dataset, rows: Sequence[Row], names: Sequence[str], labels: Sequence[str]
) -> Figure | None:
    """Return curves over training, a column each and a line of panels a facet; None of none."""
    if not names:
        return None
    with styled():
        groups = facets(rows)
        size = (max(5.0, 3.4 * len(names)), 0.8 + 2.7 * len(groups))
        figure = Figure(figsize=size, layout="constrained")
        for part, facet in by_facet(figure, groups):
            grid = part.subplots(1, len(names), squeeze=False)[0]
            for axes, name, label in zip(grid, names, labels, strict=True):
                for row, look in zip(facet, styles_of(facet), strict=True):
                    mean, half = survival.mean_band(finished(dataset, name, row))
                    steps = dataset[dataset[name].dims[-1]].values
                    axes.fill_between(
                        steps, mean - half, mean + half, color=look.color, alpha=0.16, lw=0
                    )
                    axes.plot(steps, mean, **look.line)
                axes.set_ylabel(label.replace("_", " "))
                axes.set_ylim(limits(dataset, rows, name))
                panels.step_axis(axes, facet[0].horizon)
        legend(figure, groups)
    return figure


def limits(dataset: xr.Dataset, rows: Sequence[Row], name: str) -> tuple[float, float]:
    """Return the range of the means: the band of two seeds would flatten every curve."""
    means = np.concatenate([survival.mean_band(finished(dataset, name, row))[0] for row in rows])
    means = means[np.isfinite(means)]
    low, high = (float(means.min()), float(means.max())) if means.size else (0.0, 1.0)
    room = 0.08 * max(high - low, 1e-6)
    return low - room, high + room


def _repeats(dataset: xr.Dataset, name: str) -> bool:
    """Return whether this is the biased ridge where there is no bias: the ridge once more."""
    other = name.replace("biased_ridge", "ridge")
    return other != name and bool(np.array_equal(dataset[name], dataset[other], equal_nan=True))


def _ran(dataset: xr.Dataset) -> NDArray[np.bool_]:
    return dataset["status"].values != 0


def finished(dataset: xr.Dataset, name: str, row: Row) -> NDArray[np.float64]:
    """Return a variable of the finished runs of a setting, NaN where not finite."""
    values = cell(dataset, name, row.index).astype(np.float64)
    values = values[cell(dataset, "status", row.index) == FINISHED]
    return np.where(np.isfinite(values), values, np.nan)
