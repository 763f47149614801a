"""Maps of many mixtures: settings x tasks, and what the number of tasks does on average.

Every function takes the labelled results, their table and the table by task (not empty), and
returns a figure, or None.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plateaus.measures.by_task import rows as by_task
from plateaus.measures.by_task.rows import COMPLETION, ESCAPE, TaskRow
from plateaus.report import cells, paired, panels, survival, table
from plateaus.report.heat_map import heat_map
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, looks, styled
from plateaus.report.survival import Interval

LEVEL = 0.05  # of the p-values that are set in bold


def escapes(
    dataset: xr.Dataset, rows: Sequence[Row], task_rows: Sequence[TaskRow]
) -> Figure | None:
    """Return mean steps to escape, settings x tasks, and as a ratio to the task alone.

    Bold: a ratio with p < .05, after Holm over the table; an asterisk: some runs did not escape.
    None where no mean is known.
    """
    tasks = [str(name) for name in dataset["task"].values]
    order = sorted(rows, key=lambda row: len(by_task.trained(dataset, row.index)))
    places = {row.index: i for i, row in enumerate(order)}
    steps, ratios = np.full((2, len(rows), len(tasks)), np.nan)
    texts: list[dict[tuple[int, int], tuple[str, bool]]] = [{}, {}]
    for row in task_rows:
        at = places[row.index], tasks.index(row.task)
        steps[at], ratios[at] = row.plateau.value, row.ratio.value
        if np.isfinite(row.plateau.value):
            texts[0][at] = f"{row.plateau.value:,.0f}" + "*" * (row.escaped < row.runs), False
        if np.isfinite(row.ratio.value):
            texts[1][at] = row.bound + f"{row.ratio.value:.2f}", row.p_adjusted < LEVEL
    if not np.any(steps > 0):
        return None
    compared = np.isfinite(ratios).any()
    with styled():
        size = (2.6 + 0.62 * len(tasks) * (1 + compared), 1.4 + 0.2 * len(rows))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(1, 1 + compared, squeeze=False)[0]
        names = [_label(row, by_task.trained(dataset, row.index), tasks) for row in order]
        least = float(np.min(steps[steps > 0]))
        scale = LogNorm(least, max(float(np.nanmax(steps)), least * 1.01))
        heat_map(grid[0], steps, texts[0], names, tasks, "viridis_r", scale)
        grid[0].set_title("mean steps to escape")
        if compared:
            heat_map(grid[1], np.log2(ratios), texts[1], None, tasks, "RdBu_r", Normalize(-3, 3))
            grid[1].set_title("ratio to the task alone\nbold: p < .05 (Holm)")
    return figure


def counts(dataset: xr.Dataset, rows: Sequence[Row], task_rows: Sequence[TaskRow]) -> Figure | None:
    """Return mean steps to escape and to completion against the number of tasks k in the mixture.

    A point is the mean over all settings with k tasks, the task among them; bars are 95% t
    intervals over seeds. Black: the geometric mean over tasks and seeds of the ratio to the task
    alone. None where fewer than three numbers of tasks are compared.

    Source: paper 2, its table.
    """
    numbers = sorted({len(row.tasks) for row in task_rows})
    if len(numbers) < 3 or numbers[0] != 1:
        return None
    tasks = list(dict.fromkeys(row.task for row in task_rows))
    with styled():
        figure = Figure(figsize=(10, 3.4), layout="constrained")
        left, right, ratio = figure.subplots(1, 3)
        palette = looks(len(tasks))
        for axes, variable, name in ((left, ESCAPE, "escape"), (right, COMPLETION, "completion")):
            averaged = by_count(dataset, task_rows, variable)
            for look, task in zip(palette, tasks, strict=True):
                sizes = [k for k in numbers if (k, task) in averaged]
                ends = [survival.mean_interval(averaged[k, task]) for k in sizes]
                means = np.array([end.value for end in ends])
                half = np.nan_to_num([end.high - end.value for end in ends])
                label = task.replace("_", " ")
                axes.errorbar(sizes, means, half, label=label, **look.line, **look.mark, ms=4)
            panels.log_axis(axes)
            axes.set_ylabel(f"mean steps to {name}")
            shared = headline(averaged, numbers, tasks, rows[0].horizon)
            mean, low, high = np.array([shared[k] for k in numbers]).T
            dash = "-" if name == "escape" else "--"
            bars = np.nan_to_num([mean - low, high - mean])
            ratio.errorbar(numbers, mean, bars, color="k", ls=dash, label=name, lw=1.4, capsize=2)
        ratio.axhline(1.0, ls=":", lw=0.8, color=GREY)
        ratio.set_ylabel("ratio to the task alone, geometric mean")
        ratio.set_ylim(bottom=0)
        ratio.legend()
        for axes in (left, right, ratio):
            axes.set_xlabel("tasks in the mixture")
            axes.set_xticks(numbers)
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def by_count(
    dataset: xr.Dataset, task_rows: Sequence[TaskRow], variable: str
) -> dict[tuple[int, str], NDArray[np.float64]]:
    """Return, by number of tasks and task, each seed's mean over settings of min(T, horizon).

    Of the settings of which it is known for each seed: all runs were started, and none stopped.
    """
    horizon = float(dataset.attrs["horizon"])
    parts: dict[tuple[int, str], list[NDArray[np.float64]]] = {}
    for row in task_rows:
        times = by_task.passages(dataset, row.index, row.task, variable).times
        stopped = np.isin(cells.endings(dataset, row.index), ["stopped", *cells.AT_EVENT]).any()
        if times.size == dataset.sizes["seed"] and not stopped:
            parts.setdefault((len(row.tasks), row.task), []).append(np.minimum(times, horizon))
    return {key: np.mean(times, axis=0) for key, times in parts.items()}


def headline(
    averaged: dict[tuple[int, str], NDArray[np.float64]],
    numbers: Sequence[int],
    tasks: Sequence[str],
    horizon: float | int,
) -> dict[int, Interval]:
    """Return, by number of tasks, the geometric mean over tasks and seeds of the ratio to alone.

    Of each seed the mean over tasks, but for those that it does not pass by the horizon either way,
    which say nothing of the ratio; the interval is over seeds: see `paired.mean_interval`.
    """
    ratios = {}
    for k in numbers:
        logs = [
            np.where(
                np.minimum(averaged[k, task], averaged[1, task]) < horizon,
                np.log(averaged[k, task] / averaged[1, task]),
                np.nan,
            )
            for task in tasks
            if (k, task) in averaged and (1, task) in averaged
        ]
        by_seed = survival.mean_band(np.array(logs))[0] if logs else np.array([])
        found = paired.mean_interval(by_seed[np.isfinite(by_seed)])
        ratios[k] = Interval(*np.exp(found).tolist())
    return ratios


def _label(row: Row, chosen: Sequence[str], tasks: Sequence[str]) -> str:
    """Return a setting's name; where it lists most of the tasks, those that it leaves out."""
    name = table.label(row.setting).removeprefix("variant=")
    missing = [task for task in tasks if task not in chosen]
    if len(name) < 60 or not 0 < len(missing) < len(chosen):
        return name
    return f"all but {', '.join(missing)}"
