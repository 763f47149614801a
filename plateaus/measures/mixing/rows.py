"""The table of adaptive mixing: average and worst loss, at the end and at equal compute."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from plateaus.report import survival
from plateaus.report.statistics import FINISHED, Row, cell
from plateaus.report.survival import NOTHING, Interval

MIXTURE, COMPUTE, WORST = "train_mixture_by_task", "compute", "test_worst"


@dataclasses.dataclass(frozen=True)
class Compared:
    """A loss of a setting, over its finished runs, and against the baseline's seed by seed.

    Args:
      value: mean and Student t interval.
      ratio: of the means over the seeds finished in both, with a bootstrap interval.
      p_value, p_adjusted: two-sided paired t test of the log losses, and Holm over the settings.
    """

    value: Interval = NOTHING
    ratio: Interval = NOTHING
    p_value: float = math.nan
    p_adjusted: float = math.nan


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixingRow:
    """One setting of a sweep over ways to mix.

    Args:
      setting, index, baseline: as in the main table.
      runs: that finished; `pairs`: seeds that finished here and in the baseline.
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
    """Return whether any setting's shares of several groups adapt, with their compute told."""
    return MIXTURE in dataset and COMPUTE in dataset and dataset.sizes["task"] > 1


def spent(dataset: xr.Dataset, row: Row | MixingRow) -> NDArray[np.float64]:
    """Return the compute of a setting's finished runs at each evaluation, [eval]; NaN of none."""
    curves = cell(dataset, COMPUTE, row.index)[cell(dataset, "status", row.index) == FINISHED]
    return survival.mean_band(curves.astype(np.float64))[0]


def least(dataset: xr.Dataset, rows: Sequence[Row]) -> float:
    """Return the smallest compute that a setting with a finished run has spent by its end."""
    ends = np.array([spent(dataset, row)[-1] for row in rows])
    return float(np.nanmin(ends)) if np.isfinite(ends).any() else math.nan


def at_compute(compute: NDArray, curves: NDArray, where: float) -> NDArray[np.float64]:
    """Return the losses [run] after so much compute, on the line between two evaluations.

    `compute` is [eval], `curves` [run, eval]. NaN before the first loss there is: while a reference
    or a proxy trains, the model that is kept does not exist.

    >>> at_compute(np.array([0.0, 2.0, 4.0]), np.array([[np.nan, 4.0, 2.0]]), 3.0).tolist()
    [3.0]
    """
    found = np.full(len(curves), np.nan)
    for i, curve in enumerate(curves):
        known = np.isfinite(curve) & np.isfinite(compute)
        if known.any():
            found[i] = np.interp(where, compute[known], curve[known], left=np.nan, right=np.nan)
    return found


def summarise(dataset: xr.Dataset, rows: Sequence[Row]) -> list[MixingRow]:
    """Return a row for each setting; none where no setting's shares adapt."""
    if not adapts(dataset):
        return []
    shared, places = least(dataset, rows), [row.setting for row in rows]
    seeds, losses = [], []
    for row in rows:
        done = cell(dataset, "status", row.index) == FINISHED
        seeds.append(dataset["seed"].values[done])
        losses.append(_losses(dataset, row, done, shared))
    found = []
    for i, row in enumerate(rows):
        there = places.index(row.baseline)
        _, here, other = np.intersect1d(seeds[i], seeds[there], return_indices=True)
        compared = {
            name: _compared(values, here, losses[there][name], other, i == there)
            for name, values in losses[i].items()
        }
        compute = spent(dataset, row)[-1]
        found.append(
            MixingRow(
                setting=row.setting,
                index=row.index,
                baseline=row.baseline,
                runs=seeds[i].size,
                pairs=0 if i == there else here.size,
                compute=float(compute),
                extra=float(compute / dataset["eval_step"].values[-1] - 1),
                shared=shared,
                **compared,
            )
        )
    return _adjusted(found)


def _losses(
    dataset: xr.Dataset, row: Row, done: NDArray, shared: float
) -> dict[str, NDArray[np.float64]]:
    """Return the losses [run] that are compared, by the names of a row's fields."""
    compute, found = spent(dataset, row), {}
    for suffix, name in (("", "test_loss"), ("_worst", WORST)):
        curves = cell(dataset, name, row.index)[done].astype(np.float64)
        found[f"final{suffix}"] = curves[:, -1]
        found[f"equal{suffix}"] = at_compute(compute, curves, shared)
    return found


def _compared(
    values: NDArray, here: NDArray, others: NDArray, there: NDArray, itself: bool
) -> Compared:
    """Return a loss beside the baseline's; `here` and `there` are the places of shared seeds."""
    value = survival.mean_interval(values[np.isfinite(values)])
    if itself:
        return Compared(value)
    first, second = values[here], others[there]
    both = np.isfinite(first) & np.isfinite(second)
    first, second = first[both], second[both]
    ratio, _ = survival.bootstrap_interval((first, second), _ratio)
    return Compared(value, ratio, paired_p(first, second))


def _ratio(first: NDArray, second: NDArray, axis: int) -> NDArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(first.mean(axis=axis) / second.mean(axis=axis))


def paired_p(first: NDArray, second: NDArray) -> float:
    """Return the two-sided p of a paired t test of the log losses; NaN where it is undefined.

    >>> round(paired_p(np.array([1.0, 2.0, 4.0]), np.array([2.0, 4.0, 9.0])), 4)
    0.0029
    """
    if first.size < 2 or not ((first > 0).all() and (second > 0).all()):
        return math.nan
    apart = np.log(first) - np.log(second)
    if np.ptp(apart) <= 1e-12 * max(1.0, float(np.abs(apart).max())):
        return math.nan  # no spread: the test says nothing
    return float(stats.ttest_1samp(apart, 0.0).pvalue)


def _adjusted(rows: Sequence[MixingRow]) -> list[MixingRow]:
    """Return the rows with Holm's p-values, each measure's over the settings."""
    changes: list[dict[str, Any]] = [{} for _ in rows]
    for name in MEASURES:
        adjusted = survival.holm([getattr(row, name).p_value for row in rows])
        for change, row, p in zip(changes, rows, adjusted, strict=True):
            change[name] = dataclasses.replace(getattr(row, name), p_adjusted=p)
    return [dataclasses.replace(row, **change) for row, change in zip(rows, changes, strict=True)]
