"""The figures: loss curves, time on the plateau, plateau length against what was swept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plateaus.report import facets, length_panels, main_panels, panels, table, words
from plateaus.report.facets import incomplete, shortened, styles_of
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, PALE, looks, save, styled

__all__ = ["learning_curves", "plateau", "save"]

WIDTH, EDGE = 10.5, 0.1  # inches, as all that follows
LOSS = (0.75, 5.25)  # from, to
SURVIVAL = (6.75, 9.75)  # the runs at risk stand under it
MARKS, BESIDE, PAIRS, P = 0.42, 4.4, 5.68, 6.06  # key; from where ratios, pairs and p are written
NAME, FIELD = 2.25, 2.4  # the widest names and their head
HEADING, TITLE, PANEL, AXIS, HEADS, FOOT = 0.3, 0.3, 2.15, 0.5, 0.5, 0.65
LINE, GAP = 0.135, 0.1  # of a name; between rows


def plateau(dataset: xr.Dataset, rows: Sequence[Row], xmax: float | int | None = None) -> Figure:
    """Return the main figure: loss, survival of the plateau, and its ratio to the baseline's.

    (a) Normalised test loss, 1 on the plateau and 0 at the best: the median over seeds, the middle
    half of the seeds shaded or, of fewer than 8, each seed as a thin line. (b) The share of runs
    that are still on the plateau, by Kaplan and Meier, with the pointwise 95% band of 8 runs and
    more; a tick marks censored runs. Below it, how many runs were followed to a step and had not
    escaped before, and how many escaped at all. (c) Steps to escape as a ratio to the baseline's
    run of the same seed: a faint dot a seed, the geometric mean and its 95% interval; the number of
    pairs and p of the sign-flip test, Holm-adjusted. An arrow is a bound: one of the two had not
    escaped by the horizon, which the mean takes for its escape. Shaded in (b), and an asterisk in
    (c): a plateau of less than 4 evaluations is at the floor of the instrument, hardly measured.
    Settings of fewer than 8 pairs have their dots alone. "Other tasks": trained on others than the
    baseline, so that the two losses are no pair. Where there is no baseline, (c) has the steps to
    escape themselves and their restricted mean, hollow where it is to an earlier step than the
    horizon. Black and heavy: the baseline, of categories; ordered values go from dark to light, the
    baseline heavy. Bands and thin lines are drawn of up to 6 settings. Diverged runs are left out
    of (a); elsewhere they never escape. Where runs ended early, the curves of (a) end with the
    first of them, or are of those that came farthest.

    Args:
      dataset: labelled results.
      rows: its table, from `summarise`.
      xmax: last optimiser step shown in (a) and (b); the horizon by default.
    """
    groups = facets.facets(rows)
    with styled():
        blocks = [_Block(facet) for facet in groups]
        height = sum(block.height for block in blocks)
        figure = Figure(figsize=(WIDTH, height))
        top = height
        for block in blocks:
            block.draw(figure, dataset, top, xmax)
            top -= block.height
    return figure


class _Block:
    """What is drawn of the settings of one facet, one block under another."""

    def __init__(self, facet: Sequence[Row]) -> None:
        self._rows = facet
        self._ratios = length_panels.has_ratios(facet)
        names = facets.names(facet)
        self._names = [words.lines(name, NAME) for name in names]
        heading = facets.heading(facet)
        if heading:
            heading += incomplete(facet) + shortened(facet)
            if self._ratios and not any(row.is_baseline for row in facet):
                heading += f"; baseline: {_of_baseline(facet)}"
        self._heading = words.lines(heading, WIDTH - 0.8, 9.5) if heading else ""
        most = max(name.count("\n") + 1 for name in self._names)
        self._top = HEADING * bool(heading) + 0.16 * self._heading.count("\n")
        self._body = len(facet) * (most * LINE + GAP)
        self.height = self._top + TITLE + PANEL + AXIS + HEADS + self._body + FOOT

    def draw(
        self, figure: Figure, dataset: xr.Dataset, top: float, xmax: float | int | None
    ) -> None:
        """Draw the block below `top`, in inches from the foot of the figure."""
        shown = list(zip(self._rows, styles_of(self._rows), strict=True))
        if self._heading:
            _text(figure, EDGE, top - 0.06, self._heading, size=9, va="top", weight="bold")
        floor = top - self._top - TITLE - PANEL
        loss, survival = (
            _axes(figure, left, floor, right - left, PANEL) for left, right in (LOSS, SURVIVAL)
        )
        steps = dataset["eval_step"].values
        last = float(xmax or self._rows[0].horizon)
        first = float(min(steps[steps > 0].min(initial=last), last / 2))
        words.log_steps(loss, first, last, most=8)
        marks = words.log_steps(survival, first, last)
        main_panels.loss_panel(loss, dataset, shown)
        main_panels.survival_panel(survival, dataset, shown)
        if any(row.floor for row in self._rows):
            main_panels.mark_floor(survival, dataset)
        spread, banded = main_panels.spreads(self._rows)
        loss.set_title(f"(a) loss{main_panels.items(dataset)}: median of the seeds{spread}")
        survival.set_title("(b) Kaplan-Meier estimate" + ", 95% band" * banded + "; |: censored")
        self._draw_rows(figure, dataset, shown, floor - AXIS - HEADS, (first, last), marks)

    def _draw_rows(
        self,
        figure: Figure,
        dataset: xr.Dataset,
        shown: main_panels.Styled,
        top: float,
        limits: tuple[float, float],
        marks: Sequence[float],
    ) -> None:
        """Draw (c), and the runs at risk beside it, a row for each setting."""
        foot = top - self._body
        field = words.lines(_field(self._rows), FIELD)
        wide = [part for name in self._names for part in name.split("\n")]
        head = max(map(words.width, field.split("\n"))) - MARKS
        name = EDGE + max(0.5, head, *map(words.width, wide)) + 0.08
        left = name + MARKS
        key = _axes(figure, EDGE, foot, left - EDGE, self._body, inches=True)
        ratio = _axes(figure, left, foot, BESIDE - 0.12 - left, self._body)
        beside = _axes(
            figure, BESIDE - 0.12, foot, SURVIVAL[0] - BESIDE + 0.12, self._body, inches=True
        )
        risk = _axes(figure, SURVIVAL[0], foot, SURVIVAL[1] - SURVIVAL[0], self._body)
        words.log_steps(risk, *limits)
        for axes in (key, ratio, beside, risk):
            axes.set_ylim(len(shown) - 0.5, -0.5)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
            for place in range(0, len(shown), 2):
                axes.axhspan(place - 0.5, place + 0.5, color="0.965", lw=0, zorder=-1)
        for axes in (key, beside, risk):
            axes.set_axis_off()
        if self._ratios:
            texts = length_panels.ratio_panel(ratio, dataset, shown)
        else:
            texts = length_panels.length_panel(ratio, dataset, shown, limits)
        main_panels.risk_panel(risk, dataset, shown, marks)
        for place, ((_, look), lines) in enumerate(zip(shown, self._names, strict=True)):
            _note(key, name - EDGE - 0.05, place, lines, ha="right")
            ends = name - EDGE + 0.02, left - EDGE - 0.06
            key.plot(ends, [place] * 2, **look.line)
            key.plot(sum(ends) / 2, place, color=look.color, ms=5, **look.mark)
            for x, text in zip((BESIDE, PAIRS, P), texts[place], strict=True):
                _note(beside, x - BESIDE + 0.12, place, text)
        heads = {BESIDE: "ratio [95%]", PAIRS: "pairs", P: "p (Holm)"}
        whose = main_panels.items(dataset)
        title = f"(c) length of the plateau{whose}, as a ratio to the baseline's, a dot a seed"
        if not self._ratios:
            heads = {BESIDE: "mean [95%]", PAIRS: "runs"}
            title = f"(c) length of the plateau{whose}, a dot a seed"
            if any(row.runs and row.plateau_to < row.horizon for row in self._rows):
                title += " (hollow: to an earlier step)"
        _text(figure, EDGE, top + 0.4, title, size=9, va="center")
        _text(
            figure,
            SURVIVAL[0] - 0.1,
            top + 0.4,
            "runs still on the plateau at these steps",
            9,
            va="center",
        )
        heads |= {EDGE: field}
        for x, text in heads.items():
            _text(figure, x, top + 0.06, text, color=GREY, va="bottom")
        middle = SURVIVAL[0] + 1.12 * (SURVIVAL[1] - SURVIVAL[0])
        _text(figure, middle, top + 0.06, "escaped", color=GREY, va="bottom", ha="center")


def _axes(
    figure: Figure, left: float, foot: float, width: float, height: float, inches: bool = False
) -> Axes:
    """Return axes at a place in inches; with `inches` that is what their x is in."""
    full_width, full_height = figure.get_size_inches()
    place = left / full_width, foot / full_height, width / full_width, height / full_height
    axes = figure.add_axes(place)
    if inches:
        axes.set_xlim(0, width)
    return axes


def _text(
    figure: Figure, x: float, y: float, text: str, size: float = words.SIZE, **options: Any
) -> None:
    """Write a text at a place in inches."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, fontsize=size, **options)


def _note(axes: Axes, x: float, place: int, text: str, **options: Any) -> None:
    if text:
        axes.text(x, place, text, fontsize=words.SIZE, va="center", linespacing=1.1, **options)


def _field(rows: Sequence[Row]) -> str:
    return list(rows[0].setting)[-1] if rows[0].setting else ""


def _of_baseline(facet: Sequence[Row]) -> str:
    """Return the fields in which the rows of a facet differ from their baselines, as those have."""
    differing = {
        name: value
        for name, value in facet[0].baseline.items()
        if any(row.setting[name] != row.baseline[name] for row in facet)
    }
    return table.label(differing)


def learning_curves(
    dataset: xr.Dataset, rows: Sequence[Row], xmax: float | int | None = None
) -> Figure:
    """Return every run's test loss as a thin line, one panel per setting; training loss faint.

    Args:
      dataset: labelled results.
      rows: its table, from `summarise`.
      xmax: last optimiser step shown; the horizon by default.
    """
    columns = min(3, len(rows))
    lines = -(-len(rows) // columns)
    with styled():
        size = (max(5.0, 10 * columns / 3), 0.6 + 2.1 * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = facets.panel_grid(figure, len(rows), columns, sharex=True, sharey=True)
        for axes, row in zip(grid, rows, strict=True):
            panels.run_panel(axes, dataset, row)
            panels.step_axis(axes, xmax or row.horizon)
            axes.set_title(facets.title(row, size[0] / columns - 0.7, incomplete([row]) or " "))
        facets.label_outer(grid, columns, "optimiser steps", panels.loss_label(dataset))
        grid[0].set_ylim(panels.loss_limits(dataset, rows))
        handles = [
            Line2D([], [], color=looks(1)[0].color, lw=1, label="test loss, one line a seed"),
            Line2D([], [], color=PALE, lw=1, label="training loss"),
            Line2D([], [], color=GREY, lw=1, ls=":", label="uninformed and best loss"),
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return figure
