"""Figures of gradient geometry: do gradients agree, in which layers, how noisy are they."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from plateaus.report import panels, survival, words
from plateaus.report.curves import limits
from plateaus.report.facets import by_facet, facets, legend_above, names, spaced, styles_of, title
from plateaus.report.selection import followed, of_family, recorded, running_mean
from plateaus.report.statistics import Row
from plateaus.report.style import GREY, styled

COSINE, NOISE = "gradient_cosine", "gradient_noise"
TRAINING = {
    "train_conflict_fraction": "conflicting pairs",
    "train_effective_rank": "effective rank",
}


def examples(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return conflict, rank and noise of the examples' gradients while they were aggregated.

    The first two are means over seeds with their 95% t band; the noise scale is the seeds' noise
    over their signal, both a running mean over 9 windows. No curve without an aggregator.
    """
    if not recorded(dataset, "train_noise"):
        return None

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        *grid, last = part.subplots(1, 3)
        steps = dataset["step"].values
        for row, look in zip(facet, styles_of(facet), strict=True):
            for axes, name in zip(grid, TRAINING, strict=True):
                panels.mean_curve(axes, steps, followed(dataset, name, row), look)
            noise, signal = (
                _smooth(survival.mean_band(followed(dataset, name, row))[0], 9)
                for name in ("train_noise", "train_signal")
            )
            scale = np.divide(noise, signal, out=np.full_like(noise, np.nan), where=signal > 0)
            last.plot(steps, scale, **look.line)
        panels.log_axis(last)
        labels = (*TRAINING.values(), "noise scale (examples)")
        for axes, label in zip((*grid, last), labels, strict=True):
            axes.set_ylabel(label)
            panels.step_axis(axes, facet[0].horizon)

    return by_facet(rows, (10, 2.6), draw)


def cosine(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the cosine of the gradients of random batches, over training and on the plateau.

    Left, the mean over pairs and seeds with its 95% t band, both a running mean over 5 evaluations;
    right, each run's mean over its evaluations before it escapes, then over seeds, with the 95% t
    interval.
    """
    if COSINE not in dataset:
        return None

    def draw(part: SubFigure, facet: Sequence[Row]) -> None:
        left, right = part.subplots(1, 2, width_ratios=(2, 1))
        for place, (row, look) in enumerate(zip(facet, styles_of(facet), strict=True)):
            mean, half = map(_smooth, survival.mean_band(followed(dataset, COSINE, row)))
            steps = dataset["eval_step"].values
            panels.band(left, steps, (mean, mean - half, mean + half), look)
            center, width = on_the_plateau(dataset, COSINE, row)
            right.errorbar(center, place - 0.12, xerr=width, color=look.color, **look.mark)
            center, width = _over_seeds(followed(dataset, COSINE, row))
            hollow = {**look.mark, "mfc": "white", "mec": look.color, "lw": 1.0}
            right.errorbar(center, place + 0.12, xerr=width, color=look.color, **hollow)
        left.axhline(0, color=GREY, lw=0.8)
        left.set_ylim(limits(dataset, rows, COSINE))
        right.axvline(0, color=GREY, lw=0.8)
        left.set_ylabel("cosine of batches' gradients")
        panels.step_axis(left, facet[0].horizon)
        labels = names(facet) if facet[0].setting else [""]
        right.set_yticks(range(len(facet)), [words.lines(label, 2.0) for label in labels])
        right.invert_yaxis()
        right.set_xlabel("mean cosine: on the plateau (filled),\nover training (hollow)")

    most = max(map(len, facets(rows)))
    return by_facet(rows, (9.5, max(2.9, 0.7 + 0.3 * most)), draw)


def layers(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return what each layer adds to the cosine, and its share of the noise, a column a setting.

    Means over seeds; the layers' cosines sum to the whole (black), their shares to 1.
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
        figure = Figure(figsize=(1.2 + 2.4 * len(chosen), 5.2), layout="constrained")
        grid = figure.subplots(2, len(chosen), sharex=True, sharey="row", squeeze=False)
        for (top, bottom), row in zip(grid.T, chosen, strict=True):
            _by_layer(top, dataset, row, cosines)
            _by_layer(bottom, dataset, row, noises)
            whole = _smooth(survival.mean_band(followed(dataset, COSINE, row))[0])
            steps = dataset["eval_step"].values
            top.plot(steps, whole, color="black", lw=1.6, label="whole")
            top.set_title(title(row))
            top.set_xlabel("")
        grid[0, 0].set_ylabel("adds to the cosine")
        grid[1, 0].set_ylabel("share of the noise")
        legend_above(figure, grid[0, 0].get_legend_handles_labels()[0])
    return figure


def _by_layer(axes: Axes, dataset: xr.Dataset, row: Row, variables: Mapping[str, str]) -> None:
    """Draw the curves of variables, by the names of their layers."""
    for i, (layer, name) in enumerate(variables.items()):
        mean, _ = survival.mean_band(followed(dataset, name, row))
        color = f"C{i % 10}"
        dashes = "-" if i < 10 else ":"
        axes.plot(dataset["eval_step"].values, _smooth(mean), color=color, ls=dashes, label=layer)
    axes.axhline(0, color=GREY, lw=0.8)
    panels.step_axis(axes, row.horizon)


def _smooth(curve: NDArray[np.float64], width: int = 5) -> NDArray[np.float64]:
    """Return the running mean over `width` evaluations, fewer at the ends."""
    return running_mean(curve, width, centred=True)


def on_the_plateau(dataset: xr.Dataset, name: str, row: Row) -> tuple[float, float]:
    """Return the mean over seeds, and its 95% half width, of each run's mean before it escapes."""
    values, escape = (followed(dataset, n, row, whole=True) for n in (name, "escape_step"))
    before = dataset["eval_step"].values < np.where(np.isnan(escape), np.inf, escape)[:, None]
    return _over_seeds(np.where(before, values, np.nan))


def _over_seeds(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean over seeds, and its 95% half width, of each run's mean."""
    usable = np.isfinite(values).any(axis=1)
    means = np.nanmean(values[usable], axis=1) if usable.any() else np.full(1, np.nan)
    mean, half = survival.mean_band(means[:, None])
    return float(mean[0]), float(half[0])
