"""A claim's numbers in the units of its test, and back: effects, ratios, bounds, what forbids them.

Differences are by seed and so turned that what is claimed is negative; a reader wants the ratio (or
difference) of the treated setting to its baseline.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plateaus.evidence import decision, observed, sequential
from plateaus.evidence.claim import Claim
from plateaus.evidence.fields import EVERY, STATISTICS
from plateaus.evidence.observed import Observed, scales
from plateaus.report.paired import FLOOR
from plateaus.report.survival import Interval

TRAINS = 0.5  # share of the baselines that have to get there for a verdict to be reached


def kind(claim: Claim) -> decision.Kind:
    """Return what is claimed of the mean difference."""
    if claim.statistic in EVERY:
        return "at least as good"
    return "equal" if claim.direction == "equal" else "less"


def p_value(claim: Claim, found: Observed) -> float:
    """Return the sequential p of a claim, whatever Holm asks of it.

    At the look at which the effect that counts is excluded it ends, as the claim does.
    """
    data, shape = found.differences.tobytes(), found.differences.shape
    return _p_value(data, shape, effect(claim), claim.looks, claim.alpha / 2, kind(claim))


@functools.lru_cache(maxsize=512)  # claims are judged after each look of any
def _p_value(
    data: bytes,
    shape: tuple[int, ...],
    least: float,
    looks: tuple[int, ...],
    alpha: float,
    of: decision.Kind,
) -> float:
    every = [*np.frombuffer(data).reshape(shape)]
    ends = [
        sequential.crossed(test, looks, alpha)
        for values in every
        for test in decision.excluding(values, least, of)
    ]
    stop = min((end for end in ends if end is not None), default=None)
    tests = [t for values in every for t in decision.supporting(values[:stop], least, of)]
    return max(sequential.sequential_p(test, looks) for test in tests)


def decided(
    claim: Claim, found: Observed, looks: tuple[int, ...], level: float
) -> decision.Decision:
    """Return what the differences say, at the level that Holm asks."""
    data, shape = found.differences.tobytes(), found.differences.shape
    return _decided(data, shape, effect(claim), looks, claim.alpha / 2, level, kind(claim))


@functools.lru_cache(maxsize=512)
def _decided(
    data: bytes,
    shape: tuple[int, ...],
    least: float,
    looks: tuple[int, ...],
    alpha: float,
    level: float,
    of: decision.Kind,
) -> decision.Decision:
    every = [*np.frombuffer(data).reshape(shape)]
    return decision.decide(every, least, looks, alpha, level, of)


def effect(claim: Claim) -> float:
    """Return the smallest effect in the units of the differences: below 0 for a claimed effect."""
    if STATISTICS[claim.statistic][1] == "difference":
        size = abs(claim.smallest_effect)
        return -size if kind(claim) == "less" else size
    size = abs(math.log(claim.smallest_effect))
    return -size if kind(claim) == "less" else size


def counted(claim: Claim) -> tuple[float, float]:
    """Return from where to where an estimate is the effect that counts, or more of it.

    >>> counted(Claim(id="1", paper=1, place="", sentence="", statistic="escape",
    ...               direction="equal", smallest_effect=1.25))
    (0.8, 1.25)
    """
    size = claim.smallest_effect
    if claim.direction == "greater":
        return -size if claim.statistic in EVERY else size, math.inf
    if claim.direction == "less":  # of losses at every tenth: not above the margin
        return -math.inf, size
    if STATISTICS[claim.statistic][1] == "difference":
        return -abs(size), abs(size)
    low, high = sorted((size, 1 / size))
    return low, high


def in_units(claim: Claim, oriented: Interval) -> Interval:
    """Return an estimate of the differences as a ratio or difference, treated to baseline."""
    sign = -1.0 if claim.direction == "greater" else 1.0
    ends = sorted((sign * oriented.low, sign * oriented.high))
    turned = (sign * oriented.value, *ends)
    if STATISTICS[claim.statistic][1] == "difference":
        return Interval(*turned)
    with np.errstate(over="ignore"):  # a ratio beyond all numbers is infinite
        return Interval(*np.exp(turned).tolist())


def by_seed(claim: Claim, found: Observed, series: int = 0) -> NDArray[np.float64]:
    """Return each pair's ratio or difference, treated to baseline; NaN where it says nothing.

    Their geometric mean (of differences: their mean) is the estimate of a claim.
    """
    turned = found.differences[series] * (-1.0 if claim.direction == "greater" else 1.0)
    if STATISTICS[claim.statistic][1] == "difference":
        return turned
    with np.errstate(over="ignore"):
        return np.exp(turned)


def bound(claim: Claim, used: Observed) -> str:
    """Return ">" or "<" where one of the settings never got there."""
    pairs = used.counted & ~used.censored
    if not STATISTICS[claim.statistic][0] or not pairs.any():
        return ""
    if not used.treated.there[pairs].any():
        return ">"
    return "" if used.baseline.there[pairs].any() else "<"


def not_evaluable(claim: Claim, found: Observed, grid: float) -> str:
    """Return why the runs cannot decide a claim, or ""."""
    if np.isnan(found.differences).all():
        return "no pair says anything: neither run of any got there"
    if why := mute(found):
        return why
    if not STATISTICS[claim.statistic][0]:
        return ""
    share = float(found.baseline.there.mean())
    if claim.baseline == "stuck" and share > TRAINS:
        return f"{share:.0%} of the baselines get there; the claim is that they do not"
    if claim.baseline == "trains" and share < TRAINS:
        return f"{share:.0%} of the baselines get there"
    if grid and (shortest := evaluations(claim, found, grid)) < FLOOR:
        return f"a plateau lasts {shortest:.2g} evaluations; fewer than {FLOOR} are no measurement"
    return ""


def mute(found: Observed) -> str:
    """Return how many complete pairs have no difference, and why; "" for none."""
    silent = found.counted & ~found.censored & np.isnan(found.differences).any(axis=0)
    diverged = silent & (found.treated.diverged | found.baseline.diverged)
    if not silent.any():
        return ""
    what = "that diverged" if diverged.any() else "without a value that can be compared"
    return f"{(diverged if diverged.any() else silent).sum()} of the pairs have a run {what}"


def evaluations(claim: Claim, found: Observed, grid: float) -> float:
    """Return the shorter median time of the two settings in evaluations; infinite if none is.

    grid: steps between two evaluations.
    """
    arms = zip((found.treated, found.baseline), scales(claim), strict=True)
    medians = [np.median(arm.values[arm.there]) / scale for arm, scale in arms if arm.there.any()]
    return float(min(medians, default=math.inf)) / grid


def gate(
    claim: Claim, found: Observed, looks: Sequence[int], grid: float
) -> tuple[Observed, int, str]:
    """Return what is to be judged, and the look at which, and why, the runs could not decide.

    The looks go on until one of them cannot; later seeds change nothing of it. 0 and "" for none.
    """
    for before, look in zip((0, *looks), looks, strict=False):
        so_far = observed.first(found, look)
        if look <= found.seeds.size and (why := not_evaluable(claim, so_far, grid)):
            return observed.first(found, before), look, why
    return found, 0, ""
