"""What the number of tasks in a mixture does on average, over the mixtures of one size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plateaus.measures.by_task.averages import Averaged, by_count, seed_ratios
from plateaus.measures.by_task.rows import COMPLETION, ESCAPE, TaskRow
from plateaus.report import bands, paired, panels, words
from plateaus.report.facets import TITLE_SIZE, labelled, legend_above
from plateaus.report.statistics import Row
from plateaus.report.style import CATEGORIES, GREY, Look, looks, styled

WIDTH = 3.4  # inches, of a panel


def counts(dataset: xr.Dataset, rows: Sequence[Row], task_rows: Sequence[TaskRow]) -> Figure | None:
    """Return mean steps to escape and to completion against the number of tasks in the mixture.

    A mark is the mean over all settings with so many tasks, the task among them; the median over
    seeds, with a bar over their middle half if there are 8, and else a faint dot a seed. Runs that
    had not passed by the horizon (dotted) count as passing there: hollow where there are some, so
    that the mean is a lower bound, and a triangle where there are no others. What no run ever
    passes is named, not drawn. Right: the geometric mean over tasks and seeds of the ratio to the
    task alone, with its 95% interval of 8 seeds or more, or a faint dot a seed; hollow where some
    of the runs had not passed. None where fewer than three numbers of tasks are compared.

    Source: paper 2, its table.
    """
    numbers = sorted({len(row.tasks) for row in task_rows})
    if len(numbers) < 3 or numbers[0] != 1:
        return None
    tasks = list(dict.fromkeys(row.task for row in task_rows))
    palette = dict(zip(tasks, looks(len(tasks)), strict=True))
    kinds = {"escape": ESCAPE, "completion": COMPLETION}
    means = {name: by_count(dataset, task_rows, variable) for name, variable in kinds.items()}
    shares = {
        name: {key: share for key, share in passed(task_rows, kind).items() if key in means[name]}
        for name, kind in kinds.items()
    }
    shown = [name for name in kinds if any(shares[name].values())]
    if not shown:
        return None
    with styled():
        count = len(shown) + 1
        figure = Figure(figsize=(0.4 + WIDTH * count, 3.7), layout="constrained")
        *panes, last = figure.subplots(1, count)
        for number, (axes, name) in enumerate(zip(panes, shown, strict=True)):
            averaged = means[name]
            _steps_panel(axes, averaged, shares[name], palette, rows[0].horizon)
            never = [t for t in tasks if not any(shares[name].get((k, t)) for k in numbers)]
            title = f"steps to {name}"
            if never:
                title += f" (never: {', '.join(never)})".replace("_", " ")
            axes.set_title(words.lines(title, WIDTH - 0.7, TITLE_SIZE))
            axes.set_ylabel("mean optimiser steps\n(dotted: horizon)")
            look = Look(("black", CATEGORIES[3])[number], ("-", "--")[number], "os"[number], 1.4)
            shared = [seed_ratios(averaged, k, tasks, rows[0].horizon) for k in numbers]
            whole = [
                all(share == 1 for (size, _), share in shares[name].items() if size in (1, k))
                for k in numbers
            ]
            _ratio_panel(last, numbers, shared, whole, look, name)
        last.axhline(1.0, ls=":", lw=0.8, color=GREY)
        last.set_title("geometric mean over tasks")
        last.set_ylabel("steps, ratio to the task alone")
        panels.log_axis(last)
        last.legend()
        for axes in (*panes, last):
            axes.set_xlabel("tasks in the mixture")
            axes.set_xticks(numbers)
        legend_above(figure, [h for h in labelled(figure) if h.get_label() not in shown])
    return figure


def passed(task_rows: Sequence[TaskRow], variable: str) -> dict[tuple[int, str], float]:
    """Return, by number of tasks and task, the share of the runs that passed by the horizon."""
    runs: dict[tuple[int, str], list[tuple[int, int]]] = {}
    for row in task_rows:
        count = row.escaped if variable == ESCAPE else row.completed
        runs.setdefault((len(row.tasks), row.task), []).append((count, row.runs))
    return {
        key: sum(a for a, _ in each) / max(1, sum(b for _, b in each)) for key, each in runs.items()
    }


def _steps_panel(
    axes: Axes,
    averaged: Averaged,
    shares: Mapping[tuple[int, str], float],
    palette: Mapping[str, Look],
    horizon: int,
) -> None:
    for task, look in palette.items():
        sizes = sorted(k for k, other in averaged if other == task)
        if not any(shares[k, task] for k in sizes):
            continue
        middles = [float(bands.quartiles(averaged[k, task])[0]) for k in sizes]
        axes.plot(sizes, middles, label=task.replace("_", " "), **look.line, **look.mark, ms=4)
        for k in sizes:
            style = _hollow(look, shares[k, task])
            bands.median_point(axes, k, averaged[k, task], look, **style)
    axes.axhline(horizon, ls=":", lw=0.8, color=GREY)
    panels.log_axis(axes)


def _hollow(look: Look, share: float) -> dict[str, Any]:
    """Return the marks of a mean of runs of which so many passed."""
    if share == 1:
        return {"ms": 5}
    hollow = {"ms": 5, "mfc": "white", "mec": look.color, "mew": 1.0}
    return hollow if share else hollow | {"marker": "^"}


def _ratio_panel(
    axes: Axes,
    numbers: Sequence[int],
    logs: Sequence[NDArray[np.float64]],
    whole: Sequence[bool],
    look: Look,
    label: str,
) -> None:
    """Draw the ratios by number of tasks, from the logarithms of each seed's, [seed] each."""
    means = [paired.mean_interval(each) for each in logs]
    axes.plot(numbers, np.exp([mean.value for mean in means]), label=label, **look.line)
    for k, mean, each, clear in zip(numbers, means, logs, whole, strict=True):
        if math.isnan(mean.value):
            continue
        style = {"ms": 5, **look.mark, **_hollow(look, 1.0 if clear else 0.5)}
        if math.isnan(mean.low):
            dots: dict[str, Any] = {"marker": "o", "ms": 3, "mew": 0, "ls": "", "alpha": 0.4}
            axes.plot(np.full(each.size, k), np.exp(each), color=look.color, **dots)
        else:
            axes.plot([k, k], np.exp([mean.low, mean.high]), color=look.color, lw=1.6)
        axes.plot(k, np.exp(mean.value), color=look.color, zorder=3, **style)
