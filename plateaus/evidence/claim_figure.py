"""One figure for every claim that rests on runs: curves, times or values, and the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from plateaus.evidence import claim_panels, claim_runs
from plateaus.evidence.claim import Claim
from plateaus.evidence.claim_panels import is_timed, plain
from plateaus.evidence.fields import EVERY
from plateaus.evidence.observed import Arm
from plateaus.evidence.verdict import Verdict
from plateaus.evidence.wording import compared, result, rule
from plateaus.report import main_panels, table, words
from plateaus.report.captions import spans
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look, looks, styled
from plateaus.report.survival import FEWEST_RUNS

WIDTH, EDGE = 10.5, 0.12  # inches, as all that follows
CURVES, MIDDLE, PAIRS = (0.8, 3.55), (4.35, 6.75), (7.75, 10.35)  # from, to
COUNT = 1.19  # in parts of the middle panel's width: where it is said how many got there
PANEL, TITLE, AXIS, HEADS, FOOT = 2.3, 0.32, 0.52, 0.22, 0.3
LINE, GAP = 0.135, 0.1  # of a small text; between rows
NAME = 0.62, 3.95  # of a setting, from and to


def figure(claim: Claim, verdict: Verdict, results: xr.Dataset, rows: Sequence[Row]) -> Figure:
    """Return the figure of a claim that has been looked at.

    Above: the sentence, what the verdict says, and the rule. (a) The runs that the verdict rests
    on, along their steps. (b) Their times, or their values. (c) Their pairs, and the estimate.
    Below: the settings, with the runs that are left at a step, or the median of their values;
    seeds, device and commit.

    Args:
      claim, verdict: the numbers are those of the verdict; it must have `used`.
      results, rows: the curves, of the same seeds, and a row a setting, the baseline first, as
        `claim_runs.of_folder` reads them.
    """
    used = verdict.used
    assert used is not None
    with styled():
        arms = [used.treated] if claim.kind == "descriptive" else [used.baseline, used.treated]
        shown = list(zip(arms, looks(len(arms), 0 if len(arms) > 1 else None), strict=True))
        styles = [look for _, look in shown]
        names = [words.lines(name, NAME[1] - NAME[0]) for name in arm_names(claim)]
        head = _head(claim, verdict)
        foot = words.lines(foot_text(claim, verdict), WIDTH - 2 * EDGE)
        above = 0.12 + sum(0.02 * size * text.count("\n") + 0.02 * size for text, size, _ in head)
        body = sum(LINE * (1 + name.count("\n")) + GAP for name in names)
        below = AXIS + HEADS + body + FOOT + LINE * foot.count("\n")
        height = above + TITLE + PANEL + below
        drawn = Figure(figsize=(WIDTH, height))
        FigureCanvasAgg(drawn)
        _write_head(drawn, head, height)
        places = (CURVES, MIDDLE, PAIRS)
        curves, middle, pairs = (_axes(drawn, x, below, to - x, PANEL) for x, to in places)
        first, last = _first_steps(results, claim, arms), float(claim.horizon)
        words.log_steps(curves, _earlier(results, first), last, most=5)
        _draw_curves(curves, claim, results, list(rows), styles)
        marks = _draw_middle(middle, claim, verdict, shown, (first, last))
        if claim.statistic == "share":
            claim_panels.share_panel(pairs, claim, verdict, PAIRS[1] - PAIRS[0])
        else:
            color = styles[-1].color
            claim_panels.pair_panel(pairs, claim, verdict, color, PAIRS[1] - PAIRS[0])
        for axes, title in zip((curves, middle, pairs), titles(claim, verdict), strict=True):
            axes.set_title(title, fontsize=8.5)
        _draw_rows(drawn, claim, shown, names, below - AXIS - HEADS, marks, (first, last))
        _text(drawn, EDGE, 0.06, foot, color=GREY, va="bottom")
    return drawn


def has_few(verdict: Verdict) -> bool:
    """Return whether the runs are too few for bands, so that each has its line."""
    return verdict.used is not None and verdict.used.seeds.size < FEWEST_RUNS


def titles(claim: Claim, verdict: Verdict) -> tuple[str, str, str]:
    """Return the titles of the three panels."""
    few = has_few(verdict)
    middle = "(b) runs not there yet" + ", 95% band" * (not few) + "; |: censored"
    if claim.statistic in EVERY:
        middle = "(b) each tenth: mean, middle half; o: worst"
    elif not is_timed(claim):
        middle = "(b) values, a step a run"
    last = f"(c) {compared(claim)}s by pair; shaded: what counts"
    if claim.statistic == "share":
        last = "(c) share of the runs; shaded: what counts"
    elif claim.statistic == "level":
        last = "(c) differences by run; shaded: what counts"
    spread = "each thin" if few else "middle half"
    return f"(a) median of the seeds, {spread}", middle, last


def arm_names(claim: Claim) -> list[str]:
    """Return what the settings are called, the baseline first, if there is one."""
    values = [table.label(setting) for setting in claim_runs.settings(claim)]
    if len(values) == 1:
        return [f"runs: {values[0] or 'as configured'}"]
    return [f"{role}: {text}" for role, text in zip(("baseline", "treated"), values, strict=True)]


def foot_text(claim: Claim, verdict: Verdict) -> str:
    """Return which runs a figure shows: seeds, steps, scale, device and commit."""
    assert verdict.used is not None
    facts = [
        f"seeds {spans(verdict.used.seeds.tolist())}",
        f"{claim.horizon:,} steps",
        f"scale {claim.scale}",
        verdict.device.replace("_", " "),
        f"commit {verdict.commit}" * bool(verdict.commit),
    ]
    return "; ".join(filter(None, facts))


def _head(claim: Claim, verdict: Verdict) -> list[tuple[str, float, dict[str, Any]]]:
    """Return the texts above the panels in lines, with their sizes and looks."""
    texts: list[tuple[str, float, dict[str, Any]]] = [
        (f"{claim.id}: {plain(claim.sentence)}", 9.5, {"weight": "bold"}),
        (result(claim, verdict), 9.0, {}),
        (plain(rule(claim)), words.SIZE, {"color": GREY}),
    ]
    wide = WIDTH - 2 * EDGE
    return [
        (words.lines(text, wide / (1.15 if "weight" in look else 1.0), size), size, look)
        for text, size, look in texts
    ]


def _write_head(
    drawn: Figure, head: Sequence[tuple[str, float, dict[str, Any]]], top: float
) -> None:
    top -= 0.08
    for text, size, look in head:
        _text(drawn, EDGE, top, text, size, va="top", **look)
        top -= 0.02 * size * (1 + text.count("\n"))


def _first_steps(results: xr.Dataset, claim: Claim, arms: Sequence[Arm]) -> float:
    """Return where the axis of times begins: some steps before the first run is there."""
    last = float(claim.horizon)
    steps = results["eval_step"].values
    first = float(min(steps[steps > 0].min(initial=last), last / 2))
    there = [arm.values[arm.there].min() for arm in arms if arm.there.any()]
    return max(first, min(there) / 2) if there and is_timed(claim) else first


def _earlier(results: xr.Dataset, step: float) -> float:
    """Return where the axis of curves begins, some way before that of times."""
    steps = results["eval_step"].values
    return max(step / 5, float(steps[steps > 0].min(initial=step)))


def _draw_curves(
    axes: Axes, claim: Claim, results: xr.Dataset, rows: list[Row], styles: Sequence[Look]
) -> None:
    """Draw the metric of the claim along the steps, else the loss."""
    metric = claim_runs.metric(claim, results, rows)
    if metric is None:
        main_panels.loss_panel(axes, results, list(zip(rows, styles, strict=True)))
        if claim.task:  # without a level of the plateau: a flat curve must look flat
            low, high = min(0.0, axes.get_ylim()[0]), axes.get_ylim()[1]
            axes.set_ylim(low, high + 0.06 * (high - low))  # the room is of the whole axis
    else:
        claim_panels.metric_panel(axes, results["eval_step"].values, metric, styles, PANEL)
    if claim.at:
        axes.axvline(claim.at, ls=":", lw=0.8, color=GREY, zorder=0)


def _draw_middle(
    axes: Axes,
    claim: Claim,
    verdict: Verdict,
    shown: claim_panels.Arms,
    limits: tuple[float, float],
) -> list[float]:
    """Draw (b); return the steps at which the runs that are left are counted."""
    width = MIDDLE[1] - MIDDLE[0]
    if is_timed(claim):
        marks = words.log_steps(axes, *limits, most=5)
        label = "optimiser steps" + " since it is first drawn" * bool(claim.task)
        if claim.prompts[0] != claim.prompts[1]:
            label = f"prompts of its own, in units of {min(claim.prompts):g}"
        axes.set_xlabel(words.lines(label, width, 9))
        claim_panels.time_panel(axes, shown)
        return marks
    if claim.statistic in EVERY:
        claim_panels.tenths_panel(axes, claim, verdict, shown[-1][1], PANEL)
    else:
        claim_panels.value_panel(axes, claim, shown, width)
    return []


def _draw_rows(
    drawn: Figure,
    claim: Claim,
    shown: claim_panels.Arms,
    names: Sequence[str],
    top: float,
    marks: Sequence[float],
    limits: tuple[float, float],
) -> None:
    """Draw a row a setting: its line, its name, and the runs that are left at each step."""
    width = MIDDLE[1] - MIDDLE[0]
    if marks:
        _text(drawn, MIDDLE[0] - 0.1, top + 0.03, "runs not there yet at these steps", color=GREY)
        _text(drawn, MIDDLE[0] + COUNT * width, top + 0.03, "there", color=GREY, ha="center")
    for (arm, look), name in zip(shown, names, strict=True):
        tall = LINE * (1 + name.count("\n")) + GAP
        row = _axes(drawn, EDGE, top - tall, NAME[1] - EDGE, tall)
        row.set_axis_off()
        row.set_xlim(0, NAME[1] - EDGE)
        row.set_ylim(-0.5, 0.5)
        row.plot([0, NAME[0] - EDGE - 0.08], [0, 0], **look.line)
        small: dict[str, Any] = {"va": "center", "fontsize": words.SIZE}
        row.text(NAME[0] - EDGE, 0, name, linespacing=1.1, **small)
        beside = _axes(drawn, MIDDLE[0], top - tall, width, tall)
        beside.set_axis_off()
        beside.set_ylim(-0.5, 0.5)
        if marks:
            words.log_steps(beside, *limits)
            runs = claim_panels.passages(arm)
            count = f"{int(runs.escaped.sum())}/{runs.times.size}"
            main_panels.write_risk(beside, 0, runs.times, marks, count, COUNT)
        elif claim.statistic not in EVERY:
            beside.text(0, 0.5, claim_panels.median_text(arm), transform=beside.transAxes, **small)
        top -= tall


def _axes(drawn: Figure, left: float, foot: float, width: float, height: float) -> Axes:
    """Return axes at a place in inches."""
    wide, high = drawn.get_size_inches()
    return drawn.add_axes((left / wide, foot / high, width / wide, height / high))


def _text(
    drawn: Figure, x: float, y: float, text: str, size: float = words.SIZE, **options: Any
) -> None:
    """Write a text at a place in inches."""
    width, height = drawn.get_size_inches()
    drawn.text(x / width, y / height, text, fontsize=size, **options)
