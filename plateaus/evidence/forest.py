"""A paper's claims as one figure: ratios with their intervals beside the effects that count."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from plateaus.evidence import svg, units
from plateaus.evidence.claim import Claim
from plateaus.evidence.claim_panels import SHADE
from plateaus.evidence.verdict import Verdict
from plateaus.evidence.wording import estimate, has_ratio
from plateaus.files import write_atomically
from plateaus.report import words
from plateaus.report.style import GREY, styled

WIDTH, ROW, MARGINS = 10.0, 0.36, 0.75  # inches; a row holds two lines of words
SMALL = 7.5  # points
NAME, SENTENCE, LEFT, RIGHT, RESULT = 0.008, 0.055, 0.475, 0.735, 0.75  # in parts of the width
WIDEST = 64.0  # ratios beyond it and its inverse are drawn as arrows
TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
SPARSE_TICKS, DENSE = (0.03, 0.1, 0.3, 1, 3, 10, 30), 100  # where the ends of the axis are so far
# Okabe and Ito's colours, which stay apart for the colour-blind; the word stands beside each.
COLOURS = {
    "supported": "#0072B2",
    "supported, small": "#56B4E9",
    "not supported": "#E69F00",
    "contradicted": "#D55E00",
}


def rows(
    claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict], paper: int
) -> list[tuple[Claim, Verdict]]:
    """Return the claims of a paper that have a ratio, in their order, with their verdicts."""
    chosen = [(claim, verdicts[name]) for name, claim in claims.items() if claim.paper == paper]
    return [(claim, verdict) for claim, verdict in chosen if has_ratio(claim, verdict)]


def draw(
    claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict], paper: int, path: Path
) -> bool:
    """Write the figure of a paper, if one of its claims has a ratio; return whether it changed.

    The same claims and verdicts give the same bytes.
    """
    drawn = figure(rows(claims, verdicts, paper))
    if drawn is None:
        return False
    data = svg.content(drawn, f"Ratios of the claims of paper {paper} with their intervals")
    if path.exists() and path.read_bytes() == data:
        return False
    write_atomically(path, data)
    return True


def figure(shown: list[tuple[Claim, Verdict]]) -> Figure | None:
    """Return the figure of these claims, a row each, the first at the top; None for none.

    Filled and bold: primary. Shaded: the effect that counts. An arrow: a bound, or an interval that
    goes on beyond the axis. To the right: the ratio, the verdict, and the number of pairs.
    """
    if not shown:
        return None
    with styled():
        height = MARGINS + ROW * len(shown)
        drawn = Figure(figsize=(WIDTH, height))
        FigureCanvasAgg(drawn)
        bottom = 0.55 / height
        axes = drawn.add_axes((LEFT, bottom, RIGHT - LEFT, ROW * len(shown) / height))
        low, high = _limits(shown)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.axvline(1, color=GREY, lw=0.8, zorder=1)
        for place, (claim, verdict) in enumerate(shown):
            _shade(axes, place, claim, (low, high))
            _mark(axes, place, claim, verdict, (low, high))
            _words(axes, place, claim, verdict)
        choice = TICKS if high / low < DENSE else SPARSE_TICKS
        ticks = [tick for tick in choice if low <= tick <= high]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("ratio, treated to baseline, and its 95% interval", fontsize=8)
        heads = {NAME: "claim (bold, filled: primary)", LEFT: "shaded: the effect that counts"}
        heads[RESULT] = "verdict; ratio, pairs"
        for x, text in heads.items():
            drawn.text(x, 1 - 0.1 / height, text, va="center", fontsize=SMALL, color=GREY)
    return drawn


def _limits(shown: list[tuple[Claim, Verdict]]) -> tuple[float, float]:
    """Return the ends of the axis: what is drawn and some room beside it, 1 always inside."""
    values = [0.7, 1.4]
    for claim, verdict in shown:
        ends = verdict.estimate[:1] if verdict.bound else verdict.estimate
        values += [*ends, claim.smallest_effect]
    kept = [_inside(value) for value in values if not math.isnan(value)]
    room = (max(kept) / min(kept)) ** 0.1
    return min(kept) / room, max(kept) * room


def _shade(axes: Axes, place: int, claim: Claim, limits: tuple[float, float]) -> None:
    """Shade the ratios of a row that are the effect that counts, or more of it."""
    low, high = (min(max(end, limits[0]), limits[1]) for end in units.counted(claim))
    axes.add_patch(Rectangle((low, place - 0.42), high - low, 0.84, fc=SHADE, ec="none", zorder=0))


def _mark(
    axes: Axes, place: int, claim: Claim, verdict: Verdict, limits: tuple[float, float]
) -> None:
    """Draw a row's ratio and interval; arrows for bounds and for what lies beyond the axis."""
    is_primary = claim.role == "primary"
    colour, width = COLOURS.get(verdict.word, GREY), 2.0 if is_primary else 1.2
    value, *ends = map(_inside, verdict.estimate)
    if verdict.bound:  # beyond which the ratio lies, nobody knows how far
        reach = (limits[1] / limits[0]) ** 0.08
        end = value * reach if verdict.bound == ">" else value / reach
        _arrow(axes, place, value, end, colour, width)
    elif not any(map(math.isnan, ends)):
        axes.plot(ends, [place, place], color=colour, lw=width, zorder=2, solid_capstyle="butt")
        for end, true in zip(ends, verdict.estimate[1:], strict=True):
            if end not in (true, value):
                _arrow(axes, place, value, end, colour, width)
    true = verdict.estimate.value
    shape = "o" if value == true else ">" if value < true else "<"
    face = colour if is_primary else "white"
    axes.plot(value, place, shape, ms=6.5, mfc=face, mec=colour, mew=1.3, zorder=3)


def _inside(value: float) -> float:
    """Return a ratio, or the last one on its side that is drawn; NaN stays."""
    return value if math.isnan(value) else min(max(value, 1 / WIDEST), WIDEST)


def _arrow(axes: Axes, place: int, start: float, end: float, colour: str, width: float) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "lw": width, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (end, place), (start, place), arrowprops=style, zorder=2)


def _words(axes: Axes, place: int, claim: Claim, verdict: Verdict) -> None:
    """Write a row's claim to the left, its verdict, ratio and pairs to the right."""
    weight = "bold" if claim.role == "primary" else "normal"
    row = axes.get_yaxis_transform()  # x from 0 to 1 along the axes, y in rows

    def write(x: float, text: str, **options: Any) -> None:
        x = (x - LEFT) / (RIGHT - LEFT)
        axes.text(x, place, text, transform=row, fontsize=SMALL, va="center", **options)

    left_out = f", {verdict.censored} left out" if verdict.censored else ""
    write(NAME, claim.id, fontweight=weight)
    write(SENTENCE, _wrapped(claim.sentence, (LEFT - SENTENCE - 0.01) * WIDTH))
    write(RESULT, f"{verdict.word}\n{estimate(claim, verdict)}, n = {verdict.pairs}{left_out}")


def _wrapped(text: str, width: float) -> str:
    """Return a text in two lines of at most so many inches, its end left out if it is longer."""
    lines: list[str] = []
    for letters in range(100, 20, -2):
        lines = textwrap.wrap(text, letters, max_lines=2, placeholder=" ...")
        if all(words.width(line, SMALL) <= width for line in lines):
            break
    return "\n".join(lines)
