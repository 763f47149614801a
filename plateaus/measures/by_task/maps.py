"""A map of pairs of tasks: what training on one until it escapes does to the other's plateau."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from plateaus.measures.by_task.rows import TaskRow
from plateaus.report import words
from plateaus.report.heat_map import heat_map
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, styled
from plateaus.report.terminal import ratio_text

LEVEL = 0.05  # of the p-values that are set in bold
WIDEST = 3  # powers of two: ratios beyond have the last colour
CELL, SIDE = 1.25, 2.4  # inches, of a cell and of what stands beside the cells


def transfer(
    dataset: xr.Dataset, rows: Sequence[Row], task_rows: Sequence[TaskRow]
) -> Figure | None:
    """Return what training on one task until it escapes does to the plateau of the next.

    A cell is the ratio of the steps to escape of the task of its column, counted from when it is
    first drawn, after the task of its line, to those of the task alone from scratch: the geometric
    mean over seeds, of 8 and more with its 95% interval, and the number n of pairs of seeds. Blue
    is sooner, red is later. Bold: p < .05 of the sign-flip test over pairs, after Holm over all
    comparisons of tasks; nothing bold, no such cell. ">" or "<": a bound, as one of the two had not
    escaped by the horizon. An asterisk: a plateau at the floor of the instrument, too short to be
    measured. Empty: not run, or no pair. None unless settings go on with another task once one has
    escaped.
    """
    switches = json.loads(dataset.attrs["config"]).get("data.switch", "none") != "none"
    later = [row for row in task_rows if row.start > 0 and len(row.tasks) == 2]
    if not (switches and later):  # a task of a curriculum comes late, too, at a step of its own
        return None
    first = {row.index: next(t for t in row.tasks if t != row.task) for row in later}
    tasks = [str(name) for name in dataset["task"].values]
    ratios = np.full((len(tasks), len(tasks)), np.nan)
    texts = {}
    for row in later:
        at = tasks.index(first[row.index]), tasks.index(row.task)
        if np.isfinite(row.ratio.value):
            ratios[at] = row.ratio.value
            texts[at] = _text(row), row.p_adjusted < LEVEL
    with styled():
        size = SIDE + CELL * len(tasks)
        figure = Figure(figsize=(size + 0.9, 0.72 * size), layout="constrained")
        axes = figure.subplots()
        scale = Normalize(-WIDEST, WIDEST)
        image = heat_map(axes, np.log2(ratios), texts, tasks, tasks, "RdBu_r", scale)
        for text in axes.texts:
            text.set_fontsize(words.SIZE)
        axes.set_ylabel("trained first, until it escapes")
        axes.set_xlabel("then trained")
        bold = any(bold for _, bold in texts.values())
        significant = "bold: p < .05 (Holm)" if bold else "no p < .05 (Holm)"
        axes.set_title(f"steps to escape after another task / from scratch\n{significant}")
        powers = range(-WIDEST, WIDEST + 1)
        bar = figure.colorbar(image, ax=axes, ticks=list(powers), extend="both", shrink=0.9)
        bar.ax.set_yticklabels(
            [f"1/{2**-power}" if power < 0 else f"{2**power}" for power in powers]
        )
        bar.set_label("ratio: below 1 sooner, above 1 later")
        if any(row.floor for row in later):
            note = "*: a plateau at the floor of the instrument, hardly measured"
            figure.supxlabel(note, fontsize=words.SIZE, color=GREY)
    return figure


def _text(row: TaskRow) -> str:
    """Return what is written into a cell: the ratio, its interval, the pairs."""
    ratio = ratio_text(row.ratio, row.bound).replace(" [", "\n[", 1)
    value, *interval = ratio.split("\n")
    return "\n".join([value + "*" * row.floor, *interval, f"n = {row.pairs}"])
