"""The panel of the main figure on the lengths of plateaus: a row for each setting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from plateaus.report import paired, trained_tasks, words
from plateaus.report.cells import passages, swept_values
from plateaus.report.main_panels import Styled
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look
from plateaus.report.terminal import bracketed, p_text, ratio_text

WIDEST = 64.0  # ratios beyond it and its inverse are drawn at the edge, as arrows


def has_ratios(facet: Sequence[Row]) -> bool:
    """Return whether some row of a facet is compared with another setting."""
    return not all(row.is_baseline for row in facet)


def ratio_panel(axes: Axes, dataset: xr.Dataset, shown: Styled) -> list[tuple[str, str, str]]:
    """Draw each setting's ratio to its baseline: every pair, the geometric mean, its interval.

    Returns what is written beside each row: the ratio, the number of pairs, p.
    """
    apart = trained_tasks.other_tasks(dataset, [row for row, _ in shown])
    axes.axvline(1, color=GREY, lw=0.8, zorder=1)
    seen, texts = [0.8, 1.25], []
    for place, (row, look) in enumerate(shown):
        if row.is_baseline:
            axes.plot(1, place, ms=5, zorder=3, color=look.color, **look.mark)
            texts.append(("baseline" + "*" * row.floor, "", ""))
            continue
        if row.index in apart:
            texts.append(("other tasks", "", ""))
            continue
        pairs = _pairs(dataset, row)
        ratios = np.clip(pairs.first / pairs.second, 1 / WIDEST, WIDEST)
        few = math.isnan(row.ratio.low)
        for marker, which in (
            ("o", pairs.escaped & pairs.escaped_too),
            (">", ~pairs.escaped),  # the setting's run had not escaped by the horizon
            ("<", ~pairs.escaped_too),
        ):
            heights = place + 0.24 * spread(ratios.size)[which]
            dots(axes, ratios[which], heights, look, marker, faint=not few)
        seen += ratios.tolist()
        value, low, high = (float(np.clip(x, 1 / WIDEST, WIDEST)) for x in row.ratio)
        if not few:
            axes.plot([low, high], [place, place], color=look.color, lw=2, zorder=2)
            seen += [low, high]
        if row.bound and not math.isnan(value):
            _arrow(axes, value, place, row.bound, look)
            seen.append(value * 1.5 if row.bound == ">" else value / 1.5)
        elif not few:
            axes.plot(value, place, ms=5, zorder=3, color=look.color, **look.mark)
        text = ratio_text(row.ratio, row.bound) + "*" * row.floor if row.pairs else "-"
        texts.append((text, str(row.pairs), p_text(row.p_adjusted)))
    room = (max(seen) / min(seen)) ** 0.06
    axes.set_xscale("log")
    axes.set_xlim(min(seen) / room, max(seen) * room)
    marks = words.ticks(*axes.get_xlim(), most=5)
    words.plain_ticks(axes, marks, [f"{mark:g}" for mark in marks])
    axes.set_xlabel("steps to escape, ratio to the\nbaseline's run of the same seed")
    return texts


def length_panel(
    axes: Axes, dataset: xr.Dataset, shown: Styled, limits: tuple[float, float]
) -> list[tuple[str, str, str]]:
    """Draw each setting's plateaus, a dot a seed, and the restricted mean with its interval.

    An arrow: a run that had not escaped by then. Hollow: a mean to an earlier step than the
    horizon. Returns what is written beside each row: the mean, the number of runs, nothing.
    """
    texts = []
    for place, (row, look) in enumerate(shown):
        runs = passages(dataset, row.index)
        for marker, which in (("o", runs.escaped), (">", ~runs.escaped)):
            heights = place + 0.24 * spread(runs.times.size)[which]
            few = math.isnan(row.plateau.low)
            dots(axes, np.minimum(runs.times[which], limits[1]), heights, look, marker, not few)
        value, low, high = row.plateau
        if not math.isnan(low):
            axes.plot([low, high], [place, place], color=look.color, lw=2, zorder=2)
        hollow = {"mfc": "white", "mec": look.color} if row.plateau_to < row.horizon else {}
        axes.plot(value, place, ms=6, zorder=3, color=look.color, **look.mark | hollow)
        text = "-" if math.isnan(value) else bracketed(row.plateau, _brief) + "*" * row.floor
        texts.append((text, str(row.runs), ""))
    words.log_steps(axes, *limits, most=5)
    axes.set_xlim(limits[0], limits[1] * (limits[1] / limits[0]) ** 0.04)  # room for its marks
    axes.set_xlabel("optimiser steps to escape")
    return texts


def _brief(steps: float) -> str:
    return words.count(float(f"{steps:.3g}"))


def _pairs(dataset: xr.Dataset, row: Row) -> paired.Pairs:
    swept = swept_values(dataset)
    index = tuple(swept[name].index(value) for name, value in row.baseline.items())
    first, second = passages(dataset, row.index), passages(dataset, index)
    return paired.matched(first, second, row.horizon)


def spread(count: int) -> NDArray[np.float64]:
    """Return places from -1 to 1, so that dots of equal ratios do not hide one another."""
    return np.linspace(-1, 1, count) if count > 1 else np.zeros(count)


def dots(axes: Axes, x: NDArray, y: NDArray, look: Look, marker: str, faint: bool = True) -> None:
    """Draw single runs or pairs: circles, or arrows of those that are bounds."""
    alpha = 0.3 if faint else 0.75
    if x.size:
        size = 3 if marker == "o" else 4
        style: dict[str, Any] = {"ls": "", "marker": marker, "ms": size, "mew": 0}
        axes.plot(x, y, color=look.color, alpha=alpha, zorder=1, **style)


def _arrow(axes: Axes, value: float, place: int, bound: str, look: Look) -> None:
    """Draw a bound: from the ratio on, nobody knows how far."""
    end = value * 1.5 if bound == ">" else value / 1.5
    style = {"arrowstyle": "-|>", "color": look.color, "lw": 2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (end, place), (value, place), arrowprops=style, zorder=2)
    axes.plot([value, value], [place - 0.22, place + 0.22], color=look.color, lw=2, zorder=3)
