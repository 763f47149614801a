"""Settings whose runs share no seeds: the log-rank test.

Those run on the same seeds are compared as pairs, which say more: see `plateaus.report.paired`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from plateaus.report.survival import RESAMPLES, censored

FEWEST_FOR_CHI_SQUARED = 10  # runs of each sample; of fewer its tails are too thin


def logrank_p(first: tuple[ArrayLike, ArrayLike], second: tuple[ArrayLike, ArrayLike]) -> float:
    """Return the two-sided log-rank p-value of two (times, escaped) samples without pairs.

    Where a sample has fewer than `FEWEST_FOR_CHI_SQUARED` runs it is that of permutations of the
    log-rank scores

        a_i = escaped_i - sum_{t_j <= t_i} d_j / n_j,

    (d_j escapes among n_j at risk), whose sum over a sample is observed less expected escapes:
    exact up to `RESAMPLES` permutations. NaN where the data say nothing: a sample has fewer than
    two runs, no run escaped, or every run escaped at one and the same step.

    >>> round(logrank_p(([1, 2, 3], [True] * 3), ([4, 5, 6], [True] * 3)), 6)  # 2 of 20 orders
    0.1
    """
    sizes = np.size(first[0]), np.size(second[0])
    if min(sizes) < 2 or not (np.any(first[1]) or np.any(second[1])):
        return math.nan
    if min(sizes) >= FEWEST_FOR_CHI_SQUARED:
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(stats.logrank(censored(*first), censored(*second)).pvalue)
    scores = _logrank_scores(*(np.concatenate(parts) for parts in zip(first, second, strict=True)))
    if np.ptp(scores) <= 1e-12:
        return math.nan
    result = stats.permutation_test(
        (scores[: sizes[0]], scores[sizes[0] :]),
        lambda x, _, axis: np.sum(x, axis=axis),
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def logrank_excess(
    first: tuple[ArrayLike, ArrayLike], second: tuple[ArrayLike, ArrayLike]
) -> float:
    """Return the observed less the expected escapes of the first sample: above 0 it is sooner.

    >>> round(logrank_excess(([1, 2, 3], [True] * 3), ([4, 5, 6], [True] * 3)), 6)
    1.85
    """
    scores = _logrank_scores(*(np.concatenate(parts) for parts in zip(first, second, strict=True)))
    return float(scores[: np.size(first[0])].sum())


def _logrank_scores(times: NDArray, escaped: NDArray) -> NDArray[np.float64]:
    """Return of each run whether it escaped, less the hazard that it has passed through."""
    steps, place = np.unique(times, return_inverse=True)
    event = np.asarray(escaped, bool)
    events = np.bincount(place, event, steps.size)
    at_risk = np.cumsum(np.bincount(place)[::-1])[::-1]
    return np.asarray(event - np.cumsum(events / at_risk)[place])
