"""A map of pairs of tasks: what training on one until it escapes does to the other's plateau."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from plateaus.measures.by_task.rows import TaskRow
from plateaus.report.heat_map import heat_map
from plateaus.report.statistics import Row
from plateaus.report.style import styled
from plateaus.report.terminal import ratio_text

LEVEL = 0.05  # of the p-values that are set in bold


def transfer(
    dataset: xr.Dataset, rows: Sequence[Row], task_rows: Sequence[TaskRow]
) -> Figure | None:
    """Return a heat map of what training on task A until it escapes does to task B's plateau.

    The ratio of B's steps to escape, after A, to those from scratch; colours and bold as above.
    None unless settings go on with another task once one has escaped.
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
        ratios[at] = row.ratio.value
        text = ratio_text(row.ratio, row.bound).replace(" [", "\n[")
        texts[at] = text, row.p_adjusted < LEVEL
    with styled():
        size = 2.2 + 0.95 * len(tasks)
        figure = Figure(figsize=(size, size * 0.8), layout="constrained")
        axes = figure.subplots()
        heat_map(axes, np.log2(ratios), texts, tasks, tasks, "RdBu_r", Normalize(-3, 3))
        axes.set_ylabel("trained first, until it escapes")
        axes.set_title(
            "steps to escape after another task / from scratch [95%]\nbold: p < .05 (Holm)"
        )
    return figure
