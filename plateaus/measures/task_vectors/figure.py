"""The figure of task vectors: what they do when patched in, and where those of mixtures lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plateaus.measures.task_vectors import geometry
from plateaus.measures.task_vectors.geometry import Floats
from plateaus.report import survival, table
from plateaus.report.facets import headed_lines, spaced
from plateaus.report.selection import came_to_the_end, interval, is_followed, last
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, PALE, styled
from plateaus.report.terminal import bracketed

SUCCESS, USED, PATH, POINTS = "success", "layer_used", "path", "points"  # of a patch
REPLACE, SHIFT = "vector_", "vector_shift_"  # the patches: what begins the names of their records
BASELINE = "vector_baseline"
PROBABILITY, SHARE = "mixed_probability", "mixed_share"
OWN_SHARE = "vector_share"  # of the prompts of the points
MOST_ROWS = 4  # settings and patches under one another
PATCHES = {REPLACE: "in place of the stream", SHIFT: "moved by vector less mean"}
COLORS = ("C0", "C1", "C2", "C3", "C4", "C5", "C6", "C8", "C9")  # of tasks; C7 is grey
TITLES = (
    "(a)",  # and the patch
    "(b) LDA of single tasks",
    "(c) PCA of single tasks",
    "(d) combinations, • mixed prompts",
    "(e) where mixtures lie",
)


def task_vectors(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return what task vectors do and where those of mixtures lie, at the last evaluation.

    A line of panels a setting and patch, at most four. (a) P(correct) of a query without examples,
    patched at a layer: its stream replaced by a task's mean vector, or moved by the difference
    from the mean of such queries; seeds thin, their mean bold, a mark at the layer used; the dashed
    line is without a patch. (b, c) Of the first such seed, vectors at that layer in the
    planes of LDA and PCA fitted on single tasks (dots); mixtures (crosses) have colours between.
    (d) P of both answers along combinations of the first two tasks' vectors, and in prompts that
    mix only these. (e) Shares of the tasks' means nearest to a mixture's mean vector, against
    shares of the examples, with 95% t intervals over seeds: on the diagonal, mixtures lie between
    in proportion. Mixtures of one task alone are of other prompts than the means.

    None where no vectors were taken, or no run came to the horizon.

    Source: paper 5, task vectors.
    """
    patches = [patch for patch in PATCHES if patch + SUCCESS in dataset]
    if not patches:
        return None
    rows = came_to_the_end(dataset, rows, REPLACE + SUCCESS)
    chosen = spaced(rows, MOST_ROWS // len(patches))
    if not chosen:
        return None
    drawn = [(row, patch) for row in chosen for patch in patches]
    with styled():
        figure = Figure(figsize=(14, 0.5 + 2.9 * len(drawn)), layout="constrained")
        parts = headed_lines(
            figure, [table.label(row.setting) for row, _ in drawn], weight="normal"
        )
        for part, (row, patch) in zip(parts, drawn, strict=True):
            grid = part.subplots(1, 5)
            for axes, title in zip(grid, TITLES, strict=True):
                axes.set_title(title)
            grid[0].set_title(f"{TITLES[0]} {PATCHES[patch]}")
            _by_layer(grid[0], dataset, row, patch)
            for axes, method in zip(grid[1:3], geometry.METHODS, strict=True):
                _plane(axes, dataset, row, patch, method)
            _path(grid[3], dataset, row, patch)
            _positions(grid[4], dataset, row, patch)
        names = [str(name) for name in dataset["answer"].values]
        handles = [
            Line2D([], [], color=_color(k), marker="o", lw=1.8, ms=5, label=name)
            for k, name in enumerate(names)
        ]
        handles.append(Line2D([], [], color=GREY, marker="x", ls="", ms=5, label="mixtures"))
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure


def mixture_positions(dataset: xr.Dataset, row: Row, patch: str = REPLACE) -> tuple[Floats, Floats]:
    """Return the positions and the shares of the examples, both [seed, S, K], of followed runs.

    The position is that of the mean vector of a mixture, see `geometry.positions`, at the
    last evaluation, at the patch's layer; runs whose single tasks' vectors do not differ are left
    out.
    """
    shares = _shares(dataset, row)
    positions = np.full(shares.shape, np.nan)
    usable = np.zeros(len(shares), bool)
    for run, points in enumerate(last(dataset, patch + POINTS, row)):
        single, mixed = _clouds(points, shares.shape[-1])
        usable[run] = geometry.separable(single)
        if usable[run]:
            positions[run] = geometry.positions(single, mixed.mean(axis=1))
    return positions[usable], shares[usable]


def _shares(dataset: xr.Dataset, row: Row) -> Floats:
    """Return the shares of the examples of the points' own prompts [seed, S, K], if recorded."""
    if OWN_SHARE not in dataset:
        return last(dataset, SHARE, row)
    return last(dataset, OWN_SHARE, row)[:, dataset.sizes["answer"] :]


def _clouds(points: Floats, tasks: int) -> tuple[Floats, Floats]:
    """Return single [K, n, W] and mixed [S, n, W], without coordinates of wider settings."""
    used = points[..., np.isfinite(points).any(axis=(0, 1))]
    return used[:tasks], used[tasks:]


def _by_layer(axes: Axes, dataset: xr.Dataset, row: Row, patch: str) -> None:
    success, used = (last(dataset, patch + name, row) for name in (SUCCESS, USED))
    for run, layer in zip(success, used, strict=True):
        axes.plot(run, color=PALE, lw=0.8)
        if np.isfinite(layer):
            axes.plot(
                layer, run[int(layer)], marker="v", color=GREY, ms=6, mec="white", ls="", zorder=3
            )
    mean, _ = survival.mean_band(success)
    axes.plot(mean, color="k", lw=2)
    level = interval(last(dataset, BASELINE, row)).value
    axes.axhline(level, color=GREY, ls="--", lw=1)
    note: dict[str, Any] = {"color": GREY, "fontsize": 8, "ha": "right"}
    axes.text(1, level + 0.02, "no patch", **note, transform=axes.get_yaxis_transform())
    layers = int(np.isfinite(mean).sum())
    axes.set_xticks(range(0, layers, max(1, -(-(layers - 1) // 8))))
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("layer of the residual stream")
    axes.set_ylabel("P(correct)")


def _plane(axes: Axes, dataset: xr.Dataset, row: Row, patch: str, method: str) -> None:
    seed = dataset["seed"].values[is_followed(dataset, row)][0]
    axes.set_title(f"{axes.get_title(loc='left')}, seed {seed}")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("LDA axis 1" if method == "lda" else "principal component 1")
    if patch + POINTS not in dataset:
        _write(axes, "no points were kept")
        return
    points, share = last(dataset, patch + POINTS, row)[0], _shares(dataset, row)[0]
    tasks = share.shape[-1]
    single, mixed = _clouds(points, tasks)
    if not geometry.separable(single):
        _write(axes, "too few vectors differ at this layer")
        return
    try:
        dots, crosses = geometry.plane(single, mixed, method)
    except ImportError as error:
        _write(axes, str(error))
        return
    colors = np.array([to_rgb(_color(k)) for k in range(tasks)])
    for cloud, weights in zip(crosses, share, strict=True):
        mixture = np.clip(weights @ colors, 0, 1)
        axes.plot(*cloud.T, ls="", marker="x", ms=3.5, mew=0.8, color=mixture, alpha=0.7)
    for cloud, color in zip(dots, colors, strict=True):
        axes.plot(*cloud.T, ls="", marker="o", ms=4.5, color=color, mec="white", mew=0.4)
    second = "axis 2" if tasks > 2 else "rest, component 1"
    axes.set_ylabel(f"LDA {second}" if method == "lda" else "principal component 2")


def _path(axes: Axes, dataset: xr.Dataset, row: Row, patch: str) -> None:
    path = last(dataset, patch + PATH, row)[..., :2]  # [seed, steps, 2]
    step = np.linspace(0, 1, path.shape[1])
    mixed, share = last(dataset, PROBABILITY, row), last(dataset, SHARE, row)
    only = np.flatnonzero(np.nanmax(np.abs(share[..., 2:]), axis=(0, 2), initial=0.0) == 0)
    for k in range(2):
        for run in path[..., k]:
            axes.plot(step, run, color=_color(k), lw=0.7, alpha=0.4)
        axes.plot(step, survival.mean_band(path[..., k])[0], color=_color(k), lw=2)
        for number in only:
            _bar(axes, share[:, number, 1], mixed[:, number, k], _color(k))
    names = [str(name) for name in dataset["answer"].values]
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel(f"share of {names[1]}, against {names[0]}")
    axes.set_ylabel("P(answer)")


def _positions(axes: Axes, dataset: xr.Dataset, row: Row, patch: str) -> None:
    axes.set_xlabel("share of the examples")
    axes.set_ylabel("share of the task's mean vector")
    if patch + POINTS not in dataset:
        _write(axes, "no points were kept")
        return
    positions, shares = mixture_positions(dataset, row, patch)
    if not len(positions):
        _write(axes, "too few vectors differ at this layer")
        return
    axes.plot([0, 1], [0, 1], ls=":", color=GREY, lw=1)
    tasks = positions.shape[-1]
    for k in range(1, 2) if tasks == 2 else range(tasks):  # of two, the first's is 1 less it
        for number in range(positions.shape[1]):
            beside = 0.012 * (k - (tasks - 1) / 2) * (tasks > 2)  # where points would be one
            _bar(axes, shares[:, number, k] + beside, positions[:, number, k], _color(k))
    apart = np.abs(positions - shares).mean(axis=(1, 2))
    difference = bracketed(survival.mean_interval(apart), lambda value: f"{value:.2f}")
    text = f"mean |difference| {difference}"
    axes.text(0.02, 0.98, text, fontsize=8, va="top", transform=axes.transAxes)


def _bar(axes: Axes, x: Floats, y: Floats, color: str) -> None:
    """Draw the mean over seeds with its interval."""
    middle, low, high = interval(y)
    at = interval(x).value
    axes.plot([at, at], [low, high], color=color, lw=1)
    axes.plot(at, middle, marker="o", ls="", color=color, ms=4.5, mec="white", mew=0.5)


def _write(axes: Axes, text: str) -> None:
    """Write why there is nothing to draw in the middle of the axes."""
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7, "color": GREY}
    axes.text(0.5, 0.5, text, wrap=True, transform=axes.transAxes, **look)


def _color(k: int) -> str:
    return COLORS[k % len(COLORS)]
