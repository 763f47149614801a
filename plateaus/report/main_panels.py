"""The panels of the main figure: losses, survival, runs at risk, and a row for each setting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from plateaus.report import paired, panels, survival, words
from plateaus.report.cells import cell, evaluated_every, followed_runs, passages, swept_values
from plateaus.report.selection import followed
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look
from plateaus.report.terminal import bracketed, p_text, ratio_text

MOST_BANDS = 6  # settings: of more, bands would hide the lines
WIDEST = 64.0  # ratios beyond it and its inverse are drawn at the edge, as arrows
NORMALISED = "normalised test loss\n(1: uninformed, 0: best)"
Styled = Sequence[tuple[Row, Look]]


def normalised(dataset: xr.Dataset, row: Row) -> NDArray[np.float64]:
    """Return the test loss of the followed runs of a setting, [run, eval], 1 on the plateau.

    (L - L_best) / (L_uninformed - L_best), as the escape is read from it; NaN without references.
    """
    chosen = followed_runs(dataset, row.index)[0]
    uninformed, best = (
        cell(dataset, name, row.index)[chosen].astype(np.float64)[:, None]
        for name in ("uninformed_loss", "best_loss")
    )
    with np.errstate(invalid="ignore", over="ignore"):
        span = np.where(uninformed == best, np.nan, uninformed - best)
        return (followed(dataset, "test_loss", row) - best) / span


def items(dataset: xr.Dataset) -> str:
    """Return of which items the test loss is, where not of all, as part of a title."""
    which = dataset["test_loss"].attrs.get("items")
    return f" on {which} items" if which else ""


def loss_panel(axes: Axes, dataset: xr.Dataset, shown: Styled) -> None:
    """Draw the median over seeds of the normalised loss, and the middle half of the seeds.

    Where no run has the references that normalise it, the test loss itself.
    """
    curves = [normalised(dataset, row) for row, _ in shown]
    is_normal = any(np.isfinite(values).any() for values in curves)
    if not is_normal:
        curves = [followed(dataset, "test_loss", row) for row, _ in shown]
    steps = dataset["eval_step"].values
    drawn = []
    for values, (_, look) in zip(curves, shown, strict=True):
        there = np.isfinite(values).any(axis=0) & (steps > 0)
        if not there.any():
            continue
        low, middle, high = np.nanquantile(values[:, there], (0.25, 0.5, 0.75), axis=0)
        if len(shown) <= MOST_BANDS and values.shape[0] > 1:
            axes.fill_between(steps[there], low, high, color=look.color, alpha=0.16, lw=0)
        axes.plot(steps[there], middle, **look.line)
        drawn.append(middle)
    if not drawn:
        note(axes, "no run finished")
    seen = np.concatenate([*drawn, [0.0, 1.0] if is_normal else []]) if drawn else np.r_[0.0, 1.0]
    bottom, top = float(seen.min()), float(seen.max())
    if is_normal:  # a spike must not flatten the plateau
        bottom, top = max(bottom, -0.5), min(top, 2.0)
        for level in (0, 1):
            axes.axhline(level, ls=":", lw=0.8, color=GREY, zorder=0)
    room = 0.06 * max(top - bottom, 1e-12)
    axes.set_ylim(bottom - room, top + room)
    axes.set_ylabel(NORMALISED if is_normal else panels.loss_label(dataset))


def survival_panel(axes: Axes, dataset: xr.Dataset, shown: Styled) -> None:
    """Draw the Kaplan-Meier curve of each setting with its band, and a tick at censored runs."""
    for row, look in shown:
        runs = passages(dataset, row.index)
        if not runs.times.size:
            continue
        times, fraction, low, high = survival.survival_band(runs.times, runs.escaped)
        start = min(axes.get_xlim()[0], float(times[0]))
        x = np.r_[start, times]
        if len(shown) <= MOST_BANDS and np.isfinite(low).all():
            edges = np.r_[1, low], np.r_[1, high]
            axes.fill_between(x, *edges, step="post", color=look.color, alpha=0.13, lw=0)
        y = np.r_[1, fraction]
        axes.plot(x, y, drawstyle="steps-post", **look.line)
        ends = np.unique(runs.times[~runs.escaped])
        ends = ends[ends <= axes.get_xlim()[1]]
        if ends.size:
            at = np.searchsorted(x, ends, side="right") - 1
            tick = {"marker": "|", "ms": 8, "mew": 1.6, "color": look.color}
            axes.plot(ends, y[at], ls="", **tick)
    axes.set_ylim(-0.04, 1.04)
    axes.set_ylabel("share still on the plateau")


def mark_floor(axes: Axes, dataset: xr.Dataset) -> None:
    """Shade the steps in which a plateau is too short to be measured."""
    low, high = axes.get_xlim()
    floor = float(paired.FLOOR * evaluated_every(dataset))
    if low < floor:
        axes.axvspan(low, min(floor, high), color="0.92", lw=0, zorder=-1)
        where = axes.get_xaxis_transform()
        style: dict[str, Any] = {"color": GREY, "va": "bottom", "fontsize": words.SIZE}
        axes.text(low * 1.04, 0.02, "floor", transform=where, **style)


def risk_panel(axes: Axes, dataset: xr.Dataset, shown: Styled, steps: Sequence[float]) -> None:
    """Write, under the steps of the panel above, how many runs were followed and not yet escaped.

    At the right, how many escaped of those that were started.
    """
    for place, (row, _) in enumerate(shown):
        times = passages(dataset, row.index).times
        for step in steps:
            left = str(int((times >= step).sum())) if times.size else "-"
            axes.text(step, place, left, ha="center", va="center", fontsize=words.SIZE)
        count = f"{row.escaped}/{row.runs}"
        beside: dict[str, Any] = {
            "transform": axes.get_yaxis_transform(),
            "ha": "center",
            "va": "center",
        }
        axes.text(1.12, place, count, fontsize=words.SIZE, **beside)


def has_ratios(facet: Sequence[Row]) -> bool:
    """Return whether some row of a facet is compared with another setting."""
    return not all(row.is_baseline for row in facet)


def ratio_panel(axes: Axes, dataset: xr.Dataset, shown: Styled) -> list[tuple[str, str, str]]:
    """Draw each setting's ratio to its baseline: every pair, the geometric mean, its interval.

    Returns what is written beside each row: the ratio, the number of pairs, p.
    """
    axes.axvline(1, color=GREY, lw=0.8, zorder=1)
    seen, texts = [0.8, 1.25], []
    for place, (row, look) in enumerate(shown):
        if row.is_baseline:
            axes.plot(1, place, ms=5, zorder=3, color=look.color, **look.mark)
            texts.append(("baseline" + "*" * row.floor, "", ""))
            continue
        pairs = _pairs(dataset, row)
        ratios = np.clip(pairs.first / pairs.second, 1 / WIDEST, WIDEST)
        few = math.isnan(row.ratio.low)
        for marker, which in (
            ("o", pairs.escaped & pairs.escaped_too),
            (">", ~pairs.escaped),  # the setting's run had not escaped by the horizon
            ("<", ~pairs.escaped_too),
        ):
            spread = place + 0.24 * _spread(ratios.size)[which]
            _dots(axes, ratios[which], spread, look, marker, faint=not few)
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
            spread = place + 0.24 * _spread(runs.times.size)[which]
            few = math.isnan(row.plateau.low)
            _dots(axes, np.minimum(runs.times[which], limits[1]), spread, look, marker, not few)
        value, low, high = row.plateau
        if not math.isnan(low):
            axes.plot([low, high], [place, place], color=look.color, lw=2, zorder=2)
        hollow = {"mfc": "white", "mec": look.color} if row.plateau_to < row.horizon else {}
        axes.plot(value, place, ms=6, zorder=3, color=look.color, **look.mark | hollow)
        text = "-" if math.isnan(value) else bracketed(row.plateau, _brief) + "*" * row.floor
        texts.append((text, str(row.runs), ""))
    words.log_steps(axes, *limits, most=5)
    axes.set_xlabel("optimiser steps to escape")
    return texts


def _brief(steps: float) -> str:
    return words.count(float(f"{steps:.3g}"))


def _pairs(dataset: xr.Dataset, row: Row) -> paired.Pairs:
    swept = swept_values(dataset)
    index = tuple(swept[name].index(value) for name, value in row.baseline.items())
    first, second = passages(dataset, row.index), passages(dataset, index)
    return paired.matched(first, second, row.horizon)


def _spread(count: int) -> NDArray[np.float64]:
    """Return places from -1 to 1, so that dots of equal ratios do not hide one another."""
    return np.linspace(-1, 1, count) if count > 1 else np.zeros(count)


def _dots(axes: Axes, x: NDArray, y: NDArray, look: Look, marker: str, faint: bool) -> None:
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


def note(axes: Axes, text: str) -> None:
    """Write a small grey note in the middle of a panel."""
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": words.SIZE, "color": GREY}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, **style)
