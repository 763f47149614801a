"""Figures of gradient geometry: do gradients agree, in which layers, how noisy are they."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from plateaus.report import bands, panels, survival, words
from plateaus.report.facets import by_facet, facets, legend_above, names, spaced, styles_of, title
from plateaus.report.selection import followed, of_family, recorded, running_mean
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, Look, looks, styled

COSINE, NOISE = "gradient_cosine", "gradient_noise"
TRAINING = {
    "train_conflict_fraction": "share of pairs of examples\nwith opposed gradients",
    "train_effective_rank": "effective rank\nof the examples' gradients",
}
SMOOTHED = 5  # evaluations


def examples(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return conflict, rank and noise of the examples' gradients while they were aggregated.

    The share of pairs of examples in a batch whose gradients are opposed (their inner product is
    negative), and the participation ratio of the Gram matrix of these gradients, 1 where all have
    one direction: of each run a running mean over 9 windows; the median over seeds and, of up to 6
    settings, the middle half of the seeds or, of fewer than 8, each seed as a thin line. The noise
    scale is the batch at which the noise of the mean gradient equals its signal: of all seeds
    together, noise and signal both a running mean over 9 windows. No curve without an aggregator.
    """
    if not recorded(dataset, "train_noise"):
        return None

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        *grid, last = part.subplots(1, 3)
        steps, few = dataset["step"].values, len(facet) <= bands.MOST_SPREADS
        for row, look in zip(facet, styles_of(facet), strict=True):
            for axes, name in zip(grid, TRAINING, strict=True):
                values = _smooth(followed(dataset, name, row), 9)
                bands.median_curve(axes, steps, values, look, spread=few)
            noise, signal = (
                _smooth(survival.mean_band(followed(dataset, name, row))[0], 9)
                for name in ("train_noise", "train_signal")
            )
            scale = np.divide(noise, signal, out=np.full_like(noise, np.nan), where=signal > 0)
            last.plot(steps, scale, **look.line)
        panels.log_axis(last)
        labels = (*TRAINING.values(), "noise scale of the gradient\n(examples)")
        for axes, label in zip((*grid, last), labels, strict=True):
            axes.set_ylabel(label)
            panels.log_step_axis(axes, steps, facet[0].horizon, most=5)

    return by_facet(rows, (10, 2.6), draw)


def cosine(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the cosine of the gradients of random batches, over training and on the plateau.

    1 where two batches have one gradient, 0 where they have nothing in common; the mean over all
    pairs of an evaluation's batches. Left, of each run its running mean over 5 evaluations: the
    median over seeds and, of up to 6 settings, the middle half of the seeds or, of fewer than 8,
    each seed as a thin line; a triangle at the foot is the median step of escape. Right, a row for
    each setting: the mean of each run, a faint dot a seed, and the median over seeds, with a bar
    over their middle half if there are 8; filled: over the evaluations before the run escapes;
    hollow: over all.
    """
    if COSINE not in dataset:
        return None

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        left, right = part.subplots(1, 2, width_ratios=(3, 2))
        steps = dataset["eval_step"].values
        shown, few = steps > 0, len(facet) <= bands.MOST_SPREADS
        for place, (row, look) in enumerate(zip(facet, styles_of(facet), strict=True)):
            values = _smooth(followed(dataset, COSINE, row))[:, shown]
            bands.median_curve(left, steps[shown], values, look, spread=few)
            mark_escape(left, row, look)
            before, whole = on_the_plateau(dataset, COSINE, row), of_runs(dataset, COSINE, row)
            bands.median_point(right, place - 0.14, before, look, sideways=True)
            hollow = {"mfc": "white", "mec": look.color, "mew": 1.0}
            bands.median_point(right, place + 0.14, whole, look, sideways=True, **hollow)
            _key(right, place, look)
        left.axhline(0, color=GREY, lw=0.8)
        right.axvline(0, color=GREY, lw=0.8)
        left.set_ylabel(f"cosine of two batches' gradients,\nmean over {SMOOTHED} evaluations")
        panels.log_step_axis(left, steps, facet[0].horizon)
        labels = names(facet) if facet[0].setting else [""]
        right.set_yticks(range(len(facet)), [words.lines(label, 2.0) for label in labels])
        right.set_ylim(len(facet) - 0.5, -0.5)
        right.tick_params(axis="y", length=0, pad=40)
        right.set_title(list(facet[0].setting)[-1] if facet[0].setting else "")
        right.set_xlabel("a run's mean cosine: on the\nplateau (filled), in all (hollow)")

    groups = facets(rows)
    lines = max(words.lines(name, 2.0).count("\n") for facet in groups for name in names(facet))
    most = max(map(len, groups)) * (0.3 + 0.13 * lines)
    return by_facet(rows, (10, max(2.9, 0.7 + most)), draw, top=0.1, keyed=False)


def mark_escape(axes: Axes, row: Row, look: Look) -> None:
    """Mark the median step of escape at the foot of a panel of steps, if half of the runs did."""
    if np.isfinite(row.escape.value):
        where = axes.get_xaxis_transform()
        style: dict[str, Any] = {"ms": 6, "mec": "white", "mew": 0.5, "zorder": 4}
        axes.plot([row.escape.value], [0.03], "^", color=look.color, transform=where, **style)


def _key(axes: Axes, place: int, look: Look) -> None:
    """Draw the line of a setting beside its name, left of the axis."""
    options: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "clip_on": False}
    axes.plot([-0.135, -0.02], [place, place], **options, **look.line)
    axes.plot([-0.0775], [place], color=look.color, ms=5, **options, **look.mark)


def layers(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return each layer's part of the cosine and its share of the noise, a column a setting.

    Above: the inner product of two batches' gradients in the weights of the layer, over the product
    of the lengths of the whole gradients; the parts sum to the cosine of the whole gradients
    (black, heavy). Below: the layer's share of the variance of the gradient over random batches,
    summed over weights; the shares sum to 1. Of each run a running mean over 5 evaluations; the
    median over seeds, and the middle half of the seeds or, of fewer than 8, each seed as a thin
    line. A dotted vertical line is the median step of escape.
    """
    cosines, noises = (
        {variable.attrs["layer"]: name for name, variable in of_family(dataset, family).items()}
        for family in (COSINE, NOISE)
    )
    cosines = {layer: name for layer, name in cosines.items() if recorded(dataset, name)}
    if not cosines:
        return None
    noises = {layer: noises[layer] for layer in cosines}
    chosen = spaced(rows)
    with styled():
        figure = Figure(figsize=(1.4 + 2.4 * len(chosen), 5.2), layout="constrained")
        grid = figure.subplots(2, len(chosen), sharex=True, sharey="row", squeeze=False)
        for (top, bottom), row in zip(grid.T, chosen, strict=True):
            _by_layer(top, dataset, row, cosines)
            _by_layer(bottom, dataset, row, noises)
            _draw(top, dataset, row, COSINE, Look("black", "-", "o", 2.2), "whole")
            top.set_title(title(row))
            top.set_xlabel("")
        grid[0, 0].set_ylabel("layer's part of the cosine\nof two batches' gradients")
        grid[1, 0].set_ylabel("layer's share of the noise\nof the gradient")
        legend_above(figure, grid[0, 0].get_legend_handles_labels()[0])
    return figure


def _by_layer(axes: Axes, dataset: xr.Dataset, row: Row, variables: Mapping[str, str]) -> None:
    """Draw the curves of variables, by the names of their layers."""
    for look, (layer, name) in zip(looks(len(variables)), variables.items(), strict=True):
        _draw(axes, dataset, row, name, look, layer)
    axes.axhline(0, color=GREY, lw=0.8)
    if np.isfinite(row.escape.value):
        axes.axvline(row.escape.value, color=GREY, lw=0.8, ls=":")


def _draw(axes: Axes, dataset: xr.Dataset, row: Row, name: str, look: Look, label: str) -> None:
    steps = dataset["eval_step"].values
    values = _smooth(followed(dataset, name, row))[:, steps > 0]
    bands.median_curve(axes, steps[steps > 0], values, look, label=label)
    panels.log_step_axis(axes, steps, row.horizon, most=4)


def _smooth(curves: NDArray[np.float64], width: int = SMOOTHED) -> NDArray[np.float64]:
    """Return the running mean over `width` evaluations, fewer at the ends."""
    return running_mean(curves, width, centred=True)


def on_the_plateau(dataset: xr.Dataset, name: str, row: Row) -> NDArray[np.float64]:
    """Return each run's mean before it escapes, [run]; NaN without an evaluation there."""
    escape = followed(dataset, "escape_step", row, whole=True)
    before = dataset["eval_step"].values < np.where(np.isnan(escape), np.inf, escape)[:, None]
    return of_runs(dataset, name, row, before)


def of_runs(
    dataset: xr.Dataset, name: str, row: Row, chosen: NDArray[np.bool_] | bool = True
) -> NDArray[np.float64]:
    """Return each run's mean over its evaluations, or over those `chosen` of them, [run]."""
    values = followed(dataset, name, row, whole=not isinstance(chosen, bool))
    values = np.where(chosen, values, np.nan)
    count = np.isfinite(values).sum(axis=1)
    return np.where(count > 0, np.nansum(values, axis=1) / np.maximum(count, 1), np.nan)
