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

from plateaus.report import cells, lengths, paired, survival
from plateaus.report.cells import cell, passages, swept_values
from plateaus.report.paired import Bound, Comparison
from plateaus.report.store import DIVERGED, UNFINISHED
from plateaus.report.survival import NOTHING, Interval

LOWEST = "lowest_loss"  # the lowest test loss of a run, where its curve is thinned


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One setting of the sweep: how many of its runs escaped, when, and against which baseline.

    Args:
      setting: swept field -> value, in sweep order; empty when nothing is swept.
      index: position of the setting along each swept dimension.
      baseline: the setting this one is compared with (itself, for a baseline).
      runs, escaped, diverged: numbers of runs; `runs` are those started.
      diverged_seeds: seeds of the runs that diverged, counted as never escaped.
      unfinished: runs that can go on; `earliest`: the first step at which one stopped, else 0.
      stopped: runs that stopped at their event.
      escape, half, completion: Kaplan-Meier medians, in steps; `inf` where not reached.
      plateau: restricted mean time to escape, in steps, with a bootstrap interval, up to the step
        `plateau_to`: the horizon, or as far as the runs were followed.
      ratio: of a run's steps to escape to those of the baseline's run of that seed, both cut at
        the horizon: geometric mean over the pairs; see `paired.compared`, also for `bound`,
        `sooner`, `pairs` and `p_value`, a two-sided sign-flip test.
      pairs_censored: pairs left out, as neither run escaped.
      pair_ratios: of pairs too few for an interval, each ratio, in the order of the seeds.
      p_adjusted: `p_value`, Holm-adjusted over the table.
      floor: whether the median plateau of this setting or of its baseline is shorter than
        `paired.FLOOR` evaluations, about the shortest that is measured.
      final_loss: test loss of the runs that came to the horizon, there; mean and t interval.
      lowest_loss: the same of the lowest test loss of each such run, at whatever step.
      trained_escape: median escape of the loss on trained items, where this is recorded.
      batch: examples to a step, by which steps become examples seen; 0 if not recorded.
      horizon: steps after which every run is censored.
      curves_to: last step of the curves of means: see `cells.followed_runs`.
      notes: why a number is missing.
    """

    setting: dict[str, Any]
    index: tuple[int, ...]
    baseline: dict[str, Any]
    runs: int
    escaped: int
    diverged: int
    diverged_seeds: tuple[int, ...]
    unfinished: int
    earliest: int
    stopped: int
    escape: Interval
    half: Interval
    completion: Interval
    plateau: Interval
    plateau_to: float
    ratio: Interval
    bound: Bound
    sooner: float
    pairs: int
    pairs_censored: int
    pair_ratios: tuple[float, ...]
    p_value: float
    p_adjusted: float
    floor: bool
    final_loss: Interval
    lowest_loss: Interval
    trained_escape: Interval
    batch: int
    horizon: int
    curves_to: int
    notes: tuple[str, ...]

    @property
    def is_baseline(self) -> bool:
        """Whether the other rows are measured against this one."""
        return self.setting == self.baseline


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
    status, ended = cell(dataset, "status", index), cells.endings(dataset, index)
    batch = 0
    if "batch_size" in dataset:
        batch = int(cell(dataset, "batch_size", index).max(initial=0))
    medians, notes = _medians(dataset, index)
    losses, note = _losses(dataset, index, ended)
    notes += [note] * bool(note)
    plateau, note = lengths.plateau_length(sample, horizon)
    notes += [f"no interval of the plateau: {note}"] * bool(note)
    end = lengths.followed_to(horizon, sample)
    if sample.times.size and end < horizon:
        notes.append(f"mean plateau up to step {end:.0f}: followed no further")
    comparison, samples = paired.NO_COMPARISON, [sample]
    if index != baseline_index:
        comparison, samples = paired.compared(sample, reference, horizon), [sample, reference]
        notes += comparison.notes()
    floor = paired.FLOOR * cells.evaluated_every(dataset)
    note = floor_note(floor, *(survival.median_time(*each[1:]).value for each in samples))
    notes += [note] * bool(note)
    unfinished = cell(dataset, "last_step", index)[status == UNFINISHED]
    return Row(
        setting=setting,
        index=index,
        baseline=baseline,
        runs=sample.times.size,
        escaped=int(sample.escaped.sum()),
        diverged=int((status == DIVERGED).sum()),
        diverged_seeds=tuple(dataset["seed"].values[status == DIVERGED].tolist()),
        unfinished=unfinished.size,
        earliest=int(unfinished.min()) if unfinished.size else 0,
        stopped=int(cells.at_event(ended).sum()),
        **medians,
        plateau=plateau,
        plateau_to=end,
        **comparison_fields(comparison),
        p_adjusted=math.nan,
        floor=bool(note),
        **losses,
        batch=batch,
        horizon=horizon,
        curves_to=cells.followed_runs(dataset, index)[1],
        notes=tuple(notes),
    )


def comparison_fields(comparison: Comparison) -> dict[str, Any]:
    """Return the fields of a row that say how it compares with its baseline."""
    return {
        "ratio": comparison.shown,
        "bound": comparison.bound,
        "sooner": comparison.sooner,
        "pairs": comparison.pairs,
        "pairs_censored": comparison.censored,
        "pair_ratios": comparison.few,
        "p_value": comparison.p_value,
    }


def floor_note(floor: float, median: float, reference: float = math.nan) -> str:
    """Return whose median plateau is too short to be measured; empty if none is.

    >>> floor_note(400, 350.0, 900.0)
    'plateau shorter than 400 steps: at the floor of the instrument'
    """
    short = ["plateau"] * (median < floor) + ["baseline's plateau"] * (reference < floor)
    named = " and ".join(short)
    return f"{named} shorter than {floor:g} steps: at the floor of the instrument" * bool(short)


def _medians(dataset: xr.Dataset, index: tuple[int, ...]) -> tuple[dict[str, Any], list[str]]:
    """Return the medians of a row's passages, and a note for each that is refused."""
    medians: dict[str, Any] = {}
    notes = []
    for name in ("escape", "half", "completion", "trained_escape"):
        medians[name] = NOTHING
        if f"{name}_step" not in dataset:
            continue
        if note := cells.passage_refusal(dataset, index, f"{name}_step"):
            notes.append(f"no {name.replace('_', ' ')}: {note}")
        else:
            medians[name] = survival.median_time(*passages(dataset, index, f"{name}_step")[1:])
    return medians, notes


def _losses(dataset: xr.Dataset, index: tuple[int, ...], ended: Any) -> tuple[dict[str, Any], str]:
    """Return the final and the lowest loss of the runs that came to the horizon, and a note."""
    if note := cells.refusal(ended):
        return {"final_loss": NOTHING, "lowest_loss": NOTHING}, f"no final or lowest loss: {note}"
    there = ended == "horizon"
    losses = cell(dataset, "test_loss", index)[there].astype(np.float64)
    if LOWEST in dataset:
        lowest = cell(dataset, LOWEST, index)[there].astype(np.float64)
    else:
        lowest = np.fmin.reduce(losses, axis=1, initial=np.inf)
    final = losses[:, -1]
    return {
        "final_loss": survival.mean_interval(final[np.isfinite(final)]),
        "lowest_loss": survival.mean_interval(lowest[np.isfinite(lowest)]),
    }, ""
