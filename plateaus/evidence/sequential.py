"""The sign-flip test, looked at several times while seeds are added.

If neither setting is better, the sign of each seed's difference is a fair coin. So the difference
is laid beside a group of sign flips, at every look; those that are as extreme as a share of the
level allows have crossed, and go. The level is spent over the looks as (seeds / cap) ** 2, so that
all looks together reject a true null in no more than the level, whatever the differences are.

Source: Kim and DeMets, Biometrika 74 (1987) 149 (spending by powers); Hemerik and Goeman, TEST 27
(2018) 811 (a group of flips gives an exact test).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plateaus.report.survival import Interval

FLIPS = 2**16
POWER = 2  # of the spending: a little at the first looks, most at the last
_HALVINGS = 40
_NEAR = 1e-10  # of the sum of sizes: sums that differ by less are ties


class _Looks(NamedTuple):
    """The flipped sums at the looks that the data reach, so far as no shift or level enters.

    seeds: their numbers; weights: the share of the level that each spends.
    sums, ones: of the differences, and of as many ones, under each flip; the first is no flip.
    values: the differences that say something; counts: how many of them each look has.
    """

    seeds: tuple[int, ...]
    weights: NDArray
    sums: NDArray
    ones: NDArray
    values: NDArray
    counts: tuple[int, ...]


def crossed(
    differences: ArrayLike, looks: Sequence[int], level: float, *, flips: int = FLIPS
) -> int | None:
    """Return the number of seeds at the first look that rejects "the mean is 0 or more", or None.

    At a look, `level * ((n / cap) ** 2 - (n' / cap) ** 2)` of the flips may cross, n' being the
    look before, from below in the order of their sums. Those that are tied cross together or not
    at all, and what a look leaves is not carried on: so a flip that crosses at some level does at
    every higher one, too.

    Args:
      differences: by seed, in the order of the seeds; NaN for a pair that says nothing.
      looks: growing numbers of seeds, the last one the cap. Looks that the data do not reach have
        not happened; what is beyond the cap is left out.
      level: one-sided, between 0 and 1.
      flips: a power of 2; few are as exact as many, but see less.

    Raises ValueError if a difference is infinite, or if an argument is none of these.

    >>> crossed([-1.0] * 20, (8, 16, 24), 0.025)
    16
    """
    table = _tabled(differences, looks, flips)
    return _first(table, level)


def sequential_p(differences: ArrayLike, looks: Sequence[int], *, flips: int = FLIPS) -> float:
    """Return the least level at which "the mean is 0 or more" would be rejected by now, at most 1.

    `crossed(..., level)` is a number just if this is at most the level. It never grows with more
    looks. With a single look it is the p-value of the sign-flip test.

    >>> sequential_p([-1.0, -2.0, -0.5, -1.5, -1.0, -0.7, -0.8, -1.0], (8,))
    0.00390625
    """
    table = _tabled(differences, looks, flips)
    # Nothing changes between two levels at which some look may let one more flip cross.
    each = [np.arange(1, math.floor(w * flips + 1e-9) + 1) / (w * flips) for w in table.weights]
    levels = np.unique(np.concatenate([*each, [1.0]]))
    low, high = -1, levels.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if _first(table, levels[middle]) is None:
            low = middle
        else:
            high = middle
    return float(min(levels[high], 1.0))


def repeated_interval(
    differences: ArrayLike, looks: Sequence[int], level: float, *, flips: int = FLIPS
) -> Interval:
    """Return the mean difference and all means that neither one-sided test has rejected so far.

    It covers the mean at all looks at once with probability 1 - 2 * level or more. An end is
    infinite where nothing was rejected; both are NaN in the odd case that nothing is left.

    Args: as those of `crossed`; level: a side.

    Source: Jennison and Turnbull, Journal of the Royal Statistical Society B 51 (1989) 305.

    >>> ends = repeated_interval([1, 2, 3, 4, 5, 6, 7, 8], (8,), 0.025)
    >>> [round(end, 2) for end in ends]
    [4.5, 2.33, 6.67]
    """
    table = _tabled(differences, looks, flips)
    if not table.values.size:
        return Interval(math.nan, -math.inf, math.inf)
    upper = _end(lambda shift: _first(table, level, shift) is not None, table.values)
    mirrored = table._replace(sums=-table.sums, values=-table.values)
    lower = -_end(lambda shift: _first(mirrored, level, shift) is not None, mirrored.values)
    mean = float(table.values.mean())
    if lower > upper:
        return Interval(mean, math.nan, math.nan)
    return Interval(mean, lower, upper)


def critical_mean(
    differences: ArrayLike, looks: Sequence[int], level: float, *, flips: int = FLIPS
) -> float:
    """Return the mean that the last look would have needed, had the differences a mean of 0.

    NaN where no mean would have done: the cap is not reached, or there are too few pairs.

    >>> critical_mean([-1, 1] * 8, (16,), 0.025)
    -0.625
    """
    table = _tabled(differences, looks, flips)
    if table.seeds[-1:] != (looks[-1],) or not table.values.size:
        return math.nan
    mean = table.values.mean()
    centred = table._replace(sums=table.sums - mean * table.ones, values=table.values - mean)
    critical = _critical(centred, level)
    return critical / table.counts[-1]


def _tabled(differences: ArrayLike, looks: Sequence[int], flips: int) -> _Looks:
    values = np.asarray(differences, np.float64)
    return _table_of(values.tobytes(), values.shape, tuple(looks), flips)


@functools.lru_cache(maxsize=8)  # one series is asked for several numbers
def _table_of(data: bytes, shape: tuple[int, ...], looks: tuple[int, ...], flips: int) -> _Looks:
    values = np.frombuffer(data).reshape(shape)
    if values.ndim != 1 or np.isinf(values).any():
        raise ValueError("differences must be finite numbers or NaN, one a seed")
    if not looks or looks[0] < 1 or [*looks] != sorted({*looks}):
        raise ValueError(f"looks = {looks!r}: must be growing numbers of seeds")
    if flips < 2 or flips & (flips - 1):
        raise ValueError(f"flips = {flips!r}: must be a power of 2")
    reached = tuple(look for look in looks if look <= values.size)
    spent = np.array([0, *reached]) / looks[-1]
    heard = ~np.isnan(values)
    counts = [int(heard[:look].sum()) for look in reached]
    values = values[: reached[-1] if reached else 0]
    values = values[~np.isnan(values)]
    signs = _signs(values.size, flips)
    parts = []
    for first, last in zip([0, *counts], counts, strict=False):
        rows = np.stack([values[first:last], np.ones(last - first)])
        parts.append(rows @ signs[first:last].astype(np.float64))
    both = np.cumsum(parts, axis=0) if parts else np.zeros((0, 2, flips))
    weights = np.diff(spent**POWER)
    return _Looks(reached, weights, both[:, 0], both[:, 1], values, tuple(counts))


@functools.lru_cache(maxsize=8)
def _signs(seeds: int, flips: int) -> NDArray[np.int8]:
    """Return the signs of so many seeds under each flip, a row a seed, a group under products.

    The first seeds have all combinations. The sign of each later seed is the product of an odd
    number of theirs, no two of the same; odd, so that each flip comes with its opposite.
    """
    free = flips.bit_length() - 1
    rng = np.random.default_rng(0)
    masks: list[int] = [1 << seed for seed in range(min(seeds, free))]
    taken = {*masks}
    while len(masks) < seeds:
        mask = int(rng.integers(0, flips))
        if mask.bit_count() % 2 and (mask not in taken or len(taken) >= flips // 2):
            taken.add(mask)
            masks.append(mask)
    every = np.arange(flips, dtype=np.uint32)
    signs = np.empty((seeds, flips), np.int8)
    for row, mask in zip(signs, masks, strict=True):
        row[:] = 1 - 2 * (np.bitwise_count(every & np.uint32(mask)) & 1).astype(np.int8)
    return signs


def _first(table: _Looks, level: float, shift: float = 0.0) -> int | None:
    """Return the seeds at the first look at which the mean is shown to be below the shift."""
    alive: NDArray | None = None  # flips that have not crossed; the first of them is no flip
    for k, seeds in enumerate(table.seeds):
        sums, allowed, near = _at_look(table, level, shift, k, alive)
        if np.count_nonzero(sums <= sums[0] + near) <= allowed:
            return seeds
        if k + 1 < len(table.seeds):
            stays = np.flatnonzero(sums > _threshold(sums, allowed, near))
            alive = stays if alive is None else alive[stays]
    return None


def _critical(table: _Looks, level: float) -> float:
    """Return the sum that was needed at the last look, NaN where none would have done."""
    last = _thresholds(table, level)[-1]
    return last if math.isfinite(last) else math.nan


def _thresholds(table: _Looks, level: float) -> list[float]:
    """Return the highest sum that crosses at each look; the data themselves never leave."""
    alive: NDArray | None = None
    thresholds = []
    for k in range(len(table.seeds)):
        sums, allowed, near = _at_look(table, level, 0.0, k, alive)
        thresholds.append(_threshold(sums, allowed, near))
        stays = sums > thresholds[-1]
        stays[0] = True
        alive = np.flatnonzero(stays) if alive is None else alive[stays]
    return thresholds


def _at_look(
    table: _Looks, level: float, shift: float, k: int, alive: NDArray | None
) -> tuple[NDArray, int, float]:
    """Return the sums of the flips that have not crossed, how many may, and what is a tie."""
    flips = table.sums.shape[1]
    sums = table.sums[k] - shift * table.ones[k]
    if alive is not None:
        sums = sums[alive]
    allowed = math.floor(level * table.weights[k] * flips + 1e-9)
    near = _NEAR * float(np.abs(table.values[: table.counts[k]] - shift).sum())
    return sums, allowed, near


def _threshold(sums: NDArray, allowed: int, near: float) -> float:
    """Return the highest sum up to which at most so many lie, and none just above; or -inf."""
    if allowed >= sums.size:
        return math.inf
    lowest = np.sort(np.partition(sums, allowed)[: allowed + 1])
    ends = np.flatnonzero(np.diff(lowest) > near)
    return float(lowest[ends[-1]]) if ends.size else -math.inf


def _end(rejected: Callable[[float], bool], values: NDArray) -> float:
    """Return the shift above which all are rejected, to within rounding; inf if none is."""
    low, high = float(values.min()), float(values.max())
    margin = 1e-6 * (max(abs(low), abs(high)) or 1.0)
    low, high = low - margin, high + margin  # at the upper one every difference is below
    if not rejected(high):
        return math.inf
    middle = 0.0 if low < 0 < high else (low + high) / 2  # so that it agrees with the test of 0
    for _ in range(_HALVINGS):
        low, high = (low, middle) if rejected(middle) else (middle, high)
        middle = (low + high) / 2
    return high
