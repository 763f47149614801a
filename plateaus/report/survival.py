"""Right-censored times: Kaplan-Meier medians, restricted means, and intervals.

Everything takes plain arrays, one entry a run: `times` in optimiser steps and `escaped`, False
where the run was right-censored, that is, had not escaped by `times`.
"""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

RESAMPLES = 9999
FEWEST_RUNS = 8  # of an interval: of fewer, the runs themselves say as much


class Interval(NamedTuple):
    """A point estimate and the ends of its 95% confidence interval; NaN where there is none."""

    value: float
    low: float
    high: float


NOTHING = Interval(math.nan, math.nan, math.nan)


class Passages(NamedTuple):
    """When the runs of one setting passed a threshold, one entry a run that was started.

    seeds: [runs]. times: in steps, of passage or of censoring. escaped: False if censored.
    """

    seeds: NDArray
    times: NDArray
    escaped: NDArray


def censored(times: ArrayLike, escaped: ArrayLike) -> stats.CensoredData:
    """Return the runs as scipy's censored sample."""
    return stats.CensoredData.right_censored(
        np.asarray(times, np.float64), ~np.asarray(escaped, bool)
    )


def survival_curve(times: ArrayLike, escaped: ArrayLike) -> tuple[NDArray, NDArray]:
    """Return the Kaplan-Meier curve: the distinct times and the fraction still on the plateau.

    >>> steps, fraction = survival_curve([10, 20, 20], [True, True, False])
    >>> [round(float(value), 3) for value in fraction]
    [0.667, 0.333]
    """
    curve = stats.ecdf(censored(times, escaped)).sf
    return curve.quantiles, curve.probabilities


def survival_band(
    times: ArrayLike, escaped: ArrayLike, level: float = 0.95
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Return the Kaplan-Meier curve's times, fractions, and pointwise log-log band [low, high].

    Where the curve is 0 Greenwood's variance is undefined; there the upper end is the exact
    binomial limit for no survivor among n. Where it is 1 the band is the curve; NaN of one run, or
    where none escaped.

    Source: Sawyer, "The Greenwood and Exponential Greenwood confidence intervals in survival
    analysis" (2003).

    >>> _, fraction, low, high = survival_band([10, 20, 30], [True, True, False])
    >>> bool(np.all((low < fraction) & (fraction < high)))
    True
    """
    curve = stats.ecdf(censored(times, escaped)).sf
    steps, fraction = curve.quantiles, curve.probabilities
    events = int(np.sum(np.asarray(escaped, bool)))
    if np.size(times) < 2 or events == 0:
        return steps, fraction, np.full(steps.shape, np.nan), np.full(steps.shape, np.nan)
    with warnings.catch_warnings():  # "undefined at some observations": where it is 0 or 1
        warnings.simplefilter("ignore", RuntimeWarning)
        band = curve.confidence_interval(level, method="log-log")
    exact = ((1 - level) / 2) ** (1 / events)
    low, high = band.low.probabilities, band.high.probabilities
    low = np.where(fraction <= 0, 0.0, np.where(fraction >= 1, 1.0, low))
    high = np.where(fraction <= 0, 1 - exact, np.where(fraction >= 1, 1.0, high))
    return steps, fraction, low, high


def median_time(times: ArrayLike, escaped: ArrayLike, level: float = 0.95) -> Interval:
    """Return the Kaplan-Meier median and its Brookmeyer-Crowley interval on the log-log scale.

    The median is the first time at which the curve is at or under 1/2, or the middle of the flat
    stretch where it equals 1/2 (the usual convention of the sample median). The interval holds
    the times at which the pointwise log-log band of the curve holds 1/2. `inf`: not reached.
    Where the curve is 0 Greenwood's variance is undefined; there the upper band is the exact
    binomial limit for no survivor among n, so that 6 runs can bound a median and 5 cannot.
    No interval (NaN) for fewer than two runs, or when no run escaped.

    Source: Brookmeyer and Crowley, Biometrics 38 (1982) 29; Sawyer, "The Greenwood and
    Exponential Greenwood confidence intervals in survival analysis" (2003).

    >>> median_time([10, 20, 30, 40], [True, True, True, False]).value
    25.0
    """
    if np.size(times) == 0:
        return NOTHING
    steps, fraction, lower, upper = survival_band(times, escaped, level)
    tolerance = 1e-9  # the curve is a product of fractions: 1/2 only to rounding
    value = _first(steps, fraction <= 0.5 + tolerance)
    later = steps[fraction < 0.5 - tolerance]
    if later.size and np.any(np.abs(fraction - 0.5) <= tolerance):
        value = (value + float(later[0])) / 2
    events = int(np.sum(np.asarray(escaped, bool)))
    if np.size(times) < 2 or events == 0:
        return Interval(value, math.nan, math.nan)
    return Interval(value, _first(steps, lower <= 0.5), _first(steps, upper <= 0.5))


def _first(steps: NDArray, reached: NDArray) -> float:
    return float(steps[reached.argmax()]) if reached.any() else math.inf


def restricted_mean(
    times: ArrayLike, escaped: ArrayLike, horizon: float | int, axis: int = -1
) -> NDArray[np.float64]:
    """Return the area under the Kaplan-Meier curve from 0 to the horizon, in steps.

    With every run followed to escape or to the horizon this is the mean of min(T, horizon). A
    curve that ends early, on a censored run, is carried on flat: an upper bound.

    >>> round(float(restricted_mean([10, 20, 90], [True, True, False], horizon=60)), 6)
    30.0
    """
    moved, flags = (np.moveaxis(np.asarray(a), axis, -1) for a in (times, escaped))
    event = flags.astype(bool)  # one past the horizon steps down there, over no area
    clipped = np.minimum(moved.astype(np.float64), horizon)
    order = np.lexsort((~event, clipped))  # at equal times those censored leave last
    clipped, event = (np.take_along_axis(a, order, -1) for a in (clipped, event))
    at_risk = np.arange(clipped.shape[-1], 0, -1)
    fraction = np.cumprod(1 - event / at_risk, axis=-1)
    width = np.diff(clipped, axis=-1, append=horizon)
    return np.asarray(clipped[..., 0] + np.sum(fraction * width, axis=-1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's step-down adjusted p-values: family-wise error, no independence assumed.

    p~_(i) = max_{j <= i} min(1, (m - j + 1) p_(j)); NaN stays NaN and counts for no test.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979) 65.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    from statsmodels.stats.multitest import multipletests  # slow to import

    adjusted = np.array(p_values, np.float64)
    tested = np.isfinite(adjusted)
    if tested.sum() > 1:
        gc.freeze()  # the call collects garbage, for up to half a second where there is much
        adjusted[tested] = multipletests(adjusted[tested], method="holm")[1]
        gc.unfreeze()
    return [float(p) for p in adjusted]


def mean_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Return the mean and its Student t interval; none of fewer than `FEWEST_RUNS` values.

    Losses and shares have ends, which the interval of a few does not know.

    >>> [round(end, 2) for end in mean_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])]
    [4.5, 2.45, 6.55]
    """
    sample = np.asarray(values, np.float64)
    if sample.size == 0:
        return NOTHING
    mean = float(sample.mean())
    if sample.size < FEWEST_RUNS:
        return Interval(mean, math.nan, math.nan)
    half = float(stats.t.ppf((1 + level) / 2, sample.size - 1) * stats.sem(sample))
    return Interval(mean, mean - half, mean + half)


def mean_band(curves: NDArray) -> tuple[NDArray, NDArray]:
    """Return the mean over runs and the half width of its 95% Student t interval, [step].

    `curves` is [run, step]. NaN entries are left out; NaN where no run is left, and no width
    where one is.
    """
    usable = np.isfinite(curves)
    count = usable.sum(axis=0)
    filled = np.where(usable, curves, 0.0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = filled.sum(axis=0) / count
        spread = np.where(usable, (filled - mean) ** 2, 0.0).sum(axis=0) / (count - 1)
        half = stats.t.ppf(0.975, np.maximum(count - 1, 1)) * np.sqrt(spread / count)
    return mean, np.where(count > 1, half, np.nan)


def bootstrap_interval(
    samples: Sequence[ArrayLike], statistic: Callable[..., NDArray], level: float = 0.95
) -> tuple[Interval, str]:
    """Return a statistic with its BCa bootstrap interval, and a note where there is none.

    The nominal level is expanded to 2 Phi(sqrt(n / (n - 1)) t_{n-1, (1 + level) / 2}) - 1: a plain
    bootstrap of n runs is too narrow, by as much as a normal interval is beside Student's.
    The resampling seed is fixed, so the same data give the same interval.

    Args:
      samples: arrays of one length, resampled together: entry i of each belongs to pair i.
      statistic: of the samples along `axis`, vectorised.

    Source: Efron, JASA 82 (1987) 171 (BCa); Hesterberg, The American Statistician 69 (2015) 371,
    section 4 (the expanded level).
    """
    data = [np.asarray(sample, np.float64) for sample in samples]
    if data[0].size == 0:
        return NOTHING, "no run"
    value = float(statistic(*data, axis=-1))
    bare, size = Interval(value, math.nan, math.nan), data[0].size
    if size < FEWEST_RUNS:
        return bare, f"fewer than {FEWEST_RUNS} runs"
    if not math.isfinite(value) or all(np.ptp(sample) == 0 for sample in data):
        return bare, "no spread among runs"
    reach = math.sqrt(size / (size - 1)) * stats.t.ppf((1 + level) / 2, size - 1)
    expanded = min(1 - 2 * stats.norm.sf(reach), 0.9999)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # degenerate resamples show as NaN ends, handled below
        ends = stats.bootstrap(
            data,
            statistic,
            paired=True,
            vectorized=True,
            axis=-1,
            confidence_level=expanded,
            n_resamples=RESAMPLES,
            method="BCa",
            rng=np.random.default_rng(0),
        ).confidence_interval
    low, high = float(ends.low), float(ends.high)
    if not (math.isfinite(low) and math.isfinite(high)):
        return bare, "degenerate bootstrap"
    return Interval(value, low, high), ""
