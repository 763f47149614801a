"""How rows of the table become panels: a facet per combination of all swept fields but the last."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from plateaus.report import panels, table
from plateaus.report.statistics import Row
from plateaus.report.style import Look, looks

MOST = 6  # settings with a line or a column of panels each


def facets(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows grouped by every swept field but the last."""
    groups = itertools.groupby(rows, key=lambda row: list(row.setting.values())[:-1])
    return [list(group) for _, group in groups]


def heading(facet: Sequence[Row]) -> str:
    """Return what the rows of a facet share, as one would type it; empty with one swept field."""
    fixed = dict(list(facet[0].setting.items())[:-1])
    return table.label(fixed)


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
    figure: Figure, groups: Sequence[Sequence[Row]]
) -> Iterator[tuple[SubFigure, Sequence[Row]]]:
    """Yield a line of a figure for each facet, under what its rows share."""
    return zip(headed_lines(figure, [heading(facet) for facet in groups]), groups, strict=True)


def some(rows: Sequence[Row]) -> list[Row]:
    """Return the first, the last, and some between: what goes under one another, or abreast."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST)).round())
    return [rows[int(number)] for number in chosen]


def styles_of(facet: Sequence[Row]) -> list[Look]:
    """Return the looks of the last field's values; a value looks the same in every facet."""
    baselines = [row.is_baseline for row in facet]
    # All of a facet are baselines where the last field has no neutral value: none stands out.
    one = len(facet) > 1 and sum(baselines) == 1
    return looks(len(facet), baselines.index(True) if one else None)


def diverged(rows: Sequence[Row]) -> str:
    """Return " (N diverged)", or nothing."""
    count = sum(row.diverged for row in rows)
    return f" ({count} diverged)" if count else ""


def columns(figure: Figure, labels: Sequence[str]) -> int:
    """Return in how many columns a legend fits over the figure: even lines of at most six.

    A letter is taken to be 0.075 inches wide, a handle with its space 0.75.
    """
    longest = max(map(len, labels))
    most = int(figure.get_figwidth() / (0.075 * longest + 0.75))
    lines = -(-len(labels) // max(1, min(6, most)))
    return -(-len(labels) // lines)


def legend(figure: Figure, groups: Sequence[Sequence[Row]]) -> None:
    """Put one legend over all facets, titled with the dotted name of the last field."""
    if not groups[0][0].setting:
        return
    handles = []
    for row, look in zip(groups[0], styles_of(groups[0]), strict=True):
        mark = " (baseline)" if look.width > looks(1)[0].width else ""
        name = panels.last_value(row) + mark + ("" if len(groups) > 1 else diverged([row]))
        handles.append(Line2D([], [], label=name, **look.line, **look.mark, ms=5))
    figure.legend(
        handles=handles,
        title=list(groups[0][0].setting)[-1],
        loc="outside upper center",
        ncols=columns(figure, [str(handle.get_label()) for handle in handles]),
        handlelength=3.4,
    )
