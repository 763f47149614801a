"""What runs say of a claim: both settings' values by seed, and their differences.

Rows are those of runs.csv, or of anyone's CSV: a column for each field of the contrast, `seed`, and
the column of the statistic (a time in steps, empty if the run did not get there; or a number).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plateaus.config.schema import ConfigError
from plateaus.evidence.claim import Claim
from plateaus.evidence.fields import EVERY, STATISTICS
from plateaus.evidence.settings import matches
from plateaus.names import hint

Row = Mapping[str, str]
EMPTY = ("", "none", "null", "na", "n/a", "nan", "<na>")  # as tables of other programs have it
LOSSES = ("loss_at", "area", "loss_at_every")  # of which a diverged run has the worst
TENTHS = tuple(f"{tenth / 10:.1f}" for tenth in range(1, 11))


class Arm(NamedTuple):
    """One setting: values by seed, NaN where a run is missing or did not go far enough.

    there: for times, whether the run got there by the horizon; else whether it has a value.
    diverged: whether it diverged; its time is the horizon, its loss the worst by then, and of any
      other number nothing is known.
    """

    values: NDArray[np.float64]
    there: NDArray[np.bool_]
    diverged: NDArray[np.bool_]
    seconds: float = 0.0


class Observed(NamedTuple):
    """Both settings, and their differences in the direction of the claim: below 0 is for it.

    differences: [series, seed], NaN where a pair says nothing; one series but for those of `EVERY`.
    pairs that count: those with both values; of times, `censored` where neither got there.
    """

    seeds: NDArray[np.int64]
    treated: Arm
    baseline: Arm
    differences: NDArray[np.float64]
    counted: NDArray[np.bool_]
    censored: NDArray[np.bool_]


def scales(claim: Claim) -> tuple[float, float]:
    """Return the units of time in a step of each setting: the fewer prompts a step of the two."""
    treated, baseline = claim.prompts
    return treated / min(claim.prompts), baseline / min(claim.prompts)


def columns(claim: Claim) -> tuple[str, ...]:
    """Return the columns of runs.csv that the statistic of a claim is read from."""
    name, at = claim.statistic, claim.at
    if name == "first_step":
        return (f"{claim.metric}_reaches_{claim.value:g}",)
    if name in EVERY:
        return tuple(f"{claim.metric or 'loss'}_at_{tenth}" for tenth in TENTHS)
    if name in ("loss_at", "area"):
        tenth = round(10 * at / claim.horizon)
        if not 1 <= tenth <= 10 or tenth * claim.horizon != 10 * at:
            raise ConfigError(
                f"claim {claim.id}: at = {at}: must be a tenth of the horizon, {claim.horizon}"
            )
        return (f"{name if name == 'loss_at' else 'area_at'}_{TENTHS[tenth - 1]}",)
    if name in ("value", "value_ratio", "level", "share"):
        return (claim.metric,)
    return (name,)


def observed(
    claim: Claim,
    rows: Sequence[Row],
    seeds: Callable[[int], bool] = lambda seed: True,
) -> Observed:
    """Return what rows say of a claim, over the seeds that are wanted.

    Raises ConfigError where a column is missing, or a run is there twice.
    """
    _check(claim, rows)
    arms: list[dict[int, Row]] = []
    for setting in (claim.treated, claim.baseline_setting):
        if claim.kind == "descriptive" and arms:  # of one setting
            arms.append(arms[0])
            break
        found: dict[int, Row] = {}
        for row in rows:
            if row.get("task", "") != claim.task or not matches(row, setting):
                continue
            seed = _seed(claim, row["seed"])
            if seed in found:
                raise ConfigError(
                    f"claim {claim.id}: seed {seed} of {dict(setting)} is there twice"
                )
            if seeds(seed):
                found[seed] = row
        arms.append(found)
    both = np.array(sorted({*arms[0]} & {*arms[1]}), np.int64)
    series, pairs = [], [[arm[seed] for seed in both.tolist()] for arm in arms]
    ends = [_end(claim, arm, scale) for arm, scale in zip(pairs, scales(claim), strict=True)]
    for column in columns(claim):
        treated, baseline = (
            _arm(claim, arm, column, scale, np.minimum(*ends))
            for arm, scale in zip(pairs, scales(claim), strict=True)
        )
        series.append(_differences(claim, treated, baseline))
    counted = ~np.isnan(treated.values) & ~np.isnan(baseline.values)
    censored = np.zeros_like(counted)
    if STATISTICS[claim.statistic][0]:
        censored = counted & ~treated.there & ~baseline.there
    return Observed(both, treated, baseline, np.array(series), counted, censored)


def unpaired(claim: Claim, rows: Sequence[Row]) -> tuple[Arm, Arm]:
    """Return the runs of both settings, whatever their seeds; raises as `observed` does."""
    _check(claim, rows)
    arms = []
    settings = claim.treated, claim.baseline_setting
    for setting, scale in zip(settings, scales(claim), strict=True):
        of = [r for r in rows if r.get("task", "") == claim.task and matches(r, setting)]
        arms.append(_arm(claim, of, columns(claim)[0], scale, _end(claim, of, scale)))
    return arms[0], arms[1]


def _check(claim: Claim, rows: Sequence[Row]) -> None:
    names = [*rows[0]] if rows else []
    for column in ("seed", *columns(claim)) if rows else ():
        if column not in names:
            raise ConfigError(f"claim {claim.id}: no column {column}{hint(column, names)}")


def _starts(claim: Claim, rows: Sequence[Row]) -> NDArray[np.float64]:
    """Return the step from which times are counted: of a task, at which it is first drawn.

    The horizon where it never was: then nothing is known of its times.
    """
    starts = [_number(claim, row, "start", "0") if claim.task else 0.0 for row in rows]
    return np.nan_to_num(np.array(starts, np.float64), nan=claim.horizon)


def _end(claim: Claim, rows: Sequence[Row], scale: float) -> NDArray[np.float64]:
    """Return up to what time each run is followed: by the horizon, from its start on."""
    return np.minimum(claim.horizon, scale * (claim.horizon - _starts(claim, rows)))


def _arm(
    claim: Claim, rows: Sequence[Row], column: str, scale: float, end: NDArray[np.float64]
) -> Arm:
    """Return a setting's values; times in units of the smaller number of prompts a step.

    end: the times at which they are censored.
    """
    values = np.array([_number(claim, row, column) for row in rows], np.float64)
    last = np.array([_number(claim, row, "last_step") for row in rows], np.float64)
    diverged = np.array([row.get("status") == "diverged" for row in rows], bool)
    seconds = float(np.nansum([_number(claim, row, "seconds") for row in rows]))
    if STATISTICS[claim.statistic][0] or claim.statistic == "share":
        values = values * scale
        there = values <= end  # of NaN: no
        whole = diverged | np.isnan(last) | ((last - _starts(claim, rows)) * scale >= end)
        values = np.where(there, values, np.where(whole, end, np.nan))
        return Arm(values, there, diverged, seconds)
    there = np.isfinite(values) & ~diverged
    whole = diverged | (last >= claim.horizon)  # without a value it is not for want of steps
    return Arm(np.where(whole & ~there, np.inf, values), there, diverged, seconds)


def _seed(claim: Claim, text: str) -> int:
    """Return a seed, also where a table of numbers with gaps made it 7.0."""
    try:
        seed = int(text) if text.strip().lstrip("+-").isdigit() else float(text)
    except ValueError:
        seed = math.nan
    if seed != seed or abs(seed) >= 2**63 or seed != int(seed):
        raise ConfigError(f"claim {claim.id}: seed = {text!r}: must be a whole number")
    return int(seed)


def _number(claim: Claim, row: Row, column: str, missing: str = "") -> float:
    text = row.get(column, missing)
    try:
        return math.nan if text.strip().lower() in EMPTY else float(text)
    except ValueError:
        where = f"{column} of seed {row['seed']}"
        raise ConfigError(f"claim {claim.id}: {where}: {text!r} is no number") from None


def _with_worst(first: NDArray, second: NDArray) -> list[NDArray[np.float64]]:
    """Return losses, that of a diverged run being the highest of either setting up to its seed.

    No later seed enters, so that a difference that was looked at stays as it is; nor does which
    setting is which, so that under no effect its sign stays a fair coin.
    """
    highest = np.fmax(*(np.where(np.isfinite(v), v, 0.0) for v in (first, second)))
    worst = np.maximum.accumulate(highest)
    return [np.where(np.isinf(v), worst, v) for v in (first, second)]


def _differences(claim: Claim, treated: Arm, baseline: Arm) -> NDArray[np.float64]:
    is_time, compared, _ = STATISTICS[claim.statistic]
    first, second = treated.values, baseline.values
    sign = -1.0 if claim.direction == "greater" else 1.0
    if claim.statistic == "share":
        return np.where(np.isnan(first), np.nan, treated.there.astype(np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        if claim.statistic == "level":
            differences = sign * (first - claim.value)
        elif compared == "difference":
            differences = sign * (first - second)
        else:
            both = treated.diverged & baseline.diverged
            if claim.statistic in LOSSES:
                first, second = _with_worst(first, second)
            differences = sign * (np.log(first) - np.log(second))
            differences[both] = 0.0
    if is_time:
        differences[~treated.there & ~baseline.there] = np.nan
    return np.where(np.isfinite(differences), differences, np.nan)


def first(found: Observed, seeds: int) -> Observed:
    """Return the first seeds of what was observed."""
    return chosen(found, np.arange(found.seeds.size) < seeds)


def chosen(found: Observed, those: NDArray[np.bool_]) -> Observed:
    """Return some seeds of what was observed."""
    treated, baseline = (
        Arm(arm.values[those], arm.there[those], arm.diverged[those], arm.seconds)
        for arm in (found.treated, found.baseline)
    )
    return Observed(
        found.seeds[those],
        treated,
        baseline,
        found.differences[:, those],
        found.counted[those],
        found.censored[those],
    )
