"""The panels of a claim's figure: curves, times or values of both settings, and their pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from plateaus.evidence import units
from plateaus.evidence.claim import Claim
from plateaus.evidence.claim_runs import Metric
from plateaus.evidence.fields import EVERY, STATISTICS
from plateaus.evidence.observed import Arm
from plateaus.evidence.verdict import Verdict
from plateaus.evidence.wording import compared, quantity
from plateaus.report import length_panels, main_panels, panels, words
from plateaus.report.style import GREY, Look
from plateaus.report.survival import Passages

SHADE = "#DDE5DD"  # of the effect that counts
WIDEST = length_panels.WIDEST
ROW, LOWEST, HIGHEST = 0.08, 0.2, 0.96  # heights of the estimate, and of the pairs above it
Arms = Sequence[tuple[Arm, Look]]


def plain(text: str) -> str:
    """Return words of the page without its marks of code."""
    return text.replace("`", "")


def is_timed(claim: Claim) -> bool:
    """Return whether a claim is about when something is reached, or how often."""
    return STATISTICS[claim.statistic][0] or claim.statistic == "share"


def metric_panel(
    axes: Axes, steps: NDArray, metric: Metric, looks: Sequence[Look], height: float
) -> None:
    """Draw the curves of a metric: the median of the seeds and their middle half; its level."""
    drawn = main_panels.median_curves(axes, steps, metric.curves, looks)
    if not drawn:
        main_panels.note(axes, "no run finished")
    if not math.isnan(metric.level):
        axes.axhline(metric.level, ls=":", lw=0.8, color=GREY, zorder=0)
    axes.set_ylabel(words.lines(metric.label, height, 9))


def time_panel(axes: Axes, arms: Arms) -> None:
    """Draw the share of the runs that are not there yet, by Kaplan and Meier, with its band."""
    samples = [(passages(arm), look) for arm, look in arms]
    main_panels.survival_curves(axes, samples)
    axes.set_ylabel("share not there yet")


def passages(arm: Arm) -> Passages:
    """Return the times of a setting."""
    defined = ~np.isnan(arm.values)
    return Passages(np.flatnonzero(defined), arm.values[defined], arm.there[defined])


def median_text(arm: Arm) -> str:
    """Return the median of a setting's values, and how many runs have one.

    >>> known = np.array([True, True, False])
    >>> median_text(Arm(np.array([1.0, 2.0, np.inf]), known, ~known))
    'median 1.5 of 2 runs, 1 without a value'
    """
    finite = np.isfinite(arm.values)
    without = int((~finite).sum())
    text = f"median {np.median(arm.values[finite]):.3g} of " if finite.any() else ""
    return f"{text}{finite.sum()} runs" + f", {without} without a value" * bool(without)


def value_panel(axes: Axes, claim: Claim, arms: Arms, width: float) -> None:
    """Draw the share of the runs at or below each value; a run without one is above all."""
    finite = [np.sort(arm.values[np.isfinite(arm.values)]) for arm, _ in arms]
    for values, (arm, look) in zip(finite, arms, strict=True):
        share = np.arange(1, values.size + 1) / max(arm.values.size, 1)
        x, y = np.r_[values[:1], values], np.r_[np.zeros(min(values.size, 1)), share]
        axes.plot(x, y, drawstyle="steps-post", **look.line)
    every = np.concatenate(finite)
    if every.size and every.min() > 0 and every.max() > 20 * every.min():
        room = (every.max() / every.min()) ** 0.05
        axes.set_xlim(every.min() / room, every.max() * room)
        panels.log_axis(axes, "x")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
    if claim.statistic == "level":
        axes.axvline(claim.value, ls=":", lw=0.8, color=GREY, zorder=0)
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlabel(words.lines(plain(quantity(claim)), width, 9))
    axes.set_ylabel("share of the runs at or below")


def tenths_panel(axes: Axes, claim: Claim, verdict: Verdict, look: Look, height: float) -> None:
    """Draw the pairs at each tenth of the horizon, the worst tenth with a ring."""
    used = verdict.used
    assert used is not None
    tenths = range(used.differences.shape[0])
    values = np.array([units.by_seed(claim, used, tenth) for tenth in tenths])
    steps = claim.horizon * (1 + np.arange(len(tenths))) / len(tenths)
    low, high = np.nanquantile(values, (0.25, 0.75), axis=1)
    is_ratio = compared(claim) == "ratio"
    means = np.exp(np.nanmean(np.log(values), axis=1)) if is_ratio else np.nanmean(values, axis=1)
    axes.fill_between(steps, low, high, color=look.color, alpha=0.16, lw=0)
    axes.plot(steps, means, marker="o", ms=4, **look.line)
    ring: dict[str, Any] = {"ms": 10, "mfc": "none", "mec": "black", "mew": 1.2}
    axes.plot(steps[verdict.series], means[verdict.series], "o", **ring)
    nothing, counted = (1.0 if is_ratio else 0.0), units.counted(claim)
    ends = [*low, *high, *filter(math.isfinite, counted), nothing]
    if is_ratio:
        room = (max(ends) / min(ends)) ** 0.08
        axes.set_ylim(min(ends) / room, max(ends) * room)
        panels.log_axis(axes, "y")
    else:
        room = 0.08 * (max(ends) - min(ends))
        axes.set_ylim(min(ends) - room, max(ends) + room)
    axes.axhspan(*np.clip(counted, *axes.get_ylim()), color=SHADE, lw=0, zorder=0)
    axes.axhline(nothing, color=GREY, lw=0.8, zorder=1)
    marks = [claim.horizon * part for part in (0.2, 0.4, 0.6, 0.8, 1.0)]
    axes.set_xticks(marks, [words.count(mark) for mark in marks])
    axes.set_xlabel("optimiser steps")
    text = "loss, ratio to the baseline's"
    if not is_ratio:
        text = words.lines(f"{claim.metric}, less the baseline's", height, 9)
    axes.set_ylabel(text)


def pair_panel(axes: Axes, claim: Claim, verdict: Verdict, color: Any, width: float) -> None:
    """Draw the ratio (or difference) of each pair, in order, and under them the estimate.

    Its interval is the verdict's. Shaded: the effect that counts. An arrow in place of a dot: one
    of the two runs never got there; of the estimate: a bound, or an interval beyond the axis.
    """
    used, is_ratio = verdict.used, compared(claim) == "ratio"
    assert used is not None
    values = units.by_seed(claim, used, verdict.series)
    heard = np.flatnonzero(~np.isnan(values))
    order = heard[np.argsort(values[heard], kind="stable")]
    low, high = _pair_axis(axes, claim, verdict, values[heard])
    nothing = 1.0 if is_ratio else 0.0
    axes.axvline(nothing, color=GREY, lw=0.8, zorder=1)
    places = np.linspace(LOWEST, HIGHEST, order.size) if order.size > 1 else np.full(1, 0.6)
    far, near = values[order] > high, values[order] < low
    later = near & False
    if STATISTICS[claim.statistic][0]:
        far, later = far | ~used.treated.there[order], ~used.baseline.there[order]
    drawn = np.clip(values[order], *_edges(axes))
    for marker, which in ((">", far), ("<", near | later), ("o", ~(far | near | later))):
        style: dict[str, Any] = {"ls": "", "marker": marker, "mew": 0, "alpha": 0.45}
        style["ms"] = 3.5 if marker == "o" else 4.5
        axes.plot(drawn[which], places[which], color=color, **style)
    _estimate(axes, verdict)
    what = plain(quantity(claim))
    if claim.statistic in EVERY:
        what, tenth = claim.metric or "loss", verdict.series + 1
        what += f" at {tenth / 10:g} of the horizon" if tenth < 10 else " at the horizon"
    if claim.kind == "paired":
        of = "ratio to" if is_ratio else "less"
        what += f", {of} that of the baseline's run of the same seed"
    axes.set_xlabel(words.lines(what, width, 9))


def share_panel(axes: Axes, claim: Claim, verdict: Verdict, width: float) -> None:
    """Draw the share of the runs and its exact interval; shaded: what the claim says of it."""
    axes.set_xlim(-0.02, 1.02)
    _finish(axes, claim)
    _estimate(axes, verdict, 0.5)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlabel(words.lines(f"share of the runs with {plain(quantity(claim))}", width, 9))


def _pair_axis(axes: Axes, claim: Claim, verdict: Verdict, values: NDArray) -> tuple[float, float]:
    """Make the axis of ratios or differences, shade what counts, and return its ends."""
    ends = np.array([*verdict.estimate, claim.smallest_effect, *units.counted(claim)])
    seen = np.concatenate([values, ends[np.isfinite(ends)]])
    if compared(claim) == "ratio":
        seen = np.clip(np.concatenate([seen, [0.8, 1.25]]), 1 / WIDEST, WIDEST)
        if verdict.bound:
            seen = np.append(seen, _beyond(verdict))
        room = (seen.max() / seen.min()) ** 0.06
        axes.set_xscale("log")
        axes.set_xlim(seen.min() / room, seen.max() * room)
        marks = words.ticks(*axes.get_xlim(), most=6)
        words.plain_ticks(axes, marks, [f"{mark:g}" for mark in marks])
    else:
        seen = np.append(seen, 0.0)
        room = 0.06 * (seen.max() - seen.min())
        axes.set_xlim(seen.min() - room, seen.max() + room)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:+.3g}" if x else "0"))
    _finish(axes, claim)
    low, high = axes.get_xlim()
    return float(low), float(high)


def _finish(axes: Axes, claim: Claim) -> None:
    low, high = np.clip(units.counted(claim), *axes.get_xlim())
    axes.axvspan(float(low), float(high), color=SHADE, lw=0, zorder=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _edges(axes: Axes) -> tuple[float, float]:
    """Return where, just inside the horizontal axis, what lies beyond it is drawn."""
    low, high = axes.get_xlim()
    if axes.get_xscale() == "log":
        room = (high / low) ** 0.012
        return low * room, high / room
    room = 0.012 * (high - low)
    return low + room, high - room


def _beyond(verdict: Verdict) -> float:
    """Return where the arrow of a bound ends."""
    value = verdict.estimate.value
    return value * 1.5 if verdict.bound == ">" else value / 1.5


def _estimate(axes: Axes, verdict: Verdict, place: float = ROW) -> None:
    """Draw the estimate of a verdict, its interval, and arrows where it goes on."""
    value, *ends = verdict.estimate
    if math.isnan(value):
        return
    edges = _edges(axes)
    arrow: dict[str, Any] = {"arrowstyle": "-|>", "color": "black", "lw": 2}
    arrow |= {"shrinkA": 0, "shrinkB": 0}
    inside = float(np.clip(value, *edges))
    if verdict.bound:
        end = float(np.clip(_beyond(verdict), *edges))
        axes.annotate("", (end, place), (inside, place), arrowprops=arrow)
    elif not any(map(math.isnan, ends)):
        for end, edge in zip(ends, edges, strict=True):
            if math.isinf(end) or not edges[0] <= end <= edges[1]:
                axes.annotate("", (edge, place), (inside, place), arrowprops=arrow, zorder=2)
            else:
                axes.plot([inside, end], [place] * 2, color="black", lw=2, zorder=2)
    axes.plot(inside, place, "D", ms=6, color="black", mec="white", mew=0.7, zorder=3)
