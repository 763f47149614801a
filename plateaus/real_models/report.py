"""The results on prompts that mix tasks: a table, its CSV, and a figure.

The figure shows whether a language model superposes tasks or switches between them, which look
alike in the mean over prompts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from rich.table import Table

from plateaus.report import words
from plateaus.report.facets import columns, panel_grid
from plateaus.report.style import GREY, Look, looks, styled
from plateaus.report.terminal import empty_table

RANGE = (0.1, 0.9)  # of prompts, that a bar spans
DASHED = (0, (4, 3))
COLUMNS = 3
_BY_TASK = ("probability", "share", "saturation")
_PLAIN = ("entropy", "entropy_of_mean", "kl", "completed")


class Mixture(NamedTuple):
    """What was measured on the prompts of one mixture of K tasks.

    Fields:
      name: the shares as the user wrote them.
      log_p: log-probabilities [N, K] of the answers, in nats.
      measured: the result of `plateaus.measures.superposition.summary.summary`.
    """

    name: str
    log_p: NDArray[np.float64]
    measured: Mapping[str, NDArray[Any]]


def records(tasks: Sequence[str], mixtures: Sequence[Mixture]) -> list[dict[str, Any]]:
    """Return a row of the CSV for each mixture; entropies and the divergence in nats.

    "recency_same" is the mean P of a task over the prompts whose last example is of this task,
    "recency_other" over the others. An empty cell is undefined.
    """
    rows = []
    for mixture in mixtures:
        names = _BY_TASK + _PLAIN
        measures = {name: np.asarray(mixture.measured[f"mixed_{name}"]) for name in names}
        row: dict[str, Any] = {"mixture": mixture.name, "prompts": len(mixture.log_p)}
        for name in _BY_TASK:
            row |= {f"{name}.{task}": _number(measures[name][k]) for k, task in enumerate(tasks)}
        row |= {name: _number(measures[name]) for name in _PLAIN}
        for name in ("recency_same", "recency_other"):
            last = np.asarray(mixture.measured[f"mixed_{name}"])[0]
            row |= {f"{name}.{task}": _number(last[k]) for k, task in enumerate(tasks)}
        rows.append(row)
    return rows


def _number(value: Any) -> str:
    return "" if math.isnan(value) else f"{float(value):.6g}"


def table(tasks: Sequence[str], mixtures: Sequence[Mixture]) -> Table:
    """Return the table for the terminal: a line for each task of each mixture.

    "after same" is the mean P where the last example is of the task, "after other" where it is not.
    """
    by_task = ("share", "mean\nP", "satu-\nration", "after\nsame", "after\nother")
    numbers = (*by_task, "entropy", "of the\nmean", "KL", "com-\npleted")
    made = empty_table(("mixture", "task"), numbers, no_wrap=True, overflow="ellipsis")
    for mixture, row in zip(mixtures, records(tasks, mixtures), strict=True):
        names = ("share", "probability", "saturation", "recency_same", "recency_other")
        for k, task in enumerate(tasks):
            cells = [_short(row[f"{name}.{task}"]) for name in names]
            shared = [_short(row[name]) for name in _PLAIN]
            made.add_row(mixture.name if k == 0 else "", task, *cells, *(shared if k == 0 else []))
    return made


def _short(text: str) -> str:
    """Return a number in at most six letters; "-" where it is undefined."""
    if not text:
        return "-"
    value = float(text)
    return f"{value:.0e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"


def figure(tasks: Sequence[str], mixtures: Sequence[Mixture], title: str) -> Figure:
    """Return mean P against the share of examples, and how P spreads over the prompts.

    First panel: a mark for each task of each mixture, at its share; dashed: P = share. Then a panel
    a mixture with a line for each task: the histogram of P over prompts, in twentieths, on one
    scale in all panels; below it the mean P and a bar from the 10% to the 90% quantile of prompts;
    dashed and upright, the share. Prompts at 0 and 1 are switching from prompt to prompt, those at
    the share are superposition.
    """
    styles = looks(len(tasks))
    panels = 1 + len(mixtures)
    wide = min(COLUMNS, panels)
    lines = -(-panels // wide)
    scale = max(float(np.max(mixture.measured["mixed_histogram"])) for mixture in mixtures)
    with styled():
        high = max(2.5, 0.9 + 0.45 * len(tasks))
        made = Figure(figsize=(3.4 * wide, 0.9 + high * lines), layout="constrained")
        grid = panel_grid(made, panels, wide)
        _calibration(grid[0], mixtures, styles)
        for axes, mixture in zip(grid[1:], mixtures, strict=True):
            _histograms(axes, mixture, styles, scale)
        made.suptitle(words.lines(title, 3.3 * wide, 9.0), x=0.008, ha="left", fontsize=9)
        handles = [look.handle(task, **look.mark) for task, look in zip(tasks, styles, strict=True)]
        handles.append(Line2D([], [], color=GREY, ls=DASHED, lw=0.9, label="share of the examples"))
        ncols = columns(made, [str(handle.get_label()) for handle in handles])
        made.legend(handles=handles, loc="outside lower center", ncols=ncols, handlelength=3)
    return made


def _calibration(axes: Axes, mixtures: Sequence[Mixture], styles: Sequence[Look]) -> None:
    axes.plot([0, 1], [0, 1], ls=DASHED, lw=0.9, color=GREY, zorder=0)
    for k, look in enumerate(styles):
        shares = [float(mixture.measured["mixed_share"][k]) for mixture in mixtures]
        means = [float(mixture.measured["mixed_probability"][k]) for mixture in mixtures]
        axes.plot(shares, means, ls="", ms=6, color=look.color, alpha=0.8, **look.mark)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.set(xlabel="share of the examples", ylabel="P of the task's answer")
    axes.set_title("mean over prompts")


def _histograms(axes: Axes, mixture: Mixture, styles: Sequence[Look], scale: float) -> None:
    """Draw the spread of P of each task over the prompts of a mixture, one under another."""
    bars = np.asarray(mixture.measured["mixed_histogram"])
    edges = np.linspace(0, 1, bars.shape[1] + 1)
    for k, (heights, look) in enumerate(zip(bars, styles, strict=True)):
        foot = float(len(bars) - 1 - k)
        outline: dict[str, Any] = {"color": look.color, "baseline": foot}
        axes.stairs(foot + 0.75 * heights / scale, edges, fill=True, alpha=0.45, **outline)
        ends = np.quantile(np.exp(mixture.log_p[:, k]), RANGE)
        axes.plot(ends, [foot - 0.09] * 2, color=look.color, lw=1.6)
        mean = float(mixture.measured["mixed_probability"][k])
        axes.plot([mean], [foot - 0.09], color=look.color, ms=5, **look.mark)
        share = float(mixture.measured["mixed_share"][k])
        axes.plot([share] * 2, [foot, foot + 0.8], color=GREY, ls=DASHED, lw=0.9)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.3, len(bars) - 0.1), xlabel="P of the task's answer")
    axes.set_yticks([])
    axes.set_ylabel(f"share of prompts\n(highest bar: {scale:.2f})")
    axes.set_title(words.lines(f"shares {mixture.name}", 3.0, 9.0))
