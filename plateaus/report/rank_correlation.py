"""Rank correlations over runs, of what a third quantity leaves unexplained. No jax."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from plateaus.report.survival import FEWEST_RUNS, RESAMPLES, Interval

_NOTHING_LEFT = 1e-9  # of a quantity's spread: what remains is rounding


class Partial(NamedTuple):
    """The rank correlation of two quantities given a third.

    Fields:
      value: with its 95% interval; NaN of fewer than 8 runs, or where nothing is left to correlate.
      p_value: two-sided, by permutations.
    """

    value: Interval
    p_value: float


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's rank correlation; NaN where one of them does not vary.

    >>> spearman([1, 2, 3, 4], [1, 4, 9, np.inf])
    1.0
    """
    a, b = _centred(first), _centred(second)
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size else math.nan


def partial(
    first: ArrayLike, second: ArrayLike, given: ArrayLike, resamples: int = RESAMPLES
) -> Partial:
    r"""Return the rank correlation of two quantities beyond what each shares with a third.

    $\rho = \mathrm{corr}(e_1, e_2)$, where $e$ are the ranks (of ties their mean) less their
    least-squares line in the ranks of the third. The p-value is Freedman and Lane's: the residuals
    $e_2$ are permuted, added to the line again and the correlation taken anew; |.| counts. The
    interval is Fisher's, with $\mathrm{se}^2 = (1 + \rho^2 / 2) / (n - 4)$ on the scale of artanh.

    Args:
      first, second, given: [run], without NaN; inf is above all numbers.
      resamples: permutations of the p-value, whose least is 1 / (resamples + 1).

    Source: Freedman and Lane 1983 (the permutations); Bonett and Wright 2000 (the interval).

    >>> time, loss = np.arange(12.0), np.tile([0.0, 1.0, 2.0], 4)
    >>> round(partial(time + 5 * loss, time, loss).value.value, 2)
    0.98
    >>> partial(2 * loss, time, loss).value.value  # it says nothing that the loss does not
    nan
    """
    line = _centred(given)
    one, two = (_left(_centred(values), line) for values in (first, second))
    undefined = Partial(Interval(math.nan, math.nan, math.nan), math.nan)
    if one is None or two is None or one.size < FEWEST_RUNS:
        return undefined
    size = math.sqrt(float(one @ one))
    value = float(one @ two) / size / math.sqrt(float(two @ two))
    shuffled = np.random.default_rng(0).permuted(np.tile(two, (resamples, 1)), axis=1)
    again = shuffled - _share(shuffled, line)[:, None] * line[None]
    with np.errstate(invalid="ignore", divide="ignore"):
        others = shuffled @ one / size / np.sqrt(np.sum(again**2, axis=1))
    as_far = int(np.sum(~(np.abs(others) < abs(value) - 1e-12)))
    error = math.sqrt((1 + value**2 / 2) / (one.size - 4))
    with np.errstate(divide="ignore"):
        middle = float(np.arctanh(min(max(value, -1.0), 1.0)))
    ends = (math.tanh(middle + sign * 1.959964 * error) for sign in (-1, 1))
    return Partial(Interval(value, *ends), (1 + as_far) / (1 + resamples))


def _centred(values: ArrayLike) -> NDArray[np.float64]:
    """Return the ranks, of ties their mean, less the mean of all."""
    ranks = stats.rankdata(np.asarray(values, np.float64))
    return np.asarray(ranks - ranks.mean(), np.float64)


def _share(values: NDArray, line: NDArray) -> NDArray[np.float64]:
    """Return the slope of centred [.., run] along a centred line; 0 along one that is level."""
    size = float(line @ line)
    return np.asarray(values @ line / size if size else np.zeros(values.shape[:-1]))


def _left(values: NDArray, line: NDArray) -> NDArray[np.float64] | None:
    """Return what a line leaves of values; None where that is nothing."""
    rest = values - _share(values, line) * line
    whole = float(values @ values)
    return rest if whole and float(rest @ rest) > _NOTHING_LEFT**2 * whole else None
