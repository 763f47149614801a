"""Figures of attention heads: where they look, what they are needed for, which come back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.colors import Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy import stats

from plateaus.report import bands, panels, survival, table, words
from plateaus.report.cells import cell
from plateaus.report.facets import legend_above, spaced, title
from plateaus.report.heat_map import heat_map
from plateaus.report.selection import came_to_the_end, is_followed, last
from plateaus.report.statistics import Row
from plateaus.report.style import CATEGORIES, GREY, Look, styled

SCORE = "attention_retrospective"
SCORES = {
    SCORE: "y to its own x",
    "attention_previous": "previous token",
    "attention_induction": "induction",
}
RANDOM, REMOVED = "ablation_loss_random", "ablation_loss_retrospective"
OTHERS = "as many random others removed"
KINDS = {  # label -> what is drawn, and how
    "intact": ("test_loss", Look(CATEGORIES[2], "", "o", 1.0)),
    "retrospective heads removed": (REMOVED, Look(CATEGORIES[3], "", "v", 1.0)),
    OTHERS: (RANDOM, Look(GREY, "", "s", 1.0)),
}
LONGEST = 16  # letters of a name under a column
SHARE = 12  # of the heads one in so many is compared, where no number of them is given


def scores(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return every head's attention scores at the end, layer by head, a line of maps a setting.

    The median over seeds of how much of a head's attention goes, on average: from an example's y to
    its own x; from a token to the one before it; from a token to the one after its last occurrence
    (induction). Of more than 6 settings, 6 evenly chosen ones.
    """
    names = [name for name in SCORES if came_to_the_end(dataset, rows, name)]
    if not names:
        return None
    chosen = spaced(rows)
    with styled():
        size = (1.4 + 2.7 * len(names), 0.7 + 2.1 * len(chosen))
        layout = ConstrainedLayoutEngine(rect=(0, 0.015, 1, 0.985))  # for the bars' labels
        figure = Figure(figsize=size, layout=layout)
        grid = figure.subplots(len(chosen), len(names), squeeze=False)
        for column, name in enumerate(names):
            maps = [bands.quartiles(last(dataset, name, row))[0] for row in chosen]
            finite = np.concatenate([each[np.isfinite(each)] for each in maps])
            top = float(finite.max()) if finite.size else 1.0
            for axes, values in zip(grid[:, column], maps, strict=True):
                image = axes.imshow(values, vmin=0, vmax=top, aspect="auto", cmap="viridis")
                axes.set_xticks(_ticks(values.shape[1]))
                axes.set_yticks(_ticks(values.shape[0]))
            figure.colorbar(
                image,
                ax=list(grid[:, column]),
                location="bottom",
                shrink=0.8,
                label="share of the attention",
            )
            grid[0, column].set_title(SCORES[name])
            grid[-1, column].set_xlabel("head")
        for axes, row in zip(grid[:, 0], chosen, strict=True):
            axes.set_ylabel(f"{title(row, 1.7)}\nlayer" if row.setting else "layer")
    return figure


def ablation(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the loss at the end, whole, without the most retrospective heads, without others.

    Retrospective heads look from an example's y back to its own x. Medians over seeds, whose losses
    are the faint dots; without random others each dot is the mean over the draws of as many heads,
    and the line holds 95% of all draws of all seeds.
    """
    if not came_to_the_end(dataset, rows, REMOVED):
        return None
    with styled():
        height = 0.4 * max(3, len(rows))
        figure = Figure(figsize=(7.5, 1.6 + height), layout="constrained")
        axes = figure.subplots()
        for number, (label, (name, look)) in enumerate(KINDS.items()):
            for place, row in enumerate(rows):
                at, values = place + 0.24 * (number - 1), last(dataset, name, row)
                if values.ndim == 2:
                    finite = values[np.isfinite(values)]
                    if finite.size:
                        ends = np.quantile(finite, (0.025, 0.975))
                        axes.plot(ends, [at] * 2, color=look.color, lw=1.2, alpha=0.6)
                    values = survival.mean_band(values.T)[0]
                bands.median_point(axes, at, values, look, sideways=True)
            axes.plot([], [], ls="", color=look.color, ms=6, label=label, **look.mark)
        axes.plot([], [], color=KINDS[OTHERS][1].color, lw=1.2, alpha=0.6, label="95% of the draws")
        panels.log_axis(axes, "x")
        axes.set_yticks(range(len(rows)), [words.lines(_name(row), 2.4) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        for place in range(0, len(rows), 2):
            axes.axhspan(place - 0.5, place + 0.5, color="0.965", lw=0, zorder=-1)
        axes.set_ylabel(words.lines(", ".join(rows[0].setting), 2.0))
        axes.set_xlabel("test loss at the end")
        legend_above(figure)
    return figure


def by_outcome(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the sorted retrospective scores of each run, where some runs escaped and others not.

    A line a run at the end of training: blue and solid, it left the plateau; red and dashed, it
    did not. The score is how much of a head's attention goes from an example's y to its own x.
    """
    rows = came_to_the_end(dataset, rows, SCORE)
    mixed = [row for row in rows if len(set(_escaped(dataset, row))) == 2]
    if not mixed:
        return None
    chosen = spaced(mixed)
    looks: dict[bool, dict[str, Any]] = {
        True: {"color": CATEGORIES[0], "ls": "-", "label": "escaped"},
        False: {"color": CATEGORIES[3], "ls": (0, (4, 1.5)), "label": "still on the plateau"},
    }
    with styled():
        figure = Figure(figsize=(1.0 + 2.8 * len(chosen), 3.1), layout="constrained")
        grid = figure.subplots(1, len(chosen), sharey=True, squeeze=False)[0]
        for axes, row in zip(grid, chosen, strict=True):
            runs = last(dataset, SCORE, row)
            for run, escaped in zip(runs, _escaped(dataset, row), strict=True):
                place, ordered = np.arange(1, run.size + 1), -np.sort(-run, axis=None)
                axes.plot(place, ordered, lw=0.9, **looks[bool(escaped)])
            axes.set_title(title(row))
            axes.set_xlabel("place of the head, highest first")
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.set_ylim(bottom=0)
        grid[0].set_ylabel("attention of y to its own x")
        legend_above(figure)
    return figure


def persistence(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return how far two settings share their most retrospective heads, of runs of one seed.

    The Jaccard index of the two sets of k heads at the end: the number of heads in both over that
    in either, mean over seeds. The white line in the colour bar is what two random sets of that
    size have. k is the number of ablated heads, or a twelfth of all. Retrospective heads look from
    an example's y back to its own x.
    """
    if len(rows) < 2 or not came_to_the_end(dataset, rows, SCORE):
        return None
    with styled():
        shared = overlap(dataset, rows)
        chance = expected_overlap(dataset.sizes["layer"] * dataset.sizes["head"], _count(dataset))
        side = 2.2 + 0.55 * len(rows)
        figure = Figure(figsize=(side + 0.9, side), layout="constrained")
        axes = figure.subplots()
        names = [_name(row) for row in rows]
        numbers = {at: (f"{x:.2f}", False) for at, x in np.ndenumerate(shared) if np.isfinite(x)}
        texts = numbers if len(rows) <= 12 else {}
        if max(map(len, names)) <= LONGEST:
            columns = names
        else:  # numbered in both, and named on the left
            columns = [str(number + 1) for number in range(len(rows))]
            names = [f"{words.lines(n, 2.2, 7)} ({i})" for i, n in zip(columns, names, strict=True)]
            figure.set_figwidth(figure.get_figwidth() + 2)
        image = heat_map(axes, shared, texts, names, columns, "viridis", Normalize(0, 1))
        bar = figure.colorbar(image, ax=axes, label="Jaccard index of the heads")
        bar.ax.axhline(chance, color=to_rgba("white"), lw=1.5)
        axes.set_title(f"{_count(dataset)} heads of a run; by chance {chance:.2f}")
        axes.set_xlabel(", ".join(rows[0].setting))
    return figure


def overlap(dataset: xr.Dataset, rows: Sequence[Row]) -> NDArray[np.float64]:
    """Return [row, row] the mean Jaccard index of the highest heads of runs of one seed.

    NaN where no seed came to the horizon in both, or the two have not the same layers and heads.
    """
    count = _count(dataset)
    highest = [_highest(dataset, row, count) for row in rows]
    indices = np.full((len(rows), len(rows)), np.nan)
    for i, first in enumerate(highest):
        for j, second in enumerate(highest):
            by_seed = [
                len(first[seed][1] & second[seed][1]) / len(first[seed][1] | second[seed][1])
                for seed in first.keys() & second.keys()
                if first[seed][0] == second[seed][0]
            ]
            if by_seed:
                indices[i, j] = float(np.mean(by_seed))
    return indices


def expected_overlap(heads: int, count: int) -> float:
    r"""Return the mean Jaccard index of two random sets of k of n: $E[m / (2k - m)]$.

    m is hypergeometric.

    >>> round(expected_overlap(heads=2, count=1), 3)
    0.5
    """
    shared = np.arange(count + 1)
    weights = stats.hypergeom.pmf(shared, heads, count, count)
    return float(np.sum(weights * shared / (2 * count - shared)))


def _highest(dataset: xr.Dataset, row: Row, count: int) -> dict[int, tuple[bytes, set[int]]]:
    """Return seed -> (which heads there are, the highest of them), of the followed runs."""
    seeds = dataset["seed"].values[is_followed(dataset, row)]
    highest = {}
    for seed, values in zip(seeds, last(dataset, SCORE, row), strict=True):
        exists = np.isfinite(values)
        if exists.sum() > count:
            order = np.argsort(-np.where(exists, values, -np.inf), axis=None, kind="stable")
            highest[int(seed)] = (exists.tobytes(), {int(head) for head in order[:count]})
    return highest


def _count(dataset: xr.Dataset) -> int:
    """Return how many heads of a run are compared."""
    ablated = json.loads(dataset.attrs["config"])["ablated_heads"]
    return ablated or max(1, round(dataset.sizes["layer"] * dataset.sizes["head"] / SHARE))


def _escaped(dataset: xr.Dataset, row: Row) -> NDArray[np.bool_]:
    """Return which followed runs left the plateau."""
    return np.isfinite(cell(dataset, "escape_step", row.index)[is_followed(dataset, row)])


def _ticks(length: int) -> NDArray[np.int_]:
    return np.arange(0, length, max(1, -(-length // 6)))


def _name(row: Row) -> str:
    return ", ".join(table.value_text(value) for value in row.setting.values())
