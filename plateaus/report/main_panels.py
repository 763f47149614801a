"""The panels of the main figure on curves: losses, survival, and the runs at risk under it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from plateaus.report import bands, paired, panels, survival, words
from plateaus.report.cells import cell, evaluated_every, followed_runs, passages
from plateaus.report.selection import followed
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look
from plateaus.report.survival import Passages

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


def spreads(rows: Sequence[Row]) -> tuple[str, bool]:
    """Return what (a) shows beside the medians, as part of its title, and whether (b) has bands."""
    if len(rows) > bands.MOST_SPREADS:
        return "", False
    enough = [row.runs >= survival.FEWEST_RUNS for row in rows]
    kinds = ["middle half shaded"] * any(enough)
    kinds += ["each seed thin"] * any(1 < row.runs < survival.FEWEST_RUNS for row in rows)
    return "".join(f", {kind}" for kind in kinds), any(enough)


def items(dataset: xr.Dataset) -> str:
    """Return of which items the test loss is, where not of all, as part of a title."""
    which = dataset["test_loss"].attrs.get("items")
    return f" on {which} items" if which else ""


def loss_panel(axes: Axes, dataset: xr.Dataset, shown: Styled) -> None:
    """Draw the median over seeds of the normalised loss, and how far the seeds are apart.

    Where no run has the references that normalise it, the test loss itself.
    """
    curves = [normalised(dataset, row) for row, _ in shown]
    is_normal = any(np.isfinite(values).any() for values in curves)
    if not is_normal:
        curves = [followed(dataset, "test_loss", row) for row, _ in shown]
    looks = [look for _, look in shown]
    drawn = median_curves(axes, dataset["eval_step"].values, curves, looks)
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


def median_curves(
    axes: Axes, steps: NDArray, curves: Sequence[NDArray], looks: Sequence[Look]
) -> list[NDArray]:
    """Draw the median over runs of curves [run, step], after step 0, and how far they are apart.

    That is the middle half of them, shaded; of fewer than 8 each run, thin: two runs have no middle
    half. Returns the medians that were drawn; a curve without a number has none.
    """
    drawn = []
    for values, look in zip(curves, looks, strict=True):
        there = np.isfinite(values).any(axis=0) & (steps > 0)
        if there.any():
            shown, few = values[:, there], len(curves) <= bands.MOST_SPREADS
            bands.median_curve(axes, steps[there], shown, look, spread=few)
            drawn.append(bands.quartiles(shown)[0])
    return drawn


def survival_panel(axes: Axes, dataset: xr.Dataset, shown: Styled) -> None:
    """Draw the Kaplan-Meier curve of each setting with its band, and a tick at censored runs."""
    survival_curves(axes, [(passages(dataset, row.index), look) for row, look in shown])
    axes.set_ylabel("share still on the plateau")


def survival_curves(axes: Axes, shown: Sequence[tuple[Passages, Look]]) -> None:
    """Draw the Kaplan-Meier curves of samples; with their bands, if of 8 runs and more."""
    for runs, look in shown:
        if not runs.times.size:
            continue
        times, fraction, low, high = survival.survival_band(runs.times, runs.escaped)
        start = min(axes.get_xlim()[0], float(times[0]))
        x = np.r_[start, times]
        enough = runs.times.size >= survival.FEWEST_RUNS and np.isfinite(low).all()
        if len(shown) <= bands.MOST_SPREADS and enough:
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
        write_risk(axes, place, times, steps, f"{row.escaped}/{row.runs}")


def write_risk(
    axes: Axes,
    place: float,
    times: NDArray,
    steps: Sequence[float],
    count: str,
    right: float = 1.12,
) -> None:
    """Write how many of these times are not below each step, and a count at the right.

    right: where the count is, in parts of the width of the axes.
    """
    for step in steps:
        left = str(int((times >= step).sum())) if times.size else "-"
        axes.text(step, place, left, ha="center", va="center", fontsize=words.SIZE)
    beside: dict[str, Any] = {
        "transform": axes.get_yaxis_transform(),
        "ha": "center",
        "va": "center",
    }
    axes.text(right, place, count, fontsize=words.SIZE, **beside)


def note(axes: Axes, text: str) -> None:
    """Write a small grey note in the middle of a panel."""
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": words.SIZE, "color": GREY}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, **style)
