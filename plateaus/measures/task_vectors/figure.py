"""The figure of task vectors: what they do when patched in, and where those of mixtures lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from plateaus.measures.task_vectors import geometry
from plateaus.measures.task_vectors.geometry import Floats
from plateaus.report import bands, table, words
from plateaus.report.facets import headed_lines, legend_above, spaced
from plateaus.report.main_panels import note
from plateaus.report.selection import came_to_the_end, is_followed, last
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look, looks_of, styled

SUCCESS, USED, PATH, POINTS = "success", "layer_used", "path", "points"  # of a patch
REPLACE, SHIFT = "vector_", "vector_shift_"  # the patches: what begins the names of their records
BASELINE = "vector_baseline"
PROBABILITY, SHARE = "mixed_probability", "mixed_share"
OWN_SHARE = "vector_share"  # of the prompts of the points
DIFFER = "too few vectors differ at this layer"
PATCHES = {REPLACE: "in place of the stream", SHIFT: "added, less the mean"}
# A patch is not a task, and has none of their colours.
PATCH_LOOKS = {
    REPLACE: Look("#000000", "-", "v", 1.8),
    SHIFT: Look("0.45", (0, (4, 1.5)), "^", 1.8),
}
EDGES = (-0.5, 1.5)  # of positions: those beyond are arrows at the edge
MOST = 4  # settings under one another


def task_vectors(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return what task vectors do and where those of mixtures lie, at the last evaluation.

    Six panels a setting; seeds are thin lines and faint dots, their medians bold. (a) P(correct) of
    a query without examples, patched at a layer: a task's mean vector in place of its stream, or
    added to it, less the mean vector of such queries; a triangle is the layer used, that of the
    highest P on other prompts; dotted: without a patch. (b, c) Vectors at that layer, of the seed
    whose P there is the median one, in the planes of LDA and of PCA fitted on single tasks, a mark
    a prompt; mixtures are crosses, in colours between those of their tasks. (d, e) P of both
    answers along combinations of the first two tasks' vectors, by either patch; large marks:
    prompts that mix only these two, at their share. (f) Where a mixture's mean vector lies: the
    shares of the tasks' mean vectors in it against the shares of the examples. On the dotted
    diagonal mixtures lie between in proportion; triangles at the edge are further off. Mixtures of
    one task alone are of other prompts than the means. Hollow: at the layer of the second patch,
    where it is another.

    None where no vectors were taken, or no run came to the horizon.

    Source: paper 5, task vectors.
    """
    patches = [patch for patch in PATCHES if patch + SUCCESS in dataset]
    if not patches:
        return None
    chosen = spaced(came_to_the_end(dataset, rows, REPLACE + SUCCESS), MOST)
    if not chosen:
        return None
    palette = looks_of([str(name) for name in dataset["answer"].values])
    with styled():
        figure = Figure(figsize=(10.5, 0.8 + 5.4 * len(chosen)), layout="constrained")
        names = [words.lines(table.label(row.setting), 10.0, 9.0) for row in chosen]
        for part, row in zip(headed_lines(figure, names), chosen, strict=True):
            _setting(part, dataset, row, patches, list(palette.values()))
        handles = [
            Line2D([], [], color=look.color, ls=look.dash, ms=5, label=name, **look.mark)
            for name, look in palette.items()
        ]
        handles.append(Line2D([], [], color=GREY, marker="x", ls="", ms=5, label="mixtures"))
        handles += [
            PATCH_LOOKS[p].handle(PATCHES[p], marker=PATCH_LOOKS[p].marker) for p in patches
        ]
        legend_above(figure, handles)
    return figure


def _setting(
    part: SubFigure, dataset: xr.Dataset, row: Row, patches: Sequence[str], tasks: Sequence[Look]
) -> None:
    """Draw the panels of a setting."""
    (layers, *planes), (first, second, lying) = part.subplots(2, 3)
    _by_layer(layers, dataset, row, patches)
    for axes, letter, method in zip(planes, "bc", geometry.METHODS, strict=True):
        axes.set_title(f"({letter}) {method.upper()} of single tasks")
        _plane(axes, dataset, row, method, tasks)
    for axes, letter, patch in zip((first, second), "de", PATCHES, strict=True):
        if patch not in patches:
            axes.remove()
            continue
        axes.set_title(f"({letter}) combinations, {PATCHES[patch]}")
        _path(axes, dataset, row, patch, tasks)
    lying.set_title("(f) where mixtures lie")
    _positions(lying, dataset, row, patches, tasks)


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


def _by_layer(axes: Axes, dataset: xr.Dataset, row: Row, patches: Sequence[str]) -> None:
    layers = 1
    for patch in patches:
        look = PATCH_LOOKS[patch]
        success, used = (last(dataset, patch + name, row) for name in (SUCCESS, USED))
        layers = max(layers, int(np.isfinite(success).any(axis=0).sum()))
        bands.median_curve(axes, np.arange(success.shape[1]), success, look)
        for run, layer in zip(success, used, strict=True):
            if np.isfinite(layer):
                axes.plot(layer, run[int(layer)], color=look.color, ms=6, **look.mark, zorder=3)
    level = float(bands.quartiles(last(dataset, BASELINE, row))[0])
    axes.axhline(level, color=GREY, ls=":", lw=1)
    note: dict[str, Any] = {"color": GREY, "fontsize": 8, "ha": "right"}
    axes.text(1, level + 0.02, "no patch", **note, transform=axes.get_yaxis_transform())
    axes.set_xticks(range(0, layers, max(1, -(-(layers - 1) // 8))))
    axes.set_ylim(-0.03, 1.03)
    axes.set_title("(a) a task's vector patched in")
    axes.set_xlabel("layer of the residual stream")
    axes.set_ylabel("P(correct)")


def _typical(dataset: xr.Dataset, row: Row) -> int:
    """Return the place of the followed run whose P at the layer used is the median one."""
    success, used = (last(dataset, REPLACE + name, row) for name in (SUCCESS, USED))
    at = np.where(np.isfinite(used), used, 0).astype(int)
    reached = np.take_along_axis(success, at[:, None], axis=1)[:, 0]
    return int(np.argsort(reached, kind="stable")[(reached.size - 1) // 2])


def _plane(axes: Axes, dataset: xr.Dataset, row: Row, method: str, looks: Sequence[Look]) -> None:
    run = _typical(dataset, row)
    seed = dataset["seed"].values[is_followed(dataset, row)][run]
    axes.set_title(f"{axes.get_title(loc='left')}, seed {seed}")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("LDA axis 1" if method == "lda" else "principal component 1")
    if REPLACE + POINTS not in dataset:
        note(axes, "no points were kept")
        return
    points, share = last(dataset, REPLACE + POINTS, row)[run], _shares(dataset, row)[run]
    tasks = share.shape[-1]
    single, mixed = _clouds(points, tasks)
    if not geometry.separable(single):
        note(axes, DIFFER)
        return
    try:
        dots, crosses = geometry.plane(single, mixed, method)
    except ImportError as error:
        note(axes, words.lines(str(error), 2.4))
        return
    colors = np.array([to_rgb(look.color) for look in looks[:tasks]])
    for cloud, weights in zip(crosses, share, strict=True):
        mixture = np.clip(weights @ colors, 0, 1)
        axes.plot(*cloud.T, ls="", marker="x", ms=3.5, mew=0.8, color=mixture, alpha=0.7)
    for cloud, look in zip(dots, looks, strict=False):
        axes.plot(*cloud.T, ls="", ms=4.5, color=look.color, **look.mark)
    second = "axis 2" if tasks > 2 else "rest, component 1"
    axes.set_ylabel(f"LDA {second}" if method == "lda" else "principal component 2")


def _path(axes: Axes, dataset: xr.Dataset, row: Row, patch: str, looks: Sequence[Look]) -> None:
    path = last(dataset, patch + PATH, row)[..., :2]  # [seed, steps, 2]
    step = np.linspace(0, 1, path.shape[1])
    mixed, share = last(dataset, PROBABILITY, row), last(dataset, SHARE, row)
    only = np.flatnonzero(np.nanmax(np.abs(share[..., 2:]), axis=(0, 2), initial=0.0) == 0)
    for k, look in enumerate(looks[:2]):
        bands.median_curve(axes, step, path[..., k], look)
        for number in only:
            at = float(bands.quartiles(share[:, number, 1])[0])
            bands.median_point(axes, at, mixed[:, number, k], look)
    names = [str(name) for name in dataset["answer"].values]
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel(words.lines(f"share of {names[1]}, against {names[0]}", 3.0, 9.0))
    axes.set_ylabel("P(answer)")


def _positions(
    axes: Axes, dataset: xr.Dataset, row: Row, patches: Sequence[str], looks: Sequence[Look]
) -> None:
    axes.set_xlabel("share of the examples")
    axes.set_ylabel("share of the task's mean vector")
    if REPLACE + POINTS not in dataset:
        note(axes, "no points were kept")
        return
    axes.plot([0, 1], [0, 1], ls=":", color=GREY, lw=1)
    axes.set_ylim(*EDGES)
    kept = [patch for patch in patches if patch + POINTS in dataset]
    found = {patch: mixture_positions(dataset, row, patch) for patch in kept}
    if not any(len(positions) for positions, _ in found.values()):
        note(axes, DIFFER)
        return
    texts = []
    for patch, (positions, shares) in found.items():
        again = patch != REPLACE and np.array_equal(positions, found[REPLACE][0])
        if again or not len(positions):
            continue
        tasks = positions.shape[-1]
        hollow = {} if patch == REPLACE else {"mfc": "white"}
        for k in range(1, 2) if tasks == 2 else range(tasks):  # of two, the first's is 1 less it
            for number in range(positions.shape[1]):
                at = float(bands.quartiles(shares[:, number, k])[0])
                _position(axes, at, positions[:, number, k], looks[k], hollow)
        apart = np.abs(positions - shares).mean(axis=(1, 2))
        texts.append(f"{np.median(apart):.2f}" + " (hollow)" * bool(hollow))
    text = f"mean |difference|, median of seeds {', '.join(texts)}"
    text = words.lines(text, 2.6)
    axes.text(0.02, 0.98, text, fontsize=8, va="top", transform=axes.transAxes)


def _position(axes: Axes, at: float, values: Floats, look: Look, hollow: dict[str, Any]) -> None:
    """Draw seeds and their median, arrows for what is beyond the edges."""
    low, high = EDGES
    dots = np.where((values >= low) & (values <= high), values, np.nan)
    axes.plot(np.full(dots.shape, at), dots, ls="", marker=".", ms=4, color=look.color, alpha=0.4)
    for marker, beyond, edge in (
        ("v", values < low, low + 0.06),
        ("^", values > high, high - 0.06),
    ):
        if beyond.any():
            axes.plot([at], [edge], marker=marker, ms=4, color=look.color, alpha=0.4, mew=0)
    middle = float(bands.quartiles(values)[0])
    if low <= middle <= high:
        style: dict[str, Any] = {"color": look.color, "ms": 5.5, **look.mark}
        axes.plot([at], [middle], **(style | hollow | ({"mec": look.color} if hollow else {})))
