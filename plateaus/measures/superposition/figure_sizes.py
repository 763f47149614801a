"""What the evenest mixture is answered by models of several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from plateaus.measures.superposition import rows as superposition
from plateaus.report import bands, table, words
from plateaus.report.cells import cell, swept_values
from plateaus.report.facets import legend_above
from plateaus.report.selection import came_to_the_end, last
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look, looks_of, styled

PARAMETERS = "parameters"
MOST_TICKS = 8  # one a model; round numbers for more


def sizes(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return tasks completed and KL of the evenest mixture against the number of parameters.

    At the end of training. Left: how many of the tasks' answers are among as many most probable
    outputs; right: the divergence KL of the tasks' shares from P of their answers, 0 where these
    are the shares. Faint dots are seeds, with their median and, of 8 and more, a bar over their
    middle half; a line for each combination of the other swept fields. Hollow, and not joined: of
    a size of which less than half of the runs left the plateau. None where settings do not differ
    in parameters.
    """
    lines = by_size(dataset, rows)
    if not lines:
        return None
    number = len(superposition.answers(dataset))
    even = superposition.mixture_name(dataset, superposition.evenest(dataset))
    shown = {
        superposition.COMPLETED: f"tasks completed of {number}, mixture {even}",
        superposition.KL: f"KL (nats), mixture {even}",
    }
    palette = looks_of(list(lines))
    with styled():
        figure = Figure(figsize=(8, 3.3), layout="constrained")
        grid = figure.subplots(1, 2)
        for axes, (name, label) in zip(grid, shown.items(), strict=True):
            for series, look in zip(lines.values(), palette.values(), strict=True):
                _line(axes, series, look, dataset, name)
            _count_axis(axes, sorted({x for series in lines.values() for x, _ in series}))
            axes.set_ylabel(label)
        grid[0].yaxis.set_major_locator(MaxNLocator(integer=True))
        grid[0].set_ylim(-0.05 * number, 1.05 * number)
        grid[1].set_ylim(bottom=0)
        handles = [look.handle(name, **look.mark) for name, look in palette.items() if name]
        if not all(_left(row) for series in lines.values() for _, row in series):
            style: dict[str, Any] = {"ls": "", "mfc": "white", "mec": GREY, "marker": "o"}
            label = "less than half of the runs left the plateau"
            handles.append(Line2D([], [], label=label, **style))
        if handles:
            legend_above(figure, handles)
    return figure


def _line(
    axes: Axes, series: Sequence[tuple[int, Row]], look: Look, dataset: xr.Dataset, name: str
) -> None:
    """Draw a measure by size, joined where neighbours both left their plateau."""
    joined: list[float] = []
    for x, row in series:
        values = last(dataset, name, row)[:, superposition.evenest(dataset)]
        hollow = {} if _left(row) else {"mfc": "white", "mec": look.color, "mew": 1.2}
        bands.median_point(axes, x, values, look, **hollow)
        joined.append(float(bands.quartiles(values)[0]) if _left(row) else np.nan)
    axes.plot([x for x, _ in series], joined, **look.line, zorder=1)


def _left(row: Row) -> bool:
    return 2 * row.escaped >= row.runs


def _count_axis(axes: Axes, counts: Sequence[int]) -> None:
    """Make the horizontal axis one of numbers of parameters, with a tick for each of few models."""
    axes.set_xscale("log")
    axes.set_xlabel("parameters of the model")
    if len(counts) > MOST_TICKS:
        marks = words.ticks(min(counts), max(counts))
        words.plain_ticks(axes, marks, [short(round(mark)) for mark in marks])
        return
    crowded = len(counts) > 5
    axes.set_xticks(counts, [short(x) for x in counts], rotation=40 if crowded else 0)
    axes.set_xticks([], minor=True)


def short(count: int) -> str:
    """Return a count in three digits.

    >>> short(812), short(14_239_872)
    ('812', '14.2M')
    """
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return str(count)


def by_size(dataset: xr.Dataset, rows: Sequence[Row]) -> dict[str, list[tuple[int, Row]]]:
    """Return (parameters, setting) by size, for each setting of the fields that do not set it.

    {} where settings do not differ in parameters.
    """
    if PARAMETERS not in dataset:
        return {}
    counts = dataset[PARAMETERS].max("seed")
    counted = counts.where(counts > 0)  # 0 where nothing was run, or not recorded
    fields = [n for n in swept_values(dataset) if bool((counted.max(n) > counted.min(n)).any())]
    if not fields:
        return {}
    lines: dict[str, list[tuple[int, Row]]] = {}
    for row in came_to_the_end(dataset, rows, superposition.P):
        other = {name: value for name, value in row.setting.items() if name not in fields}
        count = int(cell(dataset, PARAMETERS, row.index).max())
        lines.setdefault(table.label(other), []).append((count, row))
    return {name: sorted(series, key=lambda pair: pair[0]) for name, series in lines.items()}
