"""What the page's charts draw, as plain rows: settings by their place in the table."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from plateaus.report import cells, paired, survival, table, terminal
from plateaus.report.selection import of_family, recorded
from plateaus.report.statistics import Row
from plateaus.report.store import NOT_RUN
from plateaus.variables import EVALUATIONS, TASK

DIGITS = 4
Record = dict[str, Any]


class Measure(NamedTuple):
    """Something recorded at evaluations: its name with its unit, its values, what is worth showing.

    values: [*sweep, seed, evaluation].
    """

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


def measures(dataset: xr.Dataset) -> list[Measure]:
    """Return what can be shown over training, the normalised loss first where it is defined."""
    found = []
    loss = dataset["test_loss"]
    units = str(loss.attrs.get("units", ""))
    units = "" if units in ("", "1", "loss") else f" ({units})"
    uninformed, best = (
        dataset[name].values[..., None] for name in ("uninformed_loss", "best_loss")
    )
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        normal = (loss.values - best) / np.where(uninformed > best, uninformed - best, np.nan)
    if np.isfinite(normal).any():
        low, high = _limits(normal)
        name = "normalised test loss (1: nothing learned, 0: all)"
        found.append(Measure(name, normal, max(min(low, 0), -0.5), min(max(high, 1), 1.5)))
    found.append(_measure(f"test loss{units}", loss.values))
    for name, variable in of_family(dataset, "metric", law="test").items():
        if name != "test_loss" and variable.dims == loss.dims and recorded(dataset, name):
            parts = map(variable.attrs.get, ("measure", "items"))
            found.append(_measure(" ".join(filter(None, parts)).replace("_", " "), variable.values))
    by_task = dataset.get("test_loss_by_task")
    if by_task is not None and by_task.dims == (*loss.dims, TASK):
        for g, task in enumerate(by_task[TASK].values.tolist()):
            if np.isfinite(by_task.values[..., g]).any():
                found.append(_measure(f"test loss{units} of {task}", by_task.values[..., g]))
    return found


def _measure(name: str, values: NDArray) -> Measure:
    return Measure(name, values, *_limits(values))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 48) or [""]  # as many as a telephone shows


def _limits(values: NDArray) -> tuple[float, float]:
    """Return the range worth showing: a spike to 1e6 must not flatten the plateau."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        return 0.0, 1.0
    low, middle, high, most = (float(x) for x in np.quantile(finite, (0.001, 0.5, 0.9, 0.995)))
    most = min(most, high + max(high - low, abs(middle), 1e-9))
    room = 0.05 * max(most - low, 1e-9)
    return low - room, most + room


def curves(dataset: xr.Dataset, rows: Sequence[Row], found: Sequence[Measure]) -> list[Record]:
    """Return a record for each run and measure: its steps and its values.

    s: setting. r: seed. m: measure. f: whether the median rests on it, up to step e (see
    `cells.followed_runs`). t, v: steps after the first and values; what is not finite is left out.
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
                records.append(
                    {"s": s, "r": seed, "m": m, "f": bool(followed[j]), "e": end}
                    | {"t": steps[there].tolist(), "v": rounded(values[there])}
                )
    return records


def survivals(dataset: xr.Dataset, rows: Sequence[Row], first: int) -> list[Record]:
    """Return the Kaplan-Meier curve of each setting from step `first` on.

    s: setting. t: steps. f: fraction still on the plateau. l, h: its 95% band. n: runs still there.
    """
    records = []
    for s, row in enumerate(rows):
        runs = cells.passages(dataset, row.index)
        if not runs.times.size:
            continue
        times, fraction = survival.survival_curve(runs.times, runs.escaped)
        low, high = band(runs.times, runs.escaped)
        left = [int(np.sum(runs.times >= time)) for time in times]
        starts = (np.r_[1.0, part] for part in (fraction, low, high))
        parts = dict(zip("flh", map(rounded, starts), strict=True))
        at = [float(first), *np.maximum(times, first).tolist()]
        records.append({"s": s, "t": at, "n": [runs.times.size, *left], **parts})
    return records


def band(times: ArrayLike, escaped: ArrayLike) -> tuple[NDArray, NDArray]:
    """Return the ends of the pointwise 95% log-log band of a Kaplan-Meier curve at its times.

    Where the curve is 0, its variance is undefined; there the band is NaN, as it is everywhere for
    runs too few for an interval.

    >>> low, high = band([10, 20, 30, 40, 50, 60, 70, 80], [True] * 7 + [False])
    >>> round(float(low[3]), 3), round(float(high[3]), 3)
    (0.152, 0.775)
    """
    curve = stats.ecdf(survival.censored(times, escaped)).sf
    nothing = np.full(curve.quantiles.shape, np.nan)
    if np.size(times) < survival.FEWEST_RUNS or not np.any(escaped):
        return nothing, nothing
    with warnings.catch_warnings():  # "undefined at some observations": where it is 0 or 1
        warnings.simplefilter("ignore", RuntimeWarning)
        found = curve.confidence_interval(0.95, method="log-log")
    whole, defined = curve.probabilities >= 1, curve.probabilities > 0
    ends = (found.low.probabilities, found.high.probabilities)
    low, high = (np.where(whole, 1.0, np.where(defined, end, np.nan)) for end in ends)
    return low, high


def censored(dataset: xr.Dataset, rows: Sequence[Row], first: int) -> Iterator[Record]:
    """Yield where on its curve each setting has runs that were followed no further."""
    for s, row in enumerate(rows):
        runs = cells.passages(dataset, row.index)
        if runs.escaped.all():
            continue
        times, fraction = survival.survival_curve(runs.times, runs.escaped)
        for time in np.unique(runs.times[~runs.escaped]):
            at = np.searchsorted(times, time, side="right") - 1
            yield {"s": s, "t": max(float(time), first), "f": rounded(fraction[at])[0]}


def ratios(dataset: xr.Dataset, rows: Sequence[Row]) -> list[Record]:
    """Return each setting beside its baseline, of those that have a pair.

    s: setting. name: its lines. told: the numbers as text. x, low, high: ratio and interval.
    b: "<" or ">" if it is a bound. d: the ratios of the pairs.
    """
    settings = [row.setting for row in rows]
    records = []
    for s, row in enumerate(rows):
        baseline = rows[settings.index(row.baseline)]
        if row.is_baseline or not row.pairs:
            continue
        both = [cells.passages(dataset, each.index) for each in (row, baseline)]
        found = paired.compared(both[0], both[1], row.horizon)
        told = f"{terminal.ratio_text(row.ratio, row.bound)}, n = {row.pairs}"
        if not math.isnan(row.p_adjusted):
            told += f", p = {terminal.p_text(row.p_adjusted)}".replace("= <", "< ")
        x, low, high = rounded(row.ratio)
        records.append(
            {"s": s, "name": _wrapped(table.label(row.setting)), "told": told, "b": row.bound}
            | {"x": x, "low": low, "high": high, "d": rounded(found.ratios)}
        )
    return records
