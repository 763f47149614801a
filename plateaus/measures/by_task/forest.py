"""Each task's plateau in each setting beside that task alone: a row a setting, as a forest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plateaus.measures.by_task import by_number
from plateaus.measures.by_task import rows as by_task
from plateaus.measures.by_task.rows import ESCAPE, TaskRow
from plateaus.report import paired, table, words
from plateaus.report.length_panels import WIDEST, dots, spread
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look, looks, styled
from plateaus.report.terminal import p_text, ratio_text

MOST_ROWS = 48  # of more, a mark a setting is all that can be read
WIDTH, EDGE, NAME = 10.5, 0.1, 2.5  # inches, as all that follows
STEPS, RATIO = (2.95, 4.95), (5.45, 7.45)  # panels, from and to
RATIOS, OWN, P = 7.65, 9.0, 9.75  # from where numbers are written
LINE, GAP, HEADS, FOOT = 0.135, 0.09, 0.45, 0.65
Sets = dict[tuple[int, ...], tuple[str, ...]]


class _Place(NamedTuple):
    """Where a row is drawn, in inches from the top, and what; `own`: the ratio in prompts."""

    y: float
    row: TaskRow
    single: tuple[int, ...] | None
    own: float
    name: str
    look: Look


def escapes(
    dataset: xr.Dataset, rows: Sequence[Row], task_rows: Sequence[TaskRow]
) -> Figure | None:
    """Return each task's steps to escape in every setting, and their ratio to the task alone.

    Steps are counted from where a task is first drawn. Left: a faint dot a seed, a triangle where a
    run had not escaped by then, and the Kaplan-Meier median; dotted: about the shortest plateau
    that can be measured. Right: the ratio to the run of the same seed on the task alone, a faint
    dot a seed, its geometric mean and the 95% interval of 8 pairs or more; an arrow is a bound: one
    of the two had not escaped by the horizon. Hollow: the same ratio, counted in prompts of the
    task itself, where that differs. p is of the sign-flip test, Holm-adjusted over the table.
    Black: the task alone; colours go from few tasks, dark, to many. Of a task that no run escapes
    only that is said. Of more than 48 rows there are a panel a task and a mark a setting, against
    the number of tasks in it: steps (filled) and prompts of the task (hollow), lines through their
    medians; a triangle that points up is a lower bound, one that points down an upper one.
    """
    if not any(row.escaped for row in task_rows):
        return None
    if len(task_rows) > MOST_ROWS:
        return by_number.escapes(dataset, rows, task_rows)
    return _forest(dataset, rows, task_rows)


def _forest(dataset: xr.Dataset, rows: Sequence[Row], task_rows: Sequence[TaskRow]) -> Figure:
    alone = by_number.alone(dataset, rows)
    apart = by_number.shares_differ(dataset, task_rows, alone)
    tasks = list(dict.fromkeys(row.task for row in task_rows))
    sizes = sorted({len(row.tasks) for row in task_rows})
    palette = dict(zip(sizes, looks(len(sizes), order=sizes), strict=True))
    labels = [table.label(row.setting).removeprefix("variant=") for row in rows]
    names = dict(zip([row.index for row in rows], words.distinct(labels), strict=True))
    places, y, heads = [], 0.0, {}
    for task in tasks:
        of_task = sorted((r for r in task_rows if r.task == task), key=lambda r: len(r.tasks))
        title = task.replace("_", " ")
        if not any(row.escaped for row in of_task):
            title += f": no run of {sum(row.runs for row in of_task)} escapes"
            of_task = []
        heads[title] = y + 0.15
        y += 0.28
        for row in of_task:
            name = words.lines(names[row.index] or "all runs", NAME)
            height = LINE * (name.count("\n") + 1) + GAP
            look = palette[len(row.tasks)]
            single = alone(row)
            if single == row.index:
                look = look._replace(color="black")
            own = row.ratio.value * by_number.prompts(dataset, row, single) if apart else math.nan
            places.append(_Place(y + height / 2, row, single, own, name, look))
            y += height
    with styled():
        figure = Figure(figsize=(WIDTH, HEADS + y + FOOT))
        steps = _axes(figure, *STEPS, y)
        _steps_panel(steps, dataset, places)
        beside = any(place.row.pairs for place in places)
        if beside:
            _ratio_panel(_axes(figure, *RATIO, y), dataset, places)
        page = _axes(figure, 0, WIDTH, y)
        page.set_xlim(0, WIDTH)
        page.set_axis_off()
        page.set_zorder(-1)
        for number, place in enumerate(places):
            _write(page, place, beside)
            if number % 2 == 0:
                half = (LINE * (place.name.count("\n") + 1) + GAP) / 2
                page.axhspan(place.y - half, place.y + half, color="0.965", lw=0, zorder=-1)
        for title, at in heads.items():
            page.text(EDGE, at, title, fontsize=9, weight="bold", va="center")
        titles = {STEPS[0]: "steps to escape, a dot a seed"}
        if beside:
            titles |= {RATIO[0]: "ratio to the task alone", RATIOS: "ratio [95%]"}
            titles |= {OWN: "in prompts\nof the task" * apart, P: "p (Holm)"}
        for x, text in titles.items():
            page.text(x, -0.1, text, fontsize=words.SIZE, color=GREY, va="bottom")
    return figure


def _axes(figure: Figure, left: float, right: float, height: float) -> Axes:
    """Return axes over the rows, their vertical axis in inches from the top."""
    full = figure.get_figheight()
    axes = figure.add_axes((left / WIDTH, FOOT / full, (right - left) / WIDTH, height / full))
    axes.set_ylim(height, 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.patch.set_alpha(0)
    return axes


def _steps_panel(axes: Axes, dataset: xr.Dataset, places: Sequence[_Place]) -> None:
    seen: list[NDArray] = []
    for place in places:
        runs = by_task.passages(dataset, place.row.index, place.row.task, ESCAPE)
        times = np.maximum(runs.times, 1.0)
        heights = place.y + 0.06 * spread(times.size)
        for marker, which in (("o", runs.escaped), (">", ~runs.escaped)):
            dots(axes, times[which], heights[which], place.look, marker)
        median = place.row.escape.value
        if math.isfinite(median):
            axes.plot(median, place.y, color=place.look.color, ms=6, zorder=3, **place.look.mark)
        seen.append(times)
    low, high = (float(end(np.concatenate(seen))) for end in (np.min, np.max))
    least = by_task.least(dataset)
    axes.axvline(least, ls=":", lw=0.8, color=GREY, zorder=0)
    words.log_steps(axes, min(low, least) / 1.15, max(high, least) * 1.15, most=5)
    axes.set_xlabel("steps from the task's start\n(dotted: shortest measured)")


def _ratio_panel(axes: Axes, dataset: xr.Dataset, places: Sequence[_Place]) -> None:
    axes.axvline(1, color=GREY, lw=0.8, zorder=1)
    seen = [0.8, 1.25]
    for place in places:
        row, single = place.row, place.single
        if single is None or not row.pairs:
            continue
        pairs = paired.matched(*by_task.samples(dataset, (row.index, single), row.task, ESCAPE))
        ratios = np.clip(pairs.first / pairs.second, 1 / WIDEST, WIDEST)
        heights = place.y + 0.06 * spread(ratios.size)
        for marker, which in (
            ("o", pairs.escaped & pairs.escaped_too),
            (">", ~pairs.escaped),  # the setting's run had not escaped by the horizon
            ("<", ~pairs.escaped_too),
        ):
            dots(axes, ratios[which], heights[which], place.look, marker)
        value, low, high = (float(np.clip(x, 1 / WIDEST, WIDEST)) for x in row.ratio)
        seen += ratios.tolist()
        if not math.isnan(low):
            axes.plot([low, high], [place.y] * 2, color=place.look.color, lw=2, zorder=2)
            seen += [low, high]
        hollow = {"mfc": "white", "mec": place.look.color, "mew": 1.0}
        for at, style in ((place.own, hollow), (value, {})):
            if not math.isnan(at):
                seen += [at, _mark(axes, at, place, style)]
    room = (max(seen) / min(seen)) ** 0.06
    axes.set_xscale("log")
    axes.set_xlim(min(seen) / room, max(seen) * room)
    marks = words.ticks(*axes.get_xlim(), most=5)
    words.plain_ticks(axes, marks, [f"{mark:g}" for mark in marks])
    two = not all(math.isnan(place.own) for place in places)
    axes.set_xlabel("ratio to the same seed alone" + "\n(hollow: in prompts of the task)" * two)


def _mark(axes: Axes, at: float, place: _Place, style: dict[str, Any]) -> float:
    """Draw a ratio, with an arrow where it is a bound; return how far that goes."""
    options: dict[str, Any] = {"color": place.look.color, "ms": 6, "zorder": 3}
    axes.plot(at, place.y, **options | place.look.mark | style)
    if not place.row.bound:
        return at
    end = at * 1.5 if place.row.bound == ">" else at / 1.5
    arrow = {"arrowstyle": "-|>", "color": place.look.color, "lw": 1.5, "shrinkA": 3, "shrinkB": 0}
    axes.annotate("", (end, place.y), (at, place.y), arrowprops=arrow, zorder=2)
    return end


def _write(page: Axes, place: _Place, beside: bool) -> None:
    """Write the name of a row and its numbers."""
    style: dict[str, Any] = {"fontsize": words.SIZE, "va": "center", "linespacing": 1.1}
    page.text(EDGE + NAME + 0.1, place.y, place.name, ha="right", **style)
    row = place.row
    if not beside or not row.pairs:
        return
    page.text(RATIOS, place.y, ratio_text(row.ratio, row.bound), **style)
    if not math.isnan(place.own):
        page.text(OWN, place.y, f"{row.bound} {place.own:.2f}".strip(), **style)
    page.text(P, place.y, p_text(row.p_adjusted), **style)
