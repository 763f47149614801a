"""Settings compared on the same seeds: sign-flip tests, geometric ratios, and their intervals.

Runs of one seed share their first weights and their data, so that they are compared as pairs. If
neither setting is better, the sign of a pair's difference is a fair coin; all else follows.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plateaus.report.survival import FEWEST_RUNS, NOTHING, Interval, Passages

FEWEST_FOR_P = 6  # the least two-sided p of 5 pairs is .0625
FEWEST_FOR_INTERVAL = FEWEST_RUNS
FLIPS = 2**14  # all of 14 pairs; as many drawn at random for more
FLOOR = 4  # evaluations: a plateau that is shorter than these is not measured
Bound = Literal["", ">", "<"]


class Comparison(NamedTuple):
    """A setting beside its baseline, seed by seed.

    Fields:
      ratio: geometric mean of the ratios of the pairs, and its interval; below 1 it is sooner.
      p_value: two-sided sign-flip test of the logarithms; NaN below `FEWEST_FOR_P` pairs.
      sooner: share of the pairs in which the setting comes first; a tie counts half.
      pairs: those that the numbers rest on; censored: those left out, where neither run got there.
      bound: ">" where the ratio is a lower bound, since no run of the setting got there by the
        horizon; "<" where none of the baseline did.
      unfollowed: pairs left out, of which a run stopped before it got there or to the horizon.
      cut: pairs of which one run did not get there: the horizon stands for its time, so that their
        ratios are bounds.
      ratios: of the pairs one by one, in the order of their seeds.
    """

    ratio: Interval
    p_value: float
    sooner: float
    pairs: int
    censored: int
    bound: Bound
    unfollowed: int = 0
    cut: int = 0
    ratios: tuple[float, ...] = ()

    @property
    def shown(self) -> Interval:
        """The ratio as it is printed: a bound without interval, which would move with H."""
        return Interval(self.ratio.value, math.nan, math.nan) if self.bound else self.ratio

    @property
    def few(self) -> tuple[float, ...]:
        """The ratios of the pairs where these are too few for an interval; else nothing."""
        return self.ratios if self.pairs < FEWEST_FOR_INTERVAL else ()

    def notes(self) -> Iterator[str]:
        """Yield which pairs were left out, and why a number is missing."""
        if self.unfollowed:
            yield f"{_pairs(self.unfollowed)} not followed to the horizon"
        if self.censored:
            yield f"{_pairs(self.censored)} censored on both sides left out"
        if self.cut and not self.bound:
            yield f"pair ratios that are bounds: {self.cut} of {self.pairs}"
        if self.few:
            yield f"pair ratios: {' '.join(f'{r:.2f}' for r in self.few)}"
        if self.ratios and math.isnan(self.p_value):
            enough = self.pairs >= FEWEST_FOR_P
            yield "no p: no pair differs" if enough else f"no p: fewer than {FEWEST_FOR_P} pairs"


def _pairs(count: int) -> str:
    return f"{count} pair{'s' * (count != 1)}"


class Pairs(NamedTuple):
    """The pairs of two settings that say something of their ratio, in the order of their seeds.

    first, second: steps to escape, cut at the horizon; escaped, escaped_too: whether they did.
    censored, unfollowed: numbers of pairs left out; see `Comparison`.
    """

    seeds: NDArray
    first: NDArray
    second: NDArray
    escaped: NDArray[np.bool_]
    escaped_too: NDArray[np.bool_]
    censored: int
    unfollowed: int


NO_COMPARISON = Comparison(NOTHING, math.nan, math.nan, 0, 0, "")


def sign_flip_p(
    differences: ArrayLike, alternative: Literal["two-sided", "less", "greater"] = "two-sided"
) -> float:
    """Return the p-value of the mean difference among all flips of the differences' signs.

    A flip makes the mean no smaller just if those that it flips sum to 0 or less, so that subsets
    are counted: all of up to 14 pairs, and `FLIPS` at random above; the same data give the same p.
    Two-sided it is twice the smaller of the two others.

    Raises ValueError if a difference is not finite.

    >>> sign_flip_p([-1.0, -2.0, -0.5, -1.5, -1.0, -0.7])
    0.03125
    """
    values = np.asarray(differences, np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a difference is not finite")
    if values.size == 0 or not values.any():
        return math.nan
    subsets, _ = _subsets(values.size)
    sums, room = subsets @ values, 1e-12 * float(np.abs(values).sum())  # of rounding
    greater = (1 + np.sum(sums <= room)) / (1 + sums.size)  # one more: nothing is flipped
    less = (1 + np.sum(sums >= -room)) / (1 + sums.size)
    both = min(1.0, 2 * min(greater, less))
    return float({"greater": greater, "less": less, "two-sided": both}[alternative])


def mean_interval(differences: ArrayLike, level: float = 0.95) -> Interval:
    """Return the mean difference and the interval of all means that the sign flip does not reject.

    Its ends are order statistics of the means of all subsets of the differences (of `FLIPS` random
    ones above 14 pairs): a subset's mean is at most m just if flipping that subset of d - m makes
    the mean no larger. No interval below `FEWEST_FOR_INTERVAL` differences.

    Source: Hartigan, Journal of the American Statistical Association 64 (1969) 1303.

    >>> [round(end, 2) for end in mean_interval([1, 2, 3, 4, 5, 6, 7, 8])]
    [4.5, 2.33, 6.67]
    """
    values = np.asarray(differences, np.float64)
    if values.size == 0:
        return NOTHING
    mean = float(values.mean())
    if values.size < FEWEST_FOR_INTERVAL:
        return Interval(mean, math.nan, math.nan)
    subsets, sizes = _subsets(values.size)
    means = np.sort(subsets @ values / sizes)
    k = max(1, math.floor((1 - level) / 2 * (means.size + 1)))
    return Interval(mean, float(means[k - 1]), float(means[-k]))


@functools.lru_cache(maxsize=8)
def _subsets(count: int) -> tuple[NDArray, NDArray]:
    """Return nonempty subsets of so many as rows of 0 and 1, and their sizes."""
    if 2**count <= FLIPS:
        rows = (np.arange(1, 2**count)[:, None] >> np.arange(count)) & 1
    else:
        rows = np.random.default_rng(0).integers(0, 2, (FLIPS - 1, count))
        rows = rows[rows.any(axis=1)]
    return rows.astype(np.float64), rows.sum(axis=1)


def compared(first: Passages, second: Passages, horizon: ArrayLike) -> Comparison:
    """Return the first setting beside the second, over the seeds whose runs went far enough.

    d = log(min(T, H) / min(T', H)) of each seed. A pair counts if both runs got there, or to the
    horizon H; one in which neither got there says nothing of the ratio, and is counted apart.
    The horizon is one number, or one of each seed that is in both, in their order.

    >>> one = Passages(np.arange(8), np.full(8, 50.0), np.full(8, True))
    >>> other = Passages(np.arange(8), np.full(8, 100.0), np.full(8, False))
    >>> result = compared(one, other, 100)
    >>> round(result.ratio.value, 6), result.bound
    (0.5, '<')
    """
    pairs = matched(first, second, horizon)
    bound: Bound = ""
    if pairs.first.size:
        bound = ">" if not pairs.escaped.any() else "<" if not pairs.escaped_too.any() else ""
    return of_ratios(pairs.first, pairs.second)._replace(
        bound=bound,
        censored=pairs.censored,
        unfollowed=pairs.unfollowed,
        cut=int((~pairs.escaped | ~pairs.escaped_too).sum()),
    )


def matched(first: Passages, second: Passages, horizon: ArrayLike) -> Pairs:
    """Return the pairs that `compared` rests on."""
    seeds, i, j = np.intersect1d(first.seeds, second.seeds, return_indices=True)
    (_, t, there), (_, u, there_too) = (
        [part[k] for part in s] for s, k in ((first, i), (second, j))
    )
    end = np.broadcast_to(np.asarray(horizon, np.float64), t.shape)
    there, there_too = there & (t <= end), there_too & (u <= end)
    far = (there | (t >= end)) & (there_too | (u >= end))
    kept = far & (there | there_too)
    return Pairs(
        seeds[kept],
        np.minimum(t, end)[kept],
        np.minimum(u, end)[kept],
        there[kept],
        there_too[kept],
        int((far & ~kept).sum()),
        int((~far).sum()),
    )


def of_ratios(first: ArrayLike, second: ArrayLike) -> Comparison:
    """Return positive values of a setting beside those of its baseline, pair by pair."""
    t, u = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if t.size == 0:
        return NO_COMPARISON
    differences = np.log(t) - np.log(u)
    p_value = sign_flip_p(differences) if t.size >= FEWEST_FOR_P else math.nan
    sooner = float(np.mean((t < u) + 0.5 * (t == u)))
    ratio = Interval(*np.exp(mean_interval(differences)).tolist())
    ratios = tuple((t / u).tolist())
    return Comparison(ratio, p_value, sooner, t.size, 0, "", ratios=ratios)
