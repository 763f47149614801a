"""The rows of the table: one setting each, from the labelled results of a sweep."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from plateaus.report import survival
from plateaus.report.survival import NOTHING, Interval, Passages

FINISHED, DIVERGED = 1, 2  # values of the results' `status`; 0 is a run not yet started


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One setting of the sweep: how many of its runs escaped, when, and against which baseline.

    Args:
      setting: swept field -> value, in sweep order; empty when nothing is swept.
      index: position of the setting along each swept dimension.
      baseline: the setting this one is compared with (itself, for a baseline).
      runs, escaped, diverged: numbers of runs; `runs` are those started.
      diverged_seeds: seeds of the runs that diverged, counted as never escaped.
      escape, half, completion: Kaplan-Meier medians, in steps; `inf` where not reached.
      plateau: restricted mean time to escape, in steps, with a bootstrap interval.
      ratio: `plateau` over the baseline's, on the seeds run in both, bootstrapped by pairs.
      pairs: number of those seeds.
      p_value: two-sided log-rank test against the baseline.
      p_adjusted: the same, Holm-adjusted over the table.
      final_loss: test loss at the last evaluation of the finished runs, mean and t interval.
      lowest_loss: the same of the lowest test loss of each finished run, at whatever step.
      trained_escape: median escape of the loss on trained items, where this is recorded.
      batch: examples to a step, by which steps become examples seen; 0 if not recorded.
      horizon: steps after which every run is censored.
      notes: why a number is missing.
    """

    setting: dict[str, Any]
    index: tuple[int, ...]
    baseline: dict[str, Any]
    runs: int
    escaped: int
    diverged: int
    diverged_seeds: tuple[int, ...]
    escape: Interval
    half: Interval
    completion: Interval
    plateau: Interval
    ratio: Interval
    pairs: int
    p_value: float
    p_adjusted: float
    final_loss: Interval
    lowest_loss: Interval
    trained_escape: Interval
    batch: int
    horizon: int
    notes: tuple[str, ...]

    @property
    def is_baseline(self) -> bool:
        """Whether the other rows are measured against this one."""
        return self.setting == self.baseline


def swept_values(dataset: xr.Dataset) -> dict[str, list[Any]]:
    """Return the swept fields and their values, as plain Python, in sweep order."""
    return {name: dataset[name].values.tolist() for name in json.loads(dataset.attrs["swept"])}


def cell(dataset: xr.Dataset, variable: str, index: Sequence[int]) -> NDArray:
    """Return one setting's part of a variable: [seed] or [seed, step]."""
    return dataset[variable].isel(dict(zip(swept_values(dataset), index, strict=True))).values


def passages(dataset: xr.Dataset, index: Sequence[int], variable: str = "escape_step") -> Passages:
    """Return when the runs of one setting passed a threshold, or were censored.

    A run that never passed is right-censored at its last step; a diverged run counts as never
    passed, censored at the horizon, whatever had been recorded of it.
    """
    status, step = cell(dataset, "status", index), cell(dataset, variable, index)
    last = cell(dataset, "last_step", index)
    escaped = np.isfinite(step) & (status != DIVERGED)
    times = np.where(escaped, step, np.where(status == DIVERGED, dataset.attrs["horizon"], last))
    ran = status != 0
    return Passages(dataset["seed"].values[ran], times[ran].astype(np.float64), escaped[ran])


def baseline_of(
    setting: Mapping[str, Any], swept: Mapping[str, Sequence[Any]], neutral: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the setting another is compared with: every intervention off that can be.

    Each field whose neutral value is among its swept values takes it; the others keep theirs.
    Where that leaves no field, the first value of the first field stands for the baseline.

    >>> baseline_of({"a": 2, "lr": 0.1}, {"a": [0, 2], "lr": [0.1, 1]}, {"a": 0, "lr": None})
    {'a': 0, 'lr': 0.1}
    """
    off = {
        name: next(value for value in values if value == neutral[name])
        for name, values in swept.items()
        if neutral[name] is not None and neutral[name] in values
    }
    if not off and swept:
        first = next(iter(swept))
        off = {first: swept[first][0]}
    return {**setting, **off}


def summarise(dataset: xr.Dataset) -> list[Row]:
    """Return one row per setting, in the order of the sweep (the last field fastest).

    Raises:
      KeyError: if `dataset` lacks a variable or an attribute of the results' format.
    """
    swept, neutral = swept_values(dataset), json.loads(dataset.attrs["baseline"])
    indices = list(itertools.product(*(range(len(values)) for values in swept.values())))
    settings = [
        {name: values[i] for (name, values), i in zip(swept.items(), index, strict=True)}
        for index in indices
    ]
    rows = []
    for index, setting in zip(indices, settings, strict=True):
        baseline = baseline_of(setting, swept, neutral)
        rows.append(_row(dataset, index, setting, indices[settings.index(baseline)], baseline))
    adjusted = survival.holm([row.p_value for row in rows])
    return [dataclasses.replace(row, p_adjusted=p) for row, p in zip(rows, adjusted, strict=True)]


def _row(
    dataset: xr.Dataset,
    index: tuple[int, ...],
    setting: dict[str, Any],
    baseline_index: tuple[int, ...],
    baseline: dict[str, Any],
) -> Row:
    horizon = int(dataset.attrs["horizon"])
    sample, reference = passages(dataset, index), passages(dataset, baseline_index)
    half, completion = (passages(dataset, index, v) for v in ("half_step", "completion_step"))
    trained = None
    if "trained_escape_step" in dataset:
        trained = passages(dataset, index, "trained_escape_step")
    status, notes = cell(dataset, "status", index), []
    losses = cell(dataset, "test_loss", index)[status == FINISHED].astype(np.float64)
    final, lowest = losses[:, -1], np.fmin.reduce(losses, axis=1, initial=np.inf)
    batch = 0
    if "batch_size" in dataset:
        batch = int(cell(dataset, "batch_size", index).max(initial=0))
    plateau, note = survival.plateau_length(sample, horizon)
    notes += [f"no interval of the plateau: {note}"] * bool(note)
    ratio, p_value, pairs = NOTHING, math.nan, 0
    if index != baseline_index:
        ratio, pairs, note = survival.length_ratio(sample, reference, horizon)
        notes += [f"no interval of the ratio: {note}"] * bool(note)
        p_value = survival.logrank_p(sample[1:], reference[1:])
        notes += ["log-rank test undefined"] * math.isnan(p_value)
    return Row(
        setting=setting,
        index=index,
        baseline=baseline,
        runs=sample.times.size,
        escaped=int(sample.escaped.sum()),
        diverged=int((status == DIVERGED).sum()),
        diverged_seeds=tuple(dataset["seed"].values[status == DIVERGED].tolist()),
        escape=survival.median_time(*sample[1:]),
        half=survival.median_time(*half[1:]),
        completion=survival.median_time(*completion[1:]),
        plateau=plateau,
        ratio=ratio,
        pairs=pairs,
        p_value=p_value,
        p_adjusted=math.nan,
        final_loss=survival.mean_interval(final[np.isfinite(final)]),
        lowest_loss=survival.mean_interval(lowest[np.isfinite(lowest)]),
        trained_escape=survival.median_time(*trained[1:]) if trained else NOTHING,
        batch=batch,
        horizon=horizon,
        notes=tuple(notes),
    )
