"""The figure of the Gram matrix that a mixer sees: is it signal, or noise of the plateau?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

from plateaus.measures.mixing import rows as mixing
from plateaus.measures.mixing.figure_shares import escapes, group_handles, palette, spread
from plateaus.report import panels, survival, table
from plateaus.report.facets import headed_lines, legend_above
from plateaus.report.selection import followed, running_mean, settings_with
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, looks, styled

GAIN, UNBIASED = "train_gram_gain_by_task", "train_gram_gain_unbiased_by_task"
AVERAGED = 0.05  # of the run: over so much of it (c) is averaged


def gram_noise(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return what G p says of the groups, a line of panels a setting, and whether it is noise.

    G is the Gram matrix of the groups' gradients and p their shares, so that (G p) of a group is
    what a step on all gains it, to first order. (a) G p / |G p| of the Gram matrix of one batch,
    biased by its noise; (b) of an unbiased one, from two halves of the batch. The median over
    seeds, and their middle half; of fewer than 8 each seed, thin. A gain that is noise ranges over
    everything. A triangle: the median step at which a group leaves its plateau, hollow where some
    runs never do, at the right edge where half of them do not. (c) Over the seeds and the last
    twentieth of the run, of the same rounds: the share of the biased sum over groups of G p that
    the unbiased one keeps, 0 if all is noise, 1 if none (cut at -1 and 2); and how often both put
    the same group first, dotted: by chance. A share below 0: the two halves point against each
    other, as where steps undo one another.
    """
    rows = settings_with(dataset, rows, GAIN)
    if not rows or not mixing.adapts(dataset):
        return None
    groups = palette(dataset)
    window = max(1, round(AVERAGED * dataset.sizes["step"]))
    with styled():
        figure = Figure(figsize=(10, 0.9 + 2.4 * len(rows)), layout="constrained")
        parts = headed_lines(figure, [table.label(row.setting) for row in rows])
        for number, (part, row) in enumerate(zip(parts, rows, strict=True)):
            biased, unbiased = gains(dataset, row)
            first, second, third = part.subplots(1, 3)
            for axes, gain in ((first, biased), (second, unbiased)):
                spread(axes, dataset, direction(gain), groups)
                escapes(axes, dataset, row, groups)
                axes.axhline(0.0, ls=":", lw=0.8, color=GREY)
                axes.set_ylim(-1.05, 1.05)
            first.set_ylabel("gain of a group\nG p / |G p|")
            third.set_ylabel("share of the sum, of rounds")
            share, agreed = signal(biased, unbiased, window), agreement(biased, unbiased, window)
            steps, line = dataset["step"].values, looks(1)[0].color
            third.plot(steps, np.clip(share, -1, 2), color="k", label="kept by the unbiased")
            third.plot(steps, agreed, color=line, ls="--", label="same group first")
            third.axhline(1 / len(groups), ls=":", lw=0.8, color=line)
            third.axhline(0.0, ls=":", lw=0.8, color="k")
            third.set_ylim(-1.05, 2.0)
            for axes in (first, second, third):
                panels.step_axis(axes, row.horizon)
            if number == 0:
                first.set_title("(a) biased")
                second.set_title("(b) unbiased")
                third.set_title("(c) is it signal?")
                third.legend(loc="upper left")
        legend_above(figure, group_handles(groups, dataset))
    return figure


def gains(dataset: xr.Dataset, row: Row) -> tuple[NDArray, NDArray]:
    """Return G p [run, step, G] of the followed runs, biased and unbiased; NaN before a round."""
    biased, unbiased = (followed(dataset, name, row) for name in (GAIN, UNBIASED))
    none = np.all(biased == 0, axis=-1, keepdims=True)
    return np.where(none, np.nan, biased), np.where(none, np.nan, unbiased)


def direction(gain: NDArray) -> NDArray[np.float64]:
    """Return G p / |G p|_2, what is in the softmax.

    >>> direction(np.array([3.0, 4.0])).tolist()
    [0.6, 0.8]
    """
    norm = np.sqrt(np.sum(gain**2, axis=-1, keepdims=True))
    return gain / np.where(norm > 0, norm, np.nan)


def signal(biased: NDArray, unbiased: NDArray, window: int) -> NDArray[np.float64]:
    r"""Return $\sum_i (\hat G p)_i / \sum_i (G p)_i$ [step], unbiased over biased.

    With p equal $\sum_i (G p)_i$ is G times the squared norm of the mean gradient: the biased one
    has its noise on top. Sums are over runs and the last `window` steps before the ratio is taken.
    """
    kept, whole = (_average(gain.sum(axis=-1), window) for gain in (unbiased, biased))
    return kept / np.where(whole > 0, whole, np.nan)


def agreement(biased: NDArray, unbiased: NDArray, window: int) -> NDArray[np.float64]:
    """Return how often both gains put the same group first, of all runs and `window` steps."""
    finite = np.isfinite(biased).all(axis=-1) & np.isfinite(unbiased).all(axis=-1)
    tops = (np.argmax(np.where(np.isfinite(x), x, -np.inf), axis=-1) for x in (biased, unbiased))
    same = np.where(finite, np.equal(*tops), np.nan)
    return _average(same, window)


def _average(values: NDArray, window: int) -> NDArray[np.float64]:
    """Return the mean over runs of [run, step], then over the last `window` steps."""
    return running_mean(survival.mean_band(values)[0], window)
