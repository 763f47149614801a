"""What mixed prompts are answered over training, beside the losses of their tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from plateaus.measures.by_task import rows as by_task
from plateaus.measures.by_task.figures import averaged_losses
from plateaus.measures.mixing import figure_shares as mixing_shares
from plateaus.measures.superposition import rows as superposition
from plateaus.measures.superposition.panels import answer_looks
from plateaus.measures.superposition.steps import STEP, no_context, steps_of
from plateaus.report import bands, panels, trained_tasks
from plateaus.report.facets import legend_above, spaced, title
from plateaus.report.selection import followed
from plateaus.report.statistics import Row
from plateaus.report.style import CATEGORIES, GREY, PALE, Look, styled

TRAIN = "train_loss_by_task"
MEASURES = {  # label -> how it is drawn: in colours that tasks seldom have
    "P on the answers together": Look(CATEGORIES[7], "-", "", 1.6),
    "tasks completed / K": Look(CATEGORIES[5], (0, (5, 1.5)), "", 1.4),
    "entropy H / log K": Look(CATEGORIES[6], (0, (1, 1)), "", 1.6),
    "saturation": Look(CATEGORIES[4], (0, (6, 1.5, 1, 1.5)), "", 1.4),
}
NO_CONTEXT: dict[str, Any] = {"color": CATEGORIES[7], "ls": (0, (1, 3)), "lw": 1.2}
MIXED: dict[str, Any] = {"color": CATEGORIES[7], "lw": 1.0, "alpha": 0.6}


def dynamics(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return what the evenest mixture is answered over training, a column a setting.

    Above: the training losses of the mixed tasks, a running mean over 100 steps, in units of the
    no-context loss: dotted are 1, the plateau, and 0.8, below which a task has escaped; other tasks
    grey. Then, of prompts that mix the K tasks: P on the K answers together, how many of them are
    among the K most probable outputs, the entropy, the saturation (0: all prompts are answered
    alike, 1: each by one task), and P of a model that answers by any of the tasks it trains on,
    without looking at the examples; last, KL of the shares from P, in nats. Medians over seeds and
    their middle half or, of fewer than 8, each seed as a thin line. Vertical: the median step at
    which a task escapes (a triangle; hollow where some runs never do, at the edge where half of
    them do not), and at which P together is above 1/2 (mixed step).
    """
    chosen = spaced(superposition.with_mixed_prompts(dataset, rows))
    if not chosen:
        return None
    with styled():
        losses = TRAIN in dataset
        lines = 2 + losses
        size = (max(8.0, 1.0 + 2.9 * len(chosen)), 1.2 + 2.0 * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(lines, len(chosen), squeeze=False, sharex=True, sharey="row")
        tasks, evaluations = answer_looks(dataset), dataset["eval_step"].values
        for column, row in zip(grid.T, chosen, strict=True):
            if losses:
                _losses(column[0], dataset, row, tasks)
            _measures(column[-2], dataset, row)
            divergence = even_mixture(dataset, superposition.KL, row)
            bands.median_curve(column[-1], evaluations, divergence, Look(GREY, "-", "", 1.4))
            for axes in column:
                mixing_shares.escapes(axes, dataset, row, tasks)
                _mixed_step(axes, dataset, row)
                panels.step_axis(axes, row.horizon)
                axes.set_xlabel("")
            column[-1].set_xlabel("optimiser steps")
            column[0].set_title(title(row))
        if losses:
            grid[0, 0].set_ylabel("training loss /\nno-context loss")
        even = superposition.mixture_name(dataset, superposition.evenest(dataset))
        grid[-2, 0].set_ylabel(f"prompts mixed {even}")
        grid[-2, 0].set_ylim(-0.05, None)
        grid[-1, 0].set_ylabel("KL (nats)")
        grid[-1, 0].set_ylim(bottom=0)
        _legend(figure, dataset, tasks)
    return figure


def even_mixture(dataset: xr.Dataset, name: str, row: Row) -> NDArray[np.float64]:
    """Return a measure of the evenest mixture, [run, eval] and what else it has."""
    return followed(dataset, name, row)[:, :, superposition.evenest(dataset)]


def measures(dataset: xr.Dataset, row: Row) -> dict[str, NDArray[np.float64]]:
    """Return the curves [run, eval] of the followed runs on the evenest mixture, by label."""
    number = len(superposition.answers(dataset))
    saturation = np.ma.masked_invalid(even_mixture(dataset, superposition.SATURATION, row))
    curves = (
        even_mixture(dataset, superposition.P, row).sum(axis=-1),
        even_mixture(dataset, superposition.COMPLETED, row) / number,
        even_mixture(dataset, superposition.ENTROPY, row) / math.log(number),
        saturation.mean(axis=-1).filled(np.nan),
    )
    return dict(zip(MEASURES, curves, strict=True))


def _measures(axes: Axes, dataset: xr.Dataset, row: Row) -> None:
    for label, curves in measures(dataset, row).items():
        bands.median_curve(axes, dataset["eval_step"].values, curves, MEASURES[label])
    axes.axhline(0.5, ls=":", lw=0.8, color=GREY)
    if math.isfinite(level := no_context(dataset, row)):
        axes.axhline(level, **NO_CONTEXT)


def _losses(axes: Axes, dataset: xr.Dataset, row: Row, tasks: dict[str, Look]) -> None:
    steps = dataset["step"].values
    names = [name for name in trained_tasks.trained(dataset, row.index) if name not in tasks]
    for name in (*names, *tasks):
        curves = averaged_losses(dataset.sel(task=name), TRAIN, row)
        if name in tasks:
            bands.median_curve(axes, steps, curves, tasks[name])
        else:
            axes.plot(steps, bands.quartiles(curves)[0], color=PALE, lw=0.7)
    for level in (0.8, 1.0):
        axes.axhline(level, ls=":", lw=0.8, color=GREY)


def _mixed_step(axes: Axes, dataset: xr.Dataset, row: Row) -> None:
    if STEP not in dataset:
        return
    steps = steps_of(dataset, row)["mixed"]
    at = float(np.median(np.where(np.isfinite(steps), steps, np.inf))) if steps.size else np.inf
    if np.isfinite(at):
        axes.axvline(at, **MIXED, zorder=0.5)


def _legend(figure: Figure, dataset: xr.Dataset, tasks: dict[str, Look]) -> None:
    handles = mixing_shares.group_handles(tasks | MEASURES, dataset)
    if by_task.COUNT in dataset:
        handles.append(Line2D([], [], label="P without context", **NO_CONTEXT))
    if STEP in dataset:
        handles.append(Line2D([], [], label="mixed step", **MIXED))
    legend_above(figure, handles)
