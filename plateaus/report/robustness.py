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
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from plateaus.report import bands, panels
from plateaus.report.facets import by_facet, labelled, panel_grid, styles_of
from plateaus.report.predictors import LAWS, ORDER, PREFIX, REFERENCES
from plateaus.report.selection import came_to_the_end, followed, last, of_family
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, looks, styled

SHOWN: dict[str, Any] = {**REFERENCES, "least_squares": (0, (6, 1.5, 1, 1.5))}  # name -> dash
DEPTH = 0.03  # of the highest line: how far down a predictor may draw the axis
LOSS, OF = "_loss", "_of_"


def robustness(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the loss on each test law, a panel a law, in log scale.

    At the end of training, by the number of examples in the prompt before the query; below, over
    training on log steps, of laws on which only one query a prompt counts. The model: the median
    over seeds; of up to 6 settings also the middle half of the seeds or, of fewer than 8, each seed
    as a thin line. Grey, of the first setting and on the same prompts: the predictors "zero",
    "ridge" (of the test law) and "least squares", which is exact without noise once there are as
    many examples as dimensions. A triangle at the foot or at the top of a panel: from there on that
    predictor's loss is beyond the axis.
    """
    others = other_laws(dataset)
    if not others:
        return None
    by_query = [law for law in others if f"{law}{PREFIX}" not in dataset]
    by_prefix = ["test", *(law for law in others if law not in by_query)]
    blocks = [laws for laws in (by_prefix, by_query) if laws]
    columns = min(4, max(map(len, blocks)))
    lines = [-(-len(laws) // columns) for laws in blocks]

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        parts = part.subfigures(len(blocks), 1, squeeze=False, height_ratios=lines)[:, 0]
        for block, laws in zip(parts, blocks, strict=True):
            grid = panel_grid(block, len(laws), columns)
            for axes, law in zip(grid, laws, strict=True):
                _law_panel(axes, dataset, facet, law)
            name = "loss of the query" if laws is by_query else "loss"
            for number, axes in enumerate(grid):
                axes.set_ylabel("" if number % columns else name)
                if number + columns < len(laws):
                    axes.set_xlabel("")

    figure = by_facet(rows, (max(6.5, 2.7 * columns), 2.2 * sum(lines)), draw, top=0.9)
    with styled():
        handles = labelled(figure)
        figure.legend(handles=handles, loc="outside lower center", ncols=max(1, len(handles)))
    return figure


def baselines(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the loss by prefix on the test law at the end, of the model and of all predictors.

    The model, a line a setting: the median over seeds; of up to 6 settings also the middle half of
    the seeds or, of fewer than 8, each seed as a thin line. Grey, with markers: the median losses
    of plain learners, fitted to the examples of each prompt, and of ideal predictors, all of the
    first setting and on the same prompts. "Zero" and "no context" say what is best without the
    examples; "ridge", "in context" what is best with them; "known" is told the task.
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
        for name, look in zip(shown, looks(len(shown)), strict=True):
            level = bands.quartiles(followed(dataset, variables[name], facet[0]))[0]
            style: dict[str, Any] = {"color": GREY, "ls": look.dash, "lw": 1.0, "ms": 5}
            axes.plot(dataset["prefix"].values, level, label=_text(name), **style, **look.mark)
        axes.set_xlabel("examples in the prompt before the query")
        axes.set_ylabel("squared error of the query")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    figure = by_facet(rows, (7.0, 3.6), draw, top=1.2)
    with styled():
        figure.legend(handles=labelled(figure), loc="outside lower center", ncols=4)
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
        level = bands.quartiles(followed(dataset, variable, facet[0]))[0]
        if not np.any(level > 0):
            continue
        style: dict[str, Any] = {"color": GREY, "ls": dash, "label": _text(name)}
        if by_prefix:
            axes.plot(dataset["prefix"].values, level, **style)
        else:
            axes.axhline(float(level), **style)
        if name == "zero":
            framed.append(axes.lines[-1])
    if by_prefix:
        axes.set_xlabel("examples before the query")
    else:
        steps = dataset["eval_step"].values
        panels.log_step_axis(axes, steps, facet[0].horizon, most=4)
    axes.set_title("test law" if law == "test" else _text(law))
    tops = [np.max(y[np.isfinite(y)], initial=0.0) for y in map(_heights, framed)]
    top = float(max(tops, default=0.0))
    if not top:
        return  # no run has come so far
    panels.log_axis(axes)
    low = min(_least_positive(line.get_ydata()) for line in axes.lines)
    model = [_least_positive(line.get_ydata()) for line in framed]
    # what is exact would stretch the axis for ever; the model is always whole
    axes.set_ylim(min(min(model) / 1.5, max(low / 1.5, DEPTH * top), top / 12), 1.5 * top)
    for line in axes.lines[:]:
        if line not in framed:
            _mark_beyond(axes, line, by_prefix)


def _mark_beyond(axes: Axes, line: Line2D, by_prefix: bool) -> None:
    """Mark where a line first leaves the axis, at its foot or at its top."""
    low, high = axes.get_ylim()
    x, y = np.asarray(line.get_xdata(), np.float64), _heights(line)
    # a level has the whole width of the axes, and no prefixes
    where = axes.get_xaxis_transform() if by_prefix else axes.transAxes
    for beyond, marker, at in ((y < low, "v", 0.03), (y > high, "^", 0.97)):
        if beyond.any():
            first = float(x[int(np.argmax(beyond))]) if by_prefix else 0.9
            axes.plot([first], [at], marker=marker, color=GREY, ms=6, mew=0, transform=where)


def _model(axes: Axes, dataset: xr.Dataset, facet: Sequence[Row], law: str) -> None:
    """Draw the model's loss on a law, a line a row: by prefix where that is recorded."""
    by_prefix = f"{law}{PREFIX}" in dataset
    where = dataset["prefix" if by_prefix else "eval_step"].values
    few = len(facet) <= bands.MOST_SPREADS
    for row, look in zip(facet, styles_of(facet), strict=True):
        of_row = last if by_prefix else followed
        losses = of_row(dataset, f"{law}{PREFIX if by_prefix else LOSS}", row)
        name = {} if row.setting else {"label": "model"}
        bands.median_curve(axes, where, losses, look, spread=few, **name)


def _heights(line: Line2D) -> NDArray[np.float64]:
    return np.asarray(line.get_ydata(), np.float64)


def _least_positive(values: ArrayLike) -> float:
    positive = np.asarray(values, np.float64)
    positive = positive[np.isfinite(positive) & (positive > 0)]
    return float(positive.min()) if positive.size else 1.0


def _text(name: str) -> str:
    return name.replace("_", " ")
