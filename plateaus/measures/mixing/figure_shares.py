"""The figure of the shares that a mixer gives: single seeds, all, and whether they cycle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from plateaus.measures.by_task import rows as by_task
from plateaus.measures.mixing import rows as mixing
from plateaus.report import bands, panels, survival, table, words
from plateaus.report.cells import cell
from plateaus.report.facets import headed_lines, legend_above, spaced
from plateaus.report.selection import followed, is_followed, settings_with
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look, looks, looks_of, styled

MOST = 12  # settings under one another
SINGLE = 2  # seeds in a panel of their own
LONGEST = 0.2  # of the run: the longest lag
STILL = 1e-3  # shares that never differ by more do not move


def mixture(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the shares of the groups over training, a line of panels a setting.

    (a, b) Two single seeds. (c) All seeds: the median, and their middle half; of fewer than 8 each
    seed, thin. Where shares go in a cycle whose phase differs by seed, (c) shows none. (d) The
    cosine of the shares' deviation from equal shares with that some steps later, mean over the run:
    1 where shares stay, -1 and then 1 where they go to and fro; thin seeds, their median. A
    triangle is the step at which a group leaves its plateau, in (c) the median over seeds, hollow
    where some never do; one that points to the right, at the edge: that half of the runs never do
    by then. Horizontal and dotted: equal shares. Settings whose shares do not move are left out.
    """
    rows = settings_with(dataset, rows, mixing.MIXTURE)
    moving = [row for row in rows if _moves(dataset, row)]
    if not moving or not mixing.adapts(dataset):
        return None
    groups, chosen = palette(dataset), spaced(moving, MOST)
    names = [table.label(row.setting) for row in chosen]
    with styled():
        figure = Figure(figsize=(10.5, 1.1 + 2.2 * len(chosen)), layout="constrained")
        names = [words.lines(name, 10.0, 9.0) for name in names]
        for part, row in zip(headed_lines(figure, names), chosen, strict=True):
            first, *_ = grid = part.subplots(1, SINGLE + 2)
            _shares(grid[:-1], dataset, row, groups)
            _cosines(grid[-1], dataset, row)
            first.set_ylabel("share of the\ndraws or losses")
        left_out = _left_out(len(moving) - len(chosen), len(rows) - len(moving))
        if left_out:
            figure.supxlabel(left_out, fontsize=words.SIZE, color=GREY)
        legend_above(figure, group_handles(groups, dataset))
    return figure


def _left_out(many: int, still: int) -> str:
    """Return how many settings are not drawn, and why."""
    texts = [f"{many} more whose shares move"] * (many > 0)
    texts += [f"{still} whose shares do not move"] * (still > 0)
    return f"settings not drawn: {', '.join(texts)}" if texts else ""


def _moves(dataset: xr.Dataset, row: Row) -> bool:
    shares = followed(dataset, mixing.MIXTURE, row)
    finite = np.ma.masked_invalid(shares)
    return bool(np.ma.filled(np.ma.ptp(finite, axis=1), 0.0).max(initial=0.0) > STILL)


def _shares(grid: Sequence[Axes], dataset: xr.Dataset, row: Row, groups: dict[str, Look]) -> None:
    """Draw the shares of single seeds, then of all."""
    values = followed(dataset, mixing.MIXTURE, row)
    seeds = dataset["seed"].values[is_followed(dataset, row)]
    for place, axes in enumerate(grid):
        single = axes is not grid[-1]
        if single and place >= len(seeds):
            axes.remove()
            continue
        shown = values[place : place + 1] if single else values
        spread(axes, dataset, shown, groups)
        escapes(axes, dataset, row, groups, int(seeds[place]) if single else None)
        axes.axhline(1 / len(groups), ls=":", lw=0.8, color=GREY)
        title = f"seed {seeds[place]}" if single else f"all {len(seeds)} seeds"
        axes.set_title(f"({'abc'[place]}) {title}")
        axes.set_ylim(-0.03, 1.03)
        axes.tick_params(labelleft=place == 0)
        panels.step_axis(axes, row.horizon, most=3)


def _cosines(axes: Axes, dataset: xr.Dataset, row: Row) -> None:
    steps = dataset["step"].values
    values = followed(dataset, mixing.MIXTURE, row)
    lags = max(2, int(LONGEST * steps.size))
    curves = cosines(values, lags)
    each = float(steps[1] - steps[0]) if steps.size > 1 else 1.0
    axes.axhline(0, ls=":", lw=0.8, color=GREY)
    bands.median_curve(axes, each * np.arange(lags + 1), curves, looks(1, baseline=0)[0])
    axes.set_ylim(-1.05, 1.05)
    axes.set_title("(d) is it a cycle?")
    axes.set_ylabel("cosine with the shares\nso many steps later")
    panels.step_axis(axes, each * lags, most=3)
    axes.set_xlabel("lag in optimiser steps")


def cosines(shares: NDArray, lags: int) -> NDArray[np.float64]:
    r"""Return $\langle \cos(d_t, d_{t + \ell}) \rangle_t$ [run, lag], $\ell = 0 .. $ `lags`.

    $d_t$ [G] is the deviation of the shares [run, step, G] from equal ones; steps at which they are
    equal, or not recorded, count for no pair.

    >>> turns = np.array([[[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.1, 0.9]]])
    >>> cosines(turns, 2).round(6).tolist()
    [[1.0, -1.0, 1.0]]
    """
    away = shares - 1 / shares.shape[-1]
    size = np.sqrt(np.sum(away**2, axis=-1, keepdims=True))
    unit = away / np.where(size > STILL, size, np.nan)
    length = shares.shape[1]
    pairs = [np.sum(unit[:, : length - lag] * unit[:, lag:], axis=-1) for lag in range(lags + 1)]
    return np.stack([survival.mean_band(each.T)[0] for each in pairs], axis=1)


def palette(dataset: xr.Dataset) -> dict[str, Look]:
    """Return the names of the groups and their looks."""
    return looks_of([str(name) for name in dataset["task"].values])


def spread(axes: Axes, dataset: xr.Dataset, values: NDArray, groups: dict[str, Look]) -> None:
    """Draw the median over runs of each group's curve [run, step, G], and how far runs differ.

    In steps: shares and gains change at the end of a round, recorded at the end of a window.
    """
    steps = dataset["step"].values
    for g, look in enumerate(groups.values()):
        curves = values[..., g]
        there = np.isfinite(curves).any(axis=0)
        if there.any():
            bands.median_curve(axes, steps[there], curves[:, there], look, drawstyle="steps-pre")


def escapes(
    axes: Axes, dataset: xr.Dataset, row: Row, groups: dict[str, Look], seed: int | None = None
) -> None:
    """Mark the step, from the run's beginning, at which each group leaves its plateau.

    Of one seed, or the Kaplan-Meier median over the runs: a triangle, hollow where some never
    leave; at the right edge and pointing there where the median is not reached.
    """
    if by_task.ESCAPE not in dataset:
        return
    for number, (task, look) in enumerate(groups.items()):
        seeds, times, escaped = by_task.passages(dataset, row.index, task, by_task.ESCAPE)
        chosen = np.ones(seeds.shape, bool) if seed is None else seeds == seed
        if not chosen.any() or by_task.refusal(dataset, row.index, task, by_task.ESCAPE):
            continue
        start = cell(dataset.sel(task=task), by_task.START, row.index)
        times = times + start[np.isin(dataset["seed"].values, seeds)]
        at = survival.median_time(times[chosen], escaped[chosen]).value
        mark = look.color if escaped[chosen].all() else "white"
        style: dict[str, Any] = {"ms": 6, "mfc": mark, "mec": look.color, "ls": ""}
        if np.isfinite(at):
            axes.plot([at], [0.965], marker="v", transform=axes.get_xaxis_transform(), **style)
            axes.axvline(at, color=look.color, lw=0.6, ls=(0, (1, 2)))
        else:
            beside = 0.965 - 0.08 * number
            axes.plot([1], [beside], marker=">", transform=axes.transAxes, clip_on=False, **style)


def group_handles(groups: dict[str, Look], dataset: xr.Dataset) -> list[Any]:
    """Return the entries of groups in a legend, and of what `spread` and `escapes` draw of them."""
    handles: list[Any] = [look.handle(task.replace("_", " ")) for task, look in groups.items()]
    if dataset.sizes["seed"] >= survival.FEWEST_RUNS:
        handles.append(Patch(color=GREY, alpha=0.25, lw=0, label="middle half of the seeds"))
    elif dataset.sizes["seed"] > 1:
        handles.append(Line2D([], [], color=GREY, lw=0.5, alpha=0.6, label="each seed"))
    if by_task.ESCAPE in dataset:
        mark: dict[str, Any] = {"color": GREY, "marker": "v", "ls": ":", "lw": 0.6}
        handles.append(Line2D([], [], label="escape", **mark))
        never: dict[str, Any] = {"mfc": "white", "mec": GREY, "marker": ">", "ls": ""}
        handles.append(Line2D([], [], label="no escape", **never))
    return handles
