"""The panels of mixed prompts: each draws one setting into given axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import PowerNorm
from numpy.typing import NDArray

from plateaus.measures.superposition import rows as superposition
from plateaus.measures.superposition.majority import majority
from plateaus.report import bands, survival
from plateaus.report.selection import last
from plateaus.report.statistics import Row
from plateaus.report.style import CATEGORIES, GREY, PALE, Look, looks_of

PAPER = OWN = CATEGORIES[3]
ONE = Look(CATEGORIES[0], "-", "o", 1.5)  # of a quantity that has no name beside it
SWITCHING = Look(CATEGORIES[1], (0, (5, 1.5)), "s", 1.5)
DASHED = (0, (4, 3))
FOLLOWED = (3, 5, 9)  # last examples of whose majority the curve is drawn
FINE = np.linspace(0, 1, 101)
NORM = PowerNorm(0.5, vmin=0, vmax=1)  # one prompt in a hundred is still seen


def mean(axes: Axes, dataset: xr.Dataset, row: Row) -> None:
    """Draw the mean P of the first task against its share: seeds, their median, what to compare."""
    names, order = superposition.answers(dataset), _order(dataset)
    share, p = (
        last(dataset, name, row)[:, order, 0] for name in (superposition.SHARE, superposition.P)
    )
    axes.plot([0, 1], [0, 1], ls=DASHED, lw=1, color=GREY, label="superposition: P = d")
    longest = superposition.examples(dataset, row)
    if superposition.independent(dataset, row):
        for followed in FOLLOWED:
            if longest is None or followed <= longest:
                label = f"no data: majority of the last {', '.join(map(str, FOLLOWED))}"
                curve = majority(FINE, followed)
                dots: dict[str, Any] = {"lw": 0.9, "ls": (0, (1, 1.5)), "color": GREY}
                axes.plot(FINE, curve, **dots, zorder=0.5, label=label)
    paper = superposition.released(names)
    label = "released models" if paper else ""
    crosses: dict[str, Any] = {"ms": 7, "mew": 1.6, "color": PAPER, "zorder": 4, "label": label}
    axes.plot(list(paper), list(paper.values()), "x", **crosses)
    for d, run in zip(share, p, strict=True):
        axes.plot(d, run, lw=0.6, color=ONE.color, alpha=0.4, label="one seed")
    at, middle = (bands.quartiles(values)[0] for values in (share, p))
    axes.plot(at, middle, **ONE.line, **ONE.mark, ms=5.5, label="median of the seeds")
    axes.set_xlim(-0.05, 1.05)
    axes.set_ylim(-0.05, 1.05)


def prompts(axes: Axes, dataset: xr.Dataset, row: Row) -> QuadMesh:
    """Draw how P of the first task is spread over prompts, a strip a mixture, and its share."""
    order = _order(dataset)
    shares = superposition.named_shares(dataset)[order, 0]
    shares, first = np.unique(shares, return_index=True)  # a mixture may be asked for twice
    edges = _edges(shares)
    image = _strips(axes, edges, last(dataset, superposition.HISTOGRAM, row)[:, order, 0][:, first])
    _mark_shares(axes, shares, shares)
    axes.set_xlim(edges[0], edges[-1])
    return image


def between(axes: Axes, dataset: xr.Dataset, row: Row) -> None:
    """Draw saturation and switching against the share, where there is more than one task."""
    order = [m for m in _order(dataset) if superposition.several(dataset)[m]]
    share = bands.quartiles(last(dataset, superposition.SHARE, row)[:, order, 0])[0]
    _band(axes, dataset)
    saturation = last(dataset, superposition.SATURATION, row)[:, order, 0]
    switching = superposition.switching(dataset, row)[:, order]
    _points(axes, share, saturation, ONE, "saturation")
    _points(axes, share, switching, SWITCHING, "switching")
    axes.set_xlim(-0.05, 1.05)


def recency(axes: Axes, dataset: xr.Dataset, row: Row) -> None:
    """Draw what the example j back adds to P of its task, mean over the tasks, evenest mixture."""
    effect = superposition.recency(dataset, row)[:, superposition.evenest(dataset)]
    effect = np.ma.masked_invalid(effect).mean(axis=-1).filled(np.nan)  # [run, j]
    back = np.arange(1, effect.shape[1] + 1)
    axes.axhline(0, lw=0.7, color=PALE)
    number = superposition.examples(dataset, row)
    if number is not None:  # with exact counts an example changes no share
        even = 1 / number if superposition.independent(dataset, row) else 0.0
        axes.axhline(even, ls=DASHED, lw=1, color=GREY, label="superposition: 1/m an example")
    _points(axes, back, effect, ONE)
    axes.set_xlim(0.4, back[-1] + 0.6)
    axes.set_xticks(back[:: 1 if back.size < 6 else 2] if back.size % 2 else [1, *back[1::2]])
    finite = effect[np.isfinite(effect)]
    axes.set_ylim(min(-0.2, float(finite.min(initial=0)) - 0.05), 1.05)


def means(axes: Axes, dataset: xr.Dataset, row: Row) -> None:
    """Draw the mean P of each of the K answers, a group of bars a mixture, and their shares.

    A bar is the median over seeds, a dot a seed.
    """
    palette = answer_looks(dataset)
    p, share = (last(dataset, name, row) for name in (superposition.P, superposition.SHARE))
    width = 0.8 / len(palette)
    for k, (name, look) in enumerate(palette.items()):
        at = np.arange(p.shape[1]) + width * (k - (len(palette) - 1) / 2)
        middle = np.nan_to_num(bands.quartiles(p[..., k])[0])
        axes.bar(at, middle, 0.9 * width, color=look.color, alpha=0.55, label=name)
        for run in p[..., k]:
            axes.plot(at, run, ".", ms=2.5, color="black", alpha=0.5)
        in_prompts = bands.quartiles(share[..., k])[0]
        axes.hlines(in_prompts, at - 0.55 * width, at + 0.55 * width, color=OWN, lw=1.4, zorder=4)
    labels = [superposition.mixture_name(dataset, m) for m in range(dataset.sizes["mixture"])]
    crowded = sum(map(len, labels)) > 40
    axes.set_xticks(range(len(labels)), labels, rotation=40 if crowded else 0)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_ylim(0, 1.05)


def prompts_of_each(axes: Axes, dataset: xr.Dataset, row: Row) -> QuadMesh:
    """Draw how P of each answer is spread over prompts of the evenest mixture, and its share."""
    even = superposition.evenest(dataset)
    spread = last(dataset, superposition.HISTOGRAM, row)[:, even]
    places = np.arange(spread.shape[1])
    image = _strips(axes, np.arange(spread.shape[1] + 1) - 0.5, spread)
    _mark_shares(axes, places, bands.quartiles(last(dataset, superposition.SHARE, row)[:, even])[0])
    name_answers(axes, superposition.answers(dataset))
    return image


def between_of_each(axes: Axes, dataset: xr.Dataset, row: Row) -> None:
    """Draw the saturation of each answer, and the switching between them, evenest mixture."""
    even = superposition.evenest(dataset)
    _band(axes, dataset)
    saturation = last(dataset, superposition.SATURATION, row)[:, even]
    for place, values in enumerate(saturation.T):
        bands.median_point(axes, place, values, ONE, label="saturation")
    switching = superposition.switching(dataset, row)[:, even]
    ends = np.array([-0.5, saturation.shape[1] - 0.5])
    level = np.broadcast_to(switching[:, None], (switching.size, 2))
    bands.median_curve(axes, ends, level, SWITCHING, label="switching")
    name_answers(axes, superposition.answers(dataset))


def answer_looks(dataset: xr.Dataset) -> dict[str, Look]:
    """Return the names of the K tasks and their looks."""
    return looks_of(superposition.answers(dataset))


def name_answers(axes: Axes, names: Sequence[str]) -> None:
    """Make the horizontal axis one of the K answers."""
    crowded = sum(map(len, names)) > 22
    axes.set_xticks(range(len(names)), names, rotation=40 if crowded else 0)
    axes.set_xlim(-0.5, len(names) - 0.5)


def _order(dataset: xr.Dataset) -> NDArray[np.int_]:
    """Return the mixtures in the order of the first task's share."""
    return np.argsort(superposition.named_shares(dataset)[:, 0], kind="stable")


def _edges(places: NDArray) -> NDArray[np.float64]:
    """Return where strips around ordered places end: between them, and as far on the outside."""
    if places.size == 1:
        return np.array([places[0] - 0.05, places[0] + 0.05])
    inner = (places[1:] + places[:-1]) / 2
    return np.r_[2 * places[0] - inner[0], inner, 2 * places[-1] - inner[-1]]


def _strips(axes: Axes, edges: NDArray, spread: NDArray) -> QuadMesh:
    """Draw shares of prompts [run, strip, bin], mean over runs, as columns of a map."""
    shown, _ = survival.mean_band(spread)
    bins = np.linspace(0, 1, spread.shape[-1] + 1)
    image = axes.pcolormesh(edges, bins, shown.T, cmap="Blues", norm=NORM)
    axes.set_ylim(-0.05, 1.05)
    return image


def _mark_shares(axes: Axes, x: NDArray, share: NDArray) -> None:
    dash: dict[str, Any] = {"ms": 9, "mec": OWN, "mew": 1.6, "ls": ""}
    axes.plot(x, share, "_", label="superposition: P = the share in the prompt", **dash)


def _band(axes: Axes, dataset: xr.Dataset) -> None:
    """Shade the saturation of the released models, where tasks are like theirs."""
    if superposition.released(superposition.answers(dataset)):
        label = "saturation, released models"
        ends = superposition.RELEASED_SATURATION
        axes.axhspan(*ends, color=PAPER, alpha=0.25, lw=0, label=label)


def _points(axes: Axes, x: NDArray, values: NDArray, look: Look, label: str = "") -> None:
    """Draw the medians over runs of [run, x], and how far runs are apart."""
    bands.median_curve(axes, x, values, look, label=label, ms=5, **look.mark)
