"""The lengths of plateaus: restricted mean times, as far as the runs were followed, and ratios."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plateaus.report.survival import Interval, Passages, bootstrap_interval, restricted_mean


def followed_to(horizon: float | int, *samples: Passages) -> float:
    """Return how far the curves of all samples are known: to the horizon, or to the last run.

    To the last run of a sample if that was censored; a curve that has come to 0 stays there. Runs
    that were followed for less than others are censored among them, and do not cut these short.

    >>> two = Passages(np.arange(2), np.array([100.0, 200.0]), np.array([True, False]))
    >>> followed_to(500, two), followed_to(500, two._replace(escaped=np.array([False, True])))
    (200.0, 500.0)
    """
    ends = [float(horizon)]
    for sample in samples:
        latest = sample.times.max(initial=0.0)
        if not sample.escaped[sample.times == latest].all():
            ends.append(float(latest))
    return min(ends)


def plateau_length(sample: Passages, horizon: float | int) -> tuple[Interval, str]:
    """Return the restricted mean with its bootstrap interval, and a note where there is none.

    To the horizon, or as far as the runs were followed.
    """
    end = followed_to(horizon, sample)
    return bootstrap_interval(sample[1:], lambda t, e, axis: restricted_mean(t, e, end, axis))


def paired(first: Passages, second: Passages) -> tuple[Passages, Passages]:
    """Return both samples of the seeds run in both, in one order."""
    _, i, j = np.intersect1d(first.seeds, second.seeds, return_indices=True)
    return Passages(*(part[i] for part in first)), Passages(*(part[j] for part in second))


def length_ratio(
    first: Passages, second: Passages, horizon: float | int
) -> tuple[Interval, int, str]:
    """Return the ratio of restricted means over the seeds run in both settings, and their number.

    With its interval, bootstrapped by pairs, and a note where there is none. Both means are to the
    horizon, or as far as the runs of both were followed.
    """
    first, second = paired(first, second)
    end = followed_to(horizon, first, second)

    def statistic(t: NDArray, e: NDArray, u: NDArray, f: NDArray, axis: int) -> NDArray:
        below = restricted_mean(u, f, end, axis)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(restricted_mean(t, e, end, axis) / below)

    interval, note = bootstrap_interval((*first[1:], *second[1:]), statistic)
    return interval, first.times.size, note
