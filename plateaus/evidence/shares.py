"""The share of runs with an event beside a limit, looked at several times while seeds are added.

The level is spent over the looks as by the sign-flip test (`sequential`). A look has the exact
binomial interval at what it spends, and decides if that leaves out the limit. What a look has
excluded stays excluded, which narrows the interval and never changes the side: by the union bound
the true share is outside in no more than the level on each side, whatever it is.

Source: Clopper and Pearson, Biometrika 26 (1934) 404; Jennison and Turnbull, Journal of the Royal
Statistical Society B 51 (1989) 305 (intervals at all looks at once).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from plateaus.evidence.sequential import POWER
from plateaus.report.survival import Interval

Side = Literal["below", "above", ""]


class Share(NamedTuple):
    """The share of runs with an event, and on which side of a limit it is.

    Fields:
      interval: the share at the last look, and the ends of the shares that no look has excluded;
        both are NaN in the odd case that nothing is left.
      side: of the limit; "" where the looks so far leave both.
      runs: at the look that decided, or else at the last one reached; 0 before any.
    """

    interval: Interval
    side: Side
    runs: int


def beside(there: ArrayLike, limit: float, looks: Sequence[int], level: float) -> Share:
    """Return the share at the first look whose interval leaves out the limit, or at the last look.

    Args:
      there: by run, in the order of the seeds: whether it has the event.
      limit: a share that the claim is below or above.
      looks: growing numbers of runs, the last one the cap; those that are not reached yet have not
        happened.
      level: one-sided, between 0 and 1.

    >>> beside([True] * 15 + [False], 0.2, (16, 32), 0.025).side
    'above'
    >>> found = beside([False] * 16, 0.2, (16, 32), 0.025)
    >>> found.side, [round(end, 2) for end in found.interval]
    ('', [0.0, 0.0, 0.27])
    """
    happened = np.asarray(there, bool)
    low, high, before = 0.0, 1.0, 0
    exact = Interval(math.nan, low, high)
    side: Side = ""
    for runs in [look for look in looks if look <= happened.size]:
        spent = level * (runs**POWER - before**POWER) / looks[-1] ** POWER
        exact = clopper_pearson(int(happened[:runs].sum()), runs, spent)
        low, high, before = max(low, exact.low), min(high, exact.high), runs
        side = "below" if exact.high < limit else "above" if exact.low > limit else ""
        if side:
            break
    ends = (low, high) if low <= high else (math.nan, math.nan)
    return Share(Interval(exact.value, *ends), side, before)


def clopper_pearson(count: int, runs: int, level: float) -> Interval:
    """Return a share and its exact interval, each end of which errs in `level` or less.

    >>> [round(end, 3) for end in clopper_pearson(0, 32, 0.025)]
    [0.0, 0.0, 0.109]
    """
    low = float(stats.beta.ppf(level, count, runs - count + 1)) if count else 0.0
    high = float(stats.beta.ppf(1 - level, count + 1, runs - count)) if count < runs else 1.0
    return Interval(count / runs, low, high)
