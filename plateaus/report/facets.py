"""How rows of the table become panels: a facet per combination of all swept fields but the last."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.font_manager import FontProperties

from plateaus.report import panels, table, words
from plateaus.report.statistics import Row
from plateaus.report.style import Look, looks, styled

MOST = 6  # settings with a line or a column of panels each
TITLE_SIZE = 9.0  # points
HEAVY = 2.0  # lines of baselines are wider
EXPECTED = 2  # lines of a legend, for which figures leave room


def facets(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows grouped by every swept field but the last."""
    groups = itertools.groupby(rows, key=lambda row: list(row.setting.values())[:-1])
    return [list(group) for _, group in groups]


def heading(facet: Sequence[Row]) -> str:
    """Return what the rows of a facet share, as one would type it; empty with one swept field."""
    fixed = dict(list(facet[0].setting.items())[:-1])
    return table.label(fixed)


def title(row: Row, inches: float = 2.2, more: str = "") -> str:
    """Return a setting as the title of a panel so wide, a field a line, and where its curves end.

    `more` is said instead of that end, if anything.
    """
    text = table.label(row.setting).replace(", ", "\n") + (more or shortened([row]))
    return words.lines(text, inches, TITLE_SIZE)


def headed_lines(
    figure: Figure, titles: Sequence[str], weight: str = "bold"
) -> Iterator[SubFigure]:
    """Yield the lines of a figure, one under another, each under its title if that is not empty."""
    parts = figure.subfigures(len(titles), 1, squeeze=False)[:, 0]
    for part, title in zip(parts, titles, strict=True):
        if title:
            part.suptitle(title, x=0.008, ha="left", fontsize=9, weight=weight)
        yield part


def by_facet(
    rows: Sequence[Row],
    size: tuple[float, float],
    draw: Callable[[SubFigure, Sequence[Row]], None],
    top: float = 0.8,
    keyed: bool = True,
) -> Figure:
    """Return a figure with a line for each facet, under what its rows share, and one legend.

    `size` is a line's width and height, `top` the height of the legend, in inches; no legend
    unless `keyed`.
    """
    groups = facets(rows)
    with styled():
        figure = Figure(figsize=(size[0], top + size[1] * len(groups)), layout="constrained")
        lines = headed_lines(
            figure, [heading(f) + shortened(f) * (len(groups) > 1) for f in groups]
        )
        for part, facet in zip(lines, groups, strict=True):
            draw(part, facet)
        if keyed:
            legend(figure, groups)
    return figure


def panel_grid(figure: Figure | SubFigure, count: int, columns: int, **options: Any) -> list[Axes]:
    """Return so many panels in reading order; `options` are those of `subplots`."""
    grid = figure.subplots(-(-count // columns), columns, squeeze=False, **options).ravel()
    for axes in grid[count:]:
        axes.remove()
    return list(grid[:count])


def label_outer(
    grid: Sequence[Axes], columns: int, xlabel: str, ylabel: str, **options: Any
) -> None:
    """Label the last panel of each column and the first of each line.

    `options` are those of `set_ylabel`.
    """
    for number, axes in enumerate(grid):
        bottom = number + columns >= len(grid)
        axes.set_xlabel(xlabel if bottom else "")
        axes.tick_params(labelbottom=bottom)
        axes.set_ylabel("" if number % columns else ylabel, **options)


def spaced(rows: Sequence[Row], most: int = MOST) -> list[Row]:
    """Return the first, the last, and some between: what goes under one another, or abreast."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), most)).round())
    return [rows[int(number)] for number in chosen]


def styles_of(facet: Sequence[Row]) -> list[Look]:
    """Return the looks of the last field's values; a value looks the same in every facet."""
    return looks(len(facet), _baseline(facet), _order(facet))


def names(facet: Sequence[Row]) -> list[str]:
    """Return what tells the rows of a facet apart, and what is missing of each.

    What is missing of a facet under a heading stands there.
    """
    if not facet[0].setting:
        return [(incomplete(facet) + shortened(facet)).strip() or "all runs"]
    values = words.distinct([panels.last_value(row) for row in facet])
    if len(facet[0].setting) > 1:
        return values
    return [v + incomplete([r]) + shortened([r]) for v, r in zip(values, facet, strict=True)]


def _baseline(facet: Sequence[Row]) -> int | None:
    """Return the place of the one baseline among others, if there is one.

    All of a facet are baselines where the last field has no neutral value: none stands out.
    """
    baselines = [row.is_baseline for row in facet]
    return baselines.index(True) if len(facet) > 1 and sum(baselines) == 1 else None


def _order(facet: Sequence[Row]) -> list[float] | None:
    """Return the places of the values of the last field in their order; None of categories."""
    values = [value for row in facet for value in list(row.setting.values())[-1:]]
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) < len(facet):
        return None
    falls = len(numbers) > 1 and all(a > b for a, b in itertools.pairwise(numbers))
    return [-number if falls else number for number in numbers]


def incomplete(rows: Sequence[Row]) -> str:
    """Return " (N diverged, N unfinished, N stopped at their event)", what of it there is."""
    counts = {
        "diverged": sum(row.diverged for row in rows),
        "unfinished": sum(row.unfinished for row in rows),
        "stopped at their event": sum(row.stopped for row in rows),
    }
    text = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f" ({text})" if text else ""


def shortened(rows: Sequence[Row]) -> str:
    """Return " (to step N)" where the means of rows that have any end before the horizon."""
    ends = [row.curves_to for row in rows if row.curves_to < row.horizon and _has_curves(row)]
    return f" (to step {min(ends):,})" if ends else ""


def _has_curves(row: Row) -> bool:
    return row.runs > row.diverged


def columns(figure: Figure, labels: Sequence[str]) -> int:
    """Return in how many columns a legend fits over the figure: even lines of at most six.

    A handle with its space is taken to be 0.75 inches wide.
    """
    size = FontProperties(size=rcParams["legend.fontsize"]).get_size_in_points()
    longest = max(words.width(line, size) for label in labels for line in label.split("\n"))
    most = int((figure.get_figwidth() - 0.2) / (longest + 0.75))
    lines = -(-len(labels) // max(1, min(6, most)))
    return -(-len(labels) // lines)


def labelled(figure: Figure) -> list[Artist]:
    """Return what has a label in the panels of a figure, the first of each label."""
    by_label: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            by_label.setdefault(label, handle)
    return list(by_label.values())


def legend_above(figure: Figure, handles: Sequence[Artist] | None = None, **options: Any) -> None:
    """Put a legend over the figure, in as many columns as fit; more lines make it higher.

    It shows `handles` or, without them, all labelled artists; `options` are those of `legend`.
    """
    handles = labelled(figure) if handles is None else handles
    for handle in handles:
        handle.set_label(words.lines(str(handle.get_label()), figure.get_figwidth() - 1.0))
    labels = [str(handle.get_label()) for handle in handles]
    fitting = columns(figure, labels)
    more = -(-len(labels) // fitting) - EXPECTED
    figure.set_figheight(figure.get_figheight() + 0.17 * max(0, more))
    figure.legend(handles=handles, loc="outside upper center", ncols=fitting, **options)


def legend(figure: Figure, groups: Sequence[Sequence[Row]]) -> None:
    """Put one legend over all facets, titled with the dotted name of the last field."""
    if not groups[0][0].setting:
        return
    handles = []
    values = words.distinct([panels.last_value(row) for row in groups[0]])
    for row, value, look in zip(groups[0], values, styles_of(groups[0]), strict=True):
        mark = " (baseline)" if look.width > HEAVY else ""
        missing = "" if len(groups) > 1 else incomplete([row]) + shortened([row])
        name = value + mark + missing
        handles.append(look.handle(name, **look.mark, ms=5))
    legend_above(figure, handles, title=list(groups[0][0].setting)[-1], handlelength=3.4)
