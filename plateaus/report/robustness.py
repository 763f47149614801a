"""Figures of a model on other test laws, and beside plain learners.

They are drawn where a task has other laws (`Task.laws`), or predictors that are no ideal ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from plateaus.report import panels, survival
from plateaus.report.curves import LAWS, ORDER, PREFIX
from plateaus.report.facets import by_facet, labelled, panel_grid, styles_of
from plateaus.report.selection import came_to_the_end, followed, last, of_family
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, styled

SHOWN = {"zero": ":", "ridge": (0, (5, 2)), "least_squares": (0, (1.5, 1))}  # name -> dash
LOSS, OF = "_loss", "_of_"


def robustness(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the loss on each test law at the end of training, a panel a law, in log scale.

    By the number of points before the query, where every position of a prompt counts; over
    training, where only one does. Lines of the model: mean over seeds. Grey:
    "zero", "ridge" (of the test law), "least_squares", where recorded, of the first setting.
    """
    others = other_laws(dataset)
    if not others:
        return None
    by_query = [law for law in others if f"{law}{PREFIX}" not in dataset]
    laws = ["test", *(law for law in others if law not in by_query), *by_query]
    columns = min(4, len(laws))
    lines = -(-len(laws) // columns)

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        grid = panel_grid(part, len(laws), columns)
        for axes, law in zip(grid, laws, strict=True):
            _law_panel(axes, dataset, facet, law)
        for axes in grid[::columns]:
            axes.set_ylabel("loss")

    figure = by_facet(rows, (max(6.5, 2.7 * columns), 2.2 * lines), draw, top=0.9)
    with styled():
        handles = labelled(figure)
        figure.legend(handles=handles, loc="outside lower center", ncols=max(1, len(handles)))
    return figure


def baselines(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the loss by prefix on the test law at the end, of the model and of all predictors.

    Drawn where there are predictors besides the ideal ones, those of the first setting.
    """
    by_prefix = of_family(dataset, "predictor", law="test", measure="loss_by_prefix")
    variables = {variable.attrs["predictor"]: name for name, variable in by_prefix.items()}
    plain = [name for name in variables if name not in ORDER]
    if not plain or not came_to_the_end(dataset, rows, f"test{PREFIX}"):
        return None
    shown = [name for name in ("zero", "ridge") if name in variables] + plain

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        axes = part.subplots()
        _model(axes, dataset, facet, "test")
        for i, name in enumerate(shown):
            level, _ = survival.mean_band(followed(dataset, variables[name], facet[0]))
            look: dict[str, Any] = {
                "color": f"C{i % 10}",
                "ls": (0, (4, 1.5)),
                "lw": 1.1,
                "label": _text(name),
            }
            marker = "osD^vP*X"[i % 8]
            axes.plot(dataset["prefix"].values, level, marker=marker, ms=3, **look)
        axes.set_xlabel("points before the query")
        axes.set_ylabel("squared error")
        axes.set_ylim(bottom=0)

    figure = by_facet(rows, (7.0, 3.4), draw, top=1.0)
    with styled():
        figure.legend(handles=labelled(figure), loc="outside right upper")
    return figure


def other_laws(dataset: xr.Dataset) -> list[str]:
    """Return the names of the laws besides the test and the training law, in their order."""
    losses, predicted = (
        dict.fromkeys(v.attrs["law"] for v in of_family(dataset, family, measure="loss").values())
        for family in ("metric", "predictor")
    )
    return [law for law in losses if law in predicted and law not in LAWS]


def _law_panel(axes: Axes, dataset: xr.Dataset, facet: Sequence[Row], law: str) -> None:
    by_prefix = f"{law}{PREFIX}" in dataset
    _model(axes, dataset, facet, law)
    framed = list(axes.lines)  # not least squares: its error has no bound where n = d
    for name, dash in SHOWN.items():
        variable = f"{law}{PREFIX if by_prefix else LOSS}{OF}{name}"
        if variable not in dataset:
            continue
        values = followed(dataset, variable, facet[0])
        mean, _ = survival.mean_band(values)
        look: dict[str, Any] = {"color": GREY, "ls": dash, "label": _text(name)}
        if by_prefix:
            axes.plot(dataset["prefix"].values, mean, **look)
        elif mean > 0:
            axes.axhline(float(mean), **look)
        else:
            continue
        if name == "zero":
            framed.append(axes.lines[-1])
    if by_prefix:
        axes.set_xlabel("points before")
    else:
        panels.step_axis(axes, facet[0].horizon)
        axes.set_xticks([0, facet[0].horizon])
    axes.set_title("test law" if law == "test" else _text(law) + ("" if by_prefix else " (query)"))
    tops = [np.max(y[np.isfinite(y)], initial=0.0) for y in map(_heights, framed)]
    top = float(max(tops, default=0.0))
    if not top:
        return  # no run has come so far
    panels.log_axis(axes)
    low = min(_least_positive(line.get_ydata()) for line in axes.lines)
    axes.set_ylim(
        max(min(low / 1.5, top / 12), 1e-3 * top), 1.5 * top
    )  # exact predictors would stretch it for ever


def _model(axes: Axes, dataset: xr.Dataset, facet: Sequence[Row], law: str) -> None:
    """Draw the model's loss on a law, a line a row: by prefix where that is recorded."""
    by_prefix = f"{law}{PREFIX}" in dataset
    where = dataset["prefix" if by_prefix else "eval_step"].values
    for row, look in zip(facet, styles_of(facet), strict=True):
        of_row = last if by_prefix else followed
        mean, _ = survival.mean_band(of_row(dataset, f"{law}{PREFIX if by_prefix else LOSS}", row))
        axes.plot(where, mean, **look.line, label="" if row.setting else "model")


def _heights(line: Line2D) -> NDArray[np.float64]:
    return np.asarray(line.get_ydata(), np.float64)


def _least_positive(values: ArrayLike) -> float:
    positive = np.asarray(values, np.float64)
    positive = positive[np.isfinite(positive) & (positive > 0)]
    return float(positive.min()) if positive.size else 1.0


def _text(name: str) -> str:
    return name.replace("_", " ")
