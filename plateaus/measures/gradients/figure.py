"""Figures of gradient geometry: do gradients agree, in which layers, how noisy are they."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from plateaus.report import panels, survival, table
from plateaus.report.curves import finished, limits
from plateaus.report.facets import by_facet, facets, legend, styles_of
from plateaus.report.statistics import FINISHED, Row, cell
from plateaus.report.style import GREY, styled

COSINE, IN_LAYER = "gradient_cosine", "gradient_cosine_in_"
TRAINING = {
    "train_conflict_fraction": "conflicting pairs",
    "train_effective_rank": "effective rank",
}
PLAIN = FuncFormatter(lambda value, place: f"{value:,g}")  # the style typesets no mathematics
MOST_PANELS = 6  # settings side by side in the figure by layer


def examples(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return what the examples' gradients told while they were aggregated: conflict, rank, noise.

    The first two are means over seeds with their 95% t band; the noise scale is the seeds' noise
    over their signal, both a running mean over 9 windows. No curve without an aggregator.
    """
    if "train_noise" not in dataset or not _any(dataset, "train_noise"):
        return None
    with styled():
        groups = facets(rows)
        figure = Figure(figsize=(10, 0.8 + 2.6 * len(groups)), layout="constrained")
        for part, facet in by_facet(figure, groups):
            *grid, last = part.subplots(1, 3)
            steps = dataset["step"].values
            for row, look in zip(facet, styles_of(facet), strict=True):
                for axes, name in zip(grid, TRAINING, strict=True):
                    mean, half = survival.mean_band(finished(dataset, name, row))
                    axes.fill_between(
                        steps, mean - half, mean + half, color=look.color, alpha=0.16, lw=0
                    )
                    axes.plot(steps, mean, **look.line)
                noise, signal = (
                    _smooth(survival.mean_band(finished(dataset, name, row))[0], 9)
                    for name in ("train_noise", "train_signal")
                )
                scale = np.divide(noise, signal, out=np.full_like(noise, np.nan), where=signal > 0)
                last.plot(steps, scale, **look.line)
            last.set_yscale("log")
            last.yaxis.set_major_formatter(PLAIN)
            last.yaxis.set_minor_formatter(NullFormatter())
            labels = (*TRAINING.values(), "noise scale (examples)")
            for axes, label in zip((*grid, last), labels, strict=True):
                axes.set_ylabel(label)
                panels.step_axis(axes, facet[0].horizon)
        legend(figure, groups)
    return figure


def cosine(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return the cosine of the gradients of random batches, over training and on the plateau.

    Left, the mean over pairs and seeds with its 95% t band, both a running mean over 5 evaluations;
    right, each run's mean over its
    evaluations before it escapes, then over seeds, with the 95% t interval.
    """
    if COSINE not in dataset:
        return None
    with styled():
        groups = facets(rows)
        figure = Figure(figsize=(9.5, 0.8 + 2.9 * len(groups)), layout="constrained")
        for part, facet in by_facet(figure, groups):
            left, right = part.subplots(1, 2, width_ratios=(2, 1))
            for place, (row, look) in enumerate(zip(facet, styles_of(facet), strict=True)):
                mean, half = map(_smooth, survival.mean_band(finished(dataset, COSINE, row)))
                steps = dataset["eval_step"].values
                left.fill_between(
                    steps, mean - half, mean + half, color=look.color, alpha=0.16, lw=0
                )
                left.plot(steps, mean, **look.line)
                center, width = on_the_plateau(dataset, COSINE, row)
                right.errorbar(center, place - 0.12, xerr=width, color=look.color, **look.mark)
                center, width = over_all(dataset, COSINE, row)
                hollow = {**look.mark, "mfc": "white", "mec": look.color, "lw": 1.0}
                right.errorbar(center, place + 0.12, xerr=width, color=look.color, **hollow)
            left.axhline(0, color=GREY, lw=0.8)
            left.set_ylim(limits(dataset, rows, COSINE))
            right.axvline(0, color=GREY, lw=0.8)
            left.set_ylabel("cosine of batches' gradients")
            panels.step_axis(left, facet[0].horizon)
            labels = [panels.last_value(row) for row in facet] if facet[0].setting else [""]
            right.set_yticks(range(len(facet)), labels)
            right.invert_yaxis()
            right.set_xlabel("mean on the plateau (filled), over training (hollow)")
        legend(figure, groups)
    return figure


def layers(dataset: xr.Dataset, rows: Sequence[Row]) -> Figure | None:
    """Return, by setting, what each layer adds to the cosine, and its share of the noise.

    Means over seeds; the layers' cosines sum to the whole (black), their shares to 1.
    """
    names = [str(n).removeprefix(IN_LAYER) for n in dataset.data_vars if IN_LAYER in str(n)]
    names = [n for n in names if _any(dataset, IN_LAYER + n)]
    if not names:
        return None
    # The first, the last, and some between: a panel each.
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_PANELS)).round())
    with styled():
        columns = len(chosen)
        figure = Figure(figsize=(1.2 + 2.4 * columns, 5.2), layout="constrained")
        grid = figure.subplots(2, columns, sharex=True, sharey="row", squeeze=False)
        for column, number in enumerate(chosen):
            row = rows[int(number)]
            for axes, prefix in zip(grid[:, column], (IN_LAYER, "gradient_noise_in_"), strict=True):
                _by_layer(axes, dataset, row, prefix, names)
            mean, _ = survival.mean_band(finished(dataset, COSINE, row))
            whole = _smooth(mean)
            grid[0, column].plot(
                dataset["eval_step"].values, whole, color="black", lw=1.6, label="whole"
            )
            grid[0, column].set_title(table.label(row.setting).replace(", ", "\n"))
            grid[0, column].set_xlabel("")
        grid[0, 0].set_ylabel("adds to the cosine")
        grid[1, 0].set_ylabel("share of the noise")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(7, len(labels)))
    return figure


def _by_layer(axes: Axes, dataset: xr.Dataset, row: Row, prefix: str, names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        mean, _ = survival.mean_band(finished(dataset, prefix + name, row))
        color = f"C{i % 10}"
        dashes = "-" if i < 10 else ":"
        axes.plot(dataset["eval_step"].values, _smooth(mean), color=color, ls=dashes, label=name)
    axes.axhline(0, color=GREY, lw=0.8)
    panels.step_axis(axes, row.horizon)


def _smooth(curve: NDArray[np.float64], width: int = 5) -> NDArray[np.float64]:
    """Return the running mean over `width` evaluations, fewer at the ends."""
    width = min(width, curve.size)
    weights = np.convolve(np.isfinite(curve).astype(float), np.ones(width), "same")
    sums = np.convolve(np.nan_to_num(curve), np.ones(width), "same")
    return np.divide(sums, weights, out=np.full_like(sums, np.nan), where=weights > 0)


def over_all(dataset: xr.Dataset, name: str, row: Row) -> tuple[float, float]:
    """Return the mean over seeds, and its 95% half width, of each run's mean."""
    return _over_seeds(finished(dataset, name, row))


def on_the_plateau(dataset: xr.Dataset, name: str, row: Row) -> tuple[float, float]:
    """Return the mean over seeds, and its 95% half width, of each run's mean before it escapes."""
    values = finished(dataset, name, row)
    escape = cell(dataset, "escape_step", row.index)
    escape = escape[cell(dataset, "status", row.index) == FINISHED]
    before = dataset["eval_step"].values < np.where(np.isnan(escape), np.inf, escape)[:, None]
    return _over_seeds(np.where(before, values, np.nan))


def _over_seeds(values: NDArray[np.float64]) -> tuple[float, float]:
    usable = np.isfinite(values).any(axis=1)
    means = np.nanmean(values[usable], axis=1) if usable.any() else np.full(1, np.nan)
    mean, half = survival.mean_band(means[:, None])
    return float(mean[0]), float(half[0])


def _any(dataset: xr.Dataset, name: str) -> bool:
    return bool(np.isfinite(dataset[name]).any())
