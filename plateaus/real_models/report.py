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
from numpy.typing import NDArray
from rich.table import Table

from plateaus.report.facets import columns, panel_grid
from plateaus.report.style import GREY, Look, looks, styled
from plateaus.report.terminal import empty_table

RANGE = (0.1, 0.9)  # of prompts, that a bar spans
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

    First panel: a point for each task of each mixture, its bar from the 10% to the 90% quantile of
    prompts; dashed: P = share. Then a histogram of P a mixture: mass at 0 and 1 is switching from
    prompt to prompt, mass in between is superposition.
    """
    styles = looks(len(tasks))
    panels = 1 + len(mixtures)
    wide = min(COLUMNS, panels)
    lines = -(-panels // wide)
    with styled():
        made = Figure(figsize=(3.1 * wide, 0.8 + 2.5 * lines), layout="constrained")
        grid = panel_grid(made, panels, wide)
        _calibration(grid[0], mixtures, styles)
        for number, (axes, mixture) in enumerate(zip(grid[1:], mixtures, strict=True)):
            _histogram(axes, mixture, styles)
            axes.set_ylabel("share of prompts" if number == 0 or (number + 1) % wide == 0 else "")
        made.suptitle(title, x=0.008, ha="left", fontsize=9, weight="bold")
        handles = [look.handle(task, **look.mark) for task, look in zip(tasks, styles, strict=True)]
        labels = list(tasks)
        made.legend(
            handles=handles, loc="outside lower center", ncols=columns(made, labels), handlelength=3
        )
    return made


def _calibration(axes: Axes, mixtures: Sequence[Mixture], styles: Sequence[Look]) -> None:
    axes.plot([0, 1], [0, 1], ls=(0, (4, 3)), lw=0.8, color=GREY, zorder=0)
    middle = (len(styles) - 1) / 2
    for k, look in enumerate(styles):
        shares = [float(mixture.measured["mixed_share"][k]) for mixture in mixtures]
        means = [float(mixture.measured["mixed_probability"][k]) for mixture in mixtures]
        aside = 0.012 * (k - middle)  # bars of one share would hide one another
        for x, mixture in zip(shares, mixtures, strict=True):
            ends = np.quantile(np.exp(mixture.log_p[:, k]), RANGE)
            axes.plot([x + aside] * 2, ends, color=look.color, lw=1.8, alpha=0.4)
        axes.plot(np.add(shares, aside), means, ls="", ms=6, color=look.color, **look.mark)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.set(xlabel="share of the examples", ylabel="P of the task's answer")
    axes.set_title("mean, and 80% of prompts")


def _histogram(axes: Axes, mixture: Mixture, styles: Sequence[Look]) -> None:
    bars = np.asarray(mixture.measured["mixed_histogram"])
    edges = np.linspace(0, 1, bars.shape[1] + 1)
    for heights, look in zip(bars, styles, strict=True):
        axes.stairs(heights, edges, color=look.color, ls=look.dash, lw=look.width)
    axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.03), xlabel="P of the task's answer")
    axes.set_title(f"shares {mixture.name}")
