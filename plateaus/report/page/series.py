"""What the page's charts draw, as plain rows: settings by their place in the table."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from plateaus.report import cells, paired, table, terminal, trained_tasks
from plateaus.report.selection import of_family, recorded
from plateaus.report.statistics import Row
from plateaus.report.store import NOT_RUN
from plateaus.variables import EVALUATIONS, TASK

DIGITS = 4
Record = dict[str, Any]


class Measure(NamedTuple):
    """Something recorded at evaluations.

    variable: of the results; "" if it is computed from some. name: what it is, with its unit.
    values: [*sweep, seed, evaluation]. low, high: the range worth showing.
    """

    variable: str
    name: str
    values: NDArray
    low: float
    high: float


def rounded(values: ArrayLike, digits: int = DIGITS) -> list[float | None]:
    """Return numbers with few digits, None where one is not finite.

    >>> rounded([0.123456, math.nan, 1e6])
    [0.1235, None, 1000000.0]
    """
    array = np.asarray(values, np.float64).ravel()
    return [float(f"{x:.{digits}g}") if math.isfinite(x) else None for x in array]


def measures(dataset: xr.Dataset, rows: Sequence[Row]) -> list[Measure]:
    """Return what can be shown of settings, the normalised loss first where it is defined."""
    loss = dataset["test_loss"]
    units = str(loss.attrs.get("units", ""))
    units = "" if units in ("", "1", "loss") else f" ({units})"
    uninformed, best = (
        dataset[name].values[..., None] for name in ("uninformed_loss", "best_loss")
    )
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        normal = (loss.values - best) / np.where(uninformed > best, uninformed - best, np.nan)
    recordings = [("", "normalised test loss (1: nothing learned, 0: all)", normal)]
    recordings.append(("test_loss", f"test loss{units}", loss.values))
    for variable, found in of_family(dataset, "metric", law="test").items():
        if variable != "test_loss" and found.dims == loss.dims and recorded(dataset, variable):
            parts = filter(None, map(found.attrs.get, ("measure", "items")))
            recordings.append((variable, " ".join(parts).replace("_", " "), found.values))
    by_task = dataset.get("test_loss_by_task")
    if by_task is not None and by_task.dims == (*loss.dims, TASK):
        for g, task in enumerate(by_task[TASK].values.tolist()):
            name = f"test loss{units} of {task}"
            recordings.append(("test_loss_by_task", name, by_task.values[..., g]))
    made = []
    for variable, name, values in recordings:
        shown = np.concatenate([values[row.index].ravel() for row in rows])
        finite = shown[np.isfinite(shown)].astype(np.float64)
        if variable in ("", "test_loss_by_task") and not finite.size:
            continue
        low, high = _limits(finite)
        if not variable:  # the plateau, at 1, is what one looks at, if losses are not above it
            high = max(high, 1.0) if np.median(finite) > 1.5 else min(max(high, 1.0), 1.5)
            low = max(min(low, 0.0), -0.5)
        made.append(Measure(variable, name, values, low, high))
    return made


def wrapped(text: str) -> list[str]:
    """Return a text in lines that fit a telephone."""
    return textwrap.wrap(text, 48) or [""]


def _limits(finite: NDArray[np.float64]) -> tuple[float, float]:
    """Return the range worth showing: a spike to 1e6 must not flatten the plateau."""
    if not finite.size:
        return 0.0, 1.0
    low, middle, high, most = (float(x) for x in np.quantile(finite, (0.001, 0.5, 0.9, 0.995)))
    most = min(most, high + max(high - low, abs(middle), 1e-9))
    room = 0.05 * max(most - low, 1e-9)
    return low - room, most + room


def curves(dataset: xr.Dataset, rows: Sequence[Row], found: Sequence[Measure]) -> list[Record]:
    """Return a record for each run and measure: its steps and its values.

    s: setting. r: seed. m: measure. f: whether the median rests on it, up to step e (see
    `cells.followed_runs`). t, v: steps after the first and values; what is not finite is left out,
    and so is t where the steps are all those of `grid`.
    """
    steps, seeds = dataset[EVALUATIONS].values, dataset["seed"].values.tolist()
    records = []
    for s, row in enumerate(rows):
        followed, end = cells.followed_runs(dataset, row.index)
        status = cells.cell(dataset, "status", row.index)
        for m, measure in enumerate(found):
            for j, seed in enumerate(seeds):
                values = measure.values[(*row.index, j)]
                there = np.isfinite(values) & (steps > 0)
                if status[j] == NOT_RUN or not there.any():
                    continue
                record = {"s": s, "r": seed, "m": m, "f": bool(followed[j]), "e": end}
                record["v"] = rounded(values[there])
                if not there[steps > 0].all():
                    record["t"] = steps[there].tolist()
                records.append(record)
    return records


def grid(dataset: xr.Dataset) -> list[int]:
    """Return the steps of all evaluations after the first."""
    steps = dataset[EVALUATIONS].values
    return [int(step) for step in steps[steps > 0]]


def times(dataset: xr.Dataset, rows: Sequence[Row], first: int) -> list[Record]:
    """Return how long each run was on its plateau, from step `first` on, where the axis begins.

    s: setting. r: seed. t: step at which it escaped (e = 1), or up to which it was followed.
    w: 1; and 0 of a row that lets the curve of a setting begin before its first run ends.
    """
    records: list[Record] = []
    for s, row in enumerate(rows):
        seeds, steps, escaped = cells.passages(dataset, row.index)
        if not steps.size:
            continue
        records.append({"s": s, "r": None, "t": rounded(0.999 * first)[0], "e": 0, "w": 0})
        records += [
            {"s": s, "r": seed, "t": max(step, float(first)), "e": int(there), "w": 1}
            for seed, step, there in zip(
                seeds.tolist(), steps.tolist(), escaped.tolist(), strict=True
            )
        ]
    return records


def ratios(dataset: xr.Dataset, rows: Sequence[Row]) -> list[Record]:
    """Return each setting beside its baseline, of those that have a pair and the same tasks.

    s: setting. name: its lines. told: the numbers as text. x, low, high: ratio and interval.
    b: "<" or ">" if it is a bound. d: the ratios of the pairs, r: their seeds; c: "<" or ">" where
    one run of a pair did not get there, so that its ratio is a bound.
    """
    settings, apart = [row.setting for row in rows], trained_tasks.other_tasks(dataset, rows)
    records = []
    for s, row in enumerate(rows):
        baseline = rows[settings.index(row.baseline)]
        if row.is_baseline or not row.pairs or row.index in apart:
            continue
        both = [cells.passages(dataset, each.index) for each in (row, baseline)]
        found = paired.matched(both[0], both[1], row.horizon)
        told = f"{terminal.ratio_text(row.ratio, row.bound)}, n = {row.pairs}"
        if not math.isnan(row.p_adjusted):
            told += f", p = {terminal.p_text(row.p_adjusted)}".replace("= <", "< ")
        x, low, high = rounded(row.ratio)
        bounds = np.where(~found.escaped, ">", np.where(~found.escaped_too, "<", ""))
        records.append(
            {"s": s, "name": wrapped(table.label(row.setting)), "told": told, "b": row.bound}
            | {"x": x, "low": low, "high": high, "d": rounded(found.first / found.second)}
            | {"r": found.seeds.tolist(), "c": bounds.tolist()}
        )
    return records
