"""How far a model is from named predictors over training, and all losses by prefix at the end.

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
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from plateaus.report import bands, panels
from plateaus.report.facets import (
    by_facet,
    label_outer,
    labelled,
    legend_above,
    panel_grid,
    styles_of,
    title,
)
from plateaus.report.selection import came_to_the_end, followed, last, of_family
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, looks_of, styled

LAWS = {"test": "test law", "pool": "training law"}
DASHES: dict[str, Any] = {"test": "-", "pool": (0, (3, 1.5))}
ORDER = ("zero", "ridge", "biased_ridge", "dmmse")  # from nothing learned to memory
PREFIX = "_loss_by_prefix"
REFERENCES: dict[str, Any] = {"zero": ":", "ridge": (0, (5, 2))}  # predictor -> dash


def predictors(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return how far the model is from each named predictor over training, a panel a setting.

    The mean squared distance of the model's predictions to those of the predictor, median over
    seeds. "Zero" has learned nothing; near "ridge", the best on the law of tasks, the model
    generalises; near "dmmse", the best on its training tasks alone, it has memorised them; "biased
    ridge" is the best under the law with its bias. Of mixtures of tasks: "no context" is the best
    without the examples of the prompt, "in context" the best with them, "known" is told the task.
    Solid on the test law, dashed on the training law; colours and markers are predictors.
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
    palette = looks_of(names)
    with styled():
        columns = min(4, len(rows))
        lines = -(-len(rows) // columns)
        size = (max(5.0, 2.6 * columns), 0.8 + 2.3 * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = panel_grid(figure, len(rows), columns, sharex=True, sharey=True)
        for axes, row in zip(grid, rows, strict=True):
            for (law, name), variable in shown.items():
                middle = bands.quartiles(followed(dataset, str(variable.name), row))[0]
                style: dict[str, Any] = {"color": palette[name].color, "ls": DASHES[law], "lw": 1.2}
                place = (0.05 + 0.03 * names.index(name), 0.2)  # of the length of the line
                marks: dict[str, Any] = {**palette[name].mark, "ms": 4.5}
                if np.isfinite(middle).any():  # else Matplotlib has no length to measure along
                    marks["markevery"] = place
                axes.plot(dataset["eval_step"].values, middle, **style, **marks)
            axes.set_title(title(row))
            panels.step_axis(axes, row.horizon)
        label_outer(grid, columns, "optimiser steps", "mean squared distance")
        handles = [
            Line2D(
                [], [], color=look.color, label="to " + name.replace("_", " "), ms=5, **look.mark
            )
            for name, look in palette.items()
        ]
        laws = [law for law in LAWS if law in {law for law, _ in shown}]
        handles += [Line2D([], [], color=GREY, ls=DASHES[law], label=LAWS[law]) for law in laws]
        legend_above(figure, handles)
    return figure


def prefixes(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the loss by prefix length at the end of training, on each law, and the predictors'.

    The median over seeds. Where the task has these predictors: grey and dotted, "zero"; grey and
    dashed, "ridge", the best on the law of tasks (both of the first setting); thin and dashed, in a
    setting's own colour, "dmmse", the best on its training tasks alone.
    """
    laws = [law for law in LAWS if came_to_the_end(dataset, rows, f"{law}{PREFIX}")]
    if not laws:
        return None

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        for axes, law in zip(part.subplots(1, len(laws), squeeze=False)[0], laws, strict=True):
            _prefix_panel(axes, dataset, facet, law)

    figure = by_facet(rows, (5.0 * len(laws), 2.9), draw)
    with styled():
        handles = labelled(figure)
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _prefix_panel(axes: Axes, dataset: xr.Dataset, facet: Sequence[Row], law: str) -> None:
    where = dataset["prefix"].values
    for predictor, dash in REFERENCES.items():
        if f"{law}{PREFIX}_of_{predictor}" in dataset:
            level = _level(dataset, facet[0], law, predictor)
            axes.plot(where, level, color=GREY, ls=dash, lw=1.2, label=predictor)
    for row, look in zip(facet, styles_of(facet), strict=True):
        middle = bands.quartiles(last(dataset, f"{law}{PREFIX}", row))[0]
        axes.plot(where, middle, **look.line)
        if law == "pool" and f"{law}{PREFIX}_of_dmmse" in dataset:
            level = _level(dataset, row, law, "dmmse")
            axes.plot(where, level, color=look.color, ls=(0, (4, 2)), lw=0.9)
    axes.set_title(f"{LAWS[law]}, at the end")
    axes.set_xlabel("examples in the prompt before the query")
    axes.set_ylabel("squared error of the query")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _level(dataset: xr.Dataset, row: Row, law: str, predictor: str) -> NDArray[np.float64]:
    return bands.quartiles(followed(dataset, f"{law}{PREFIX}_of_{predictor}", row))[0]


def _repeats_ridge(
    distances: Mapping[tuple[str, str], xr.DataArray], law: str, predictor: str
) -> bool:
    """Return whether this is the biased ridge where there is no bias: the ridge again."""
    if predictor != "biased_ridge":
        return False
    return bool(np.array_equal(distances[law, predictor], distances[law, "ridge"], equal_nan=True))
