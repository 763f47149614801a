"""The table of adaptive mixing: average and worst loss, at the end and at equal compute."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.report import paired, survival
from plateaus.report.selection import followed, interval, is_followed, last
from plateaus.report.statistics import Row
from plateaus.report.survival import NOTHING, Interval

MIXTURE, COMPUTE, WORST = "train_mixture_by_task", "compute", "test_worst"


@dataclasses.dataclass(frozen=True)
class Compared:
    """A loss of a setting, over its runs at the horizon, and against the baseline's seed by seed.

    Args:
      value: mean and Student t interval.
      ratio: geometric mean of the ratios over the seeds finished in both; see `paired.of_ratios`.
      lower: share of those seeds on which the setting has the lower loss.
      p_value, p_adjusted: two-sided sign flip of the log ratios, and Holm over the settings.
    """

    value: Interval = NOTHING
    ratio: Interval = NOTHING
    lower: float = math.nan
    p_value: float = math.nan
    p_adjusted: float = math.nan


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixingRow:
    """One setting of a sweep over ways to mix.

    Args:
      setting, index, baseline: as in the main table.
      runs: that came to the horizon; `pairs`: seeds that came to it here and in the baseline.
      final, final_worst: the average loss and the worst group's, at the end.
      equal, equal_worst: the same after the compute `shared`, the least that a setting spends.
      compute: training steps that a run has cost, extra work counted in.
      extra: what of them was not a training step, as a fraction of those that were.
    """

    setting: dict[str, Any]
    index: tuple[int, ...]
    baseline: dict[str, Any]
    runs: int
    pairs: int
    final: Compared
    final_worst: Compared
    equal: Compared
    equal_worst: Compared
    compute: float
    extra: float
    shared: float

    @property
    def is_baseline(self) -> bool:
        """Whether the other rows are measured against this one."""
        return self.setting == self.baseline


MEASURES = ("final", "final_worst", "equal", "equal_worst")


def adapts(dataset: xr.Dataset) -> bool:
    """Return whether any setting's shares of several groups adapt, with their compute recorded."""
    return MIXTURE in dataset and COMPUTE in dataset and dataset.sizes["task"] > 1


def differ(dataset: xr.Dataset, rows: Sequence[Row]) -> bool:
    """Return whether the settings mix their groups differently, or at another cost."""
    if not adapts(dataset):
        return False
    mixed = {
        (followed(dataset, MIXTURE, row).tobytes(), followed(dataset, COMPUTE, row).tobytes())
        for row in rows
        if is_followed(dataset, row).any()
    }
    return len(mixed) > 1


def spent(dataset: xr.Dataset, row: Row) -> NDArray[np.float64]:
    """Return the compute of a setting's followed runs at each evaluation, [eval]; NaN of none."""
    return survival.mean_band(followed(dataset, COMPUTE, row))[0]


def spent_in_all(dataset: xr.Dataset, row: Row) -> float:
    """Return the compute of a setting's runs at the horizon; NaN if they end before."""
    return float(survival.mean_band(last(dataset, COMPUTE, row))[0])


def least(dataset: xr.Dataset, rows: Sequence[Row]) -> float:
    """Return the smallest compute that a setting whose runs came to the horizon has spent."""
    ends = np.array([spent_in_all(dataset, row) for row in rows])
    return float(np.nanmin(ends)) if np.isfinite(ends).any() else math.nan


def steps_read(dataset: xr.Dataset, rows: Sequence[Row]) -> set[int]:
    """Return the evaluations between which the table at equal compute draws its lines."""
    if not adapts(dataset) or not math.isfinite(shared := least(dataset, rows)):
        return set()
    steps, read = dataset["eval_step"].values, set()
    for row in rows:
        place = int(np.searchsorted(np.nan_to_num(spent(dataset, row), nan=np.inf), shared))
        read |= {int(step) for step in steps[max(0, place - 1) : place + 2]}
    return read


def at_compute(compute: NDArray, curves: NDArray, where: float) -> NDArray[np.float64]:
    """Return the losses [run] after so much compute, on the line between two evaluations.

    `compute` is [eval], `curves` [run, eval]. NaN before the first loss there is: while a reference
    or a proxy trains, the model that is kept does not exist.

    >>> at_compute(np.array([0.0, 2.0, 4.0]), np.array([[np.nan, 4.0, 2.0]]), 3.0).tolist()
    [3.0]
    """
    losses = np.full(len(curves), np.nan)
    for i, curve in enumerate(curves):
        usable = np.isfinite(curve) & np.isfinite(compute)
        if usable.any():
            losses[i] = np.interp(where, compute[usable], curve[usable], left=np.nan, right=np.nan)
    return losses


def ratios(
    dataset: xr.Dataset, row: Row, baseline: Row, name: str, shared: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the compute of a setting's evaluations, and its losses over the baseline's there.

    Also at the compute `shared`, at which the table compares. The ratios are [pair, place], of the
    seeds followed in both, after the same compute, where a loss is on the line between two
    evaluations; NaN where one of the two is not positive or is not known.
    """
    compute, beside = spent(dataset, row), spent(dataset, baseline)
    seeds = [dataset["seed"].values[is_followed(dataset, each)] for each in (row, baseline)]
    _, *places = np.intersect1d(seeds[0], seeds[1], return_indices=True)
    first, second = (
        followed(dataset, name, each)[at] for each, at in zip((row, baseline), places, strict=True)
    )
    where = np.unique([*compute, shared])
    where = where[np.isfinite(where)] if np.isfinite(where).any() else compute
    loss, level = (
        np.stack([at_compute(spent_by, curves, one) for one in where], axis=-1)
        for spent_by, curves in ((compute, first), (beside, second))
    )
    known = (loss > 0) & (level > 0)
    return where, np.where(known, loss, np.nan) / np.where(known, level, np.nan)


def summarise(dataset: xr.Dataset, rows: Sequence[Row]) -> list[MixingRow]:
    """Return a row for each setting; none where no setting's shares adapt."""
    if not adapts(dataset):
        return []
    shared, settings = least(dataset, rows), [row.setting for row in rows]
    seeds = [dataset["seed"].values[is_followed(dataset, row)] for row in rows]
    losses = [_losses(dataset, row, shared) for row in rows]
    ended = [row.curves_to == row.horizon for row in rows]
    made = []
    for i, row in enumerate(rows):
        j = settings.index(row.baseline)
        _, *places = np.intersect1d(seeds[i], seeds[j], return_indices=True)
        compute = spent_in_all(dataset, row)
        made.append(
            MixingRow(
                setting=row.setting,
                index=row.index,
                baseline=row.baseline,
                runs=seeds[i].size if ended[i] else 0,
                pairs=places[0].size if i != j and ended[i] and ended[j] else 0,
                compute=compute,
                extra=compute / row.horizon - 1,
                shared=shared,
                **{
                    name: Compared(interval(values))
                    if i == j
                    else _compared(values, losses[j][name], *places)
                    for name, values in losses[i].items()
                },
            )
        )
    return _adjusted(made)


def _losses(dataset: xr.Dataset, row: Row, shared: float) -> dict[str, NDArray[np.float64]]:
    """Return the losses [run] that are compared, by the names of a row's fields."""
    compute, losses = spent(dataset, row), {}
    for suffix, name in (("", "test_loss"), ("_worst", WORST)):
        curves = followed(dataset, name, row)
        losses[f"final{suffix}"] = last(dataset, name, row)
        losses[f"equal{suffix}"] = at_compute(compute, curves, shared)
    return losses


def _compared(
    values: NDArray, baseline: NDArray, places: NDArray, baseline_places: NDArray
) -> Compared:
    """Return a loss beside the baseline's, of the seeds that stand at these places in each."""
    first, second = values[places], baseline[baseline_places]
    both = np.isfinite(first) & np.isfinite(second)
    first, second = first[both], second[both]
    if not ((first > 0).all() and (second > 0).all()):
        return Compared(interval(values))  # of losses that may be negative there is no ratio
    found = paired.of_ratios(first, second)
    return Compared(interval(values), found.ratio, found.sooner, found.p_value)


def _adjusted(rows: Sequence[MixingRow]) -> list[MixingRow]:
    """Return the rows with Holm's p-values, each measure's over the settings."""
    for name in MEASURES:
        adjusted = survival.holm([getattr(row, name).p_value for row in rows])
        rows = [
            dataclasses.replace(
                row, **{name: dataclasses.replace(getattr(row, name), p_adjusted=p)}
            )
            for row, p in zip(rows, adjusted, strict=True)
        ]
    return list(rows)
