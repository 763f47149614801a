"""The lengths of plateaus: restricted mean times, as far as the runs were followed."""

from __future__ import annotations

import numpy as np

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
    if np.all(sample.escaped | (sample.times >= end)):  # then it is a plain mean, and soon known
        clipped = np.minimum(sample.times, end)
        return bootstrap_interval([clipped], lambda t, axis: np.asarray(t.mean(axis)))
    return bootstrap_interval(sample[1:], lambda t, e, axis: restricted_mean(t, e, end, axis))
