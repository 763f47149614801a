"""What is answered to a prompt of two tasks by following the majority of its last examples."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats


def majority(share: ArrayLike, last: int) -> NDArray[np.float64]:
    r"""Return how often most of the last m examples are of a task of share d, ties halved.

    $F_m(d) = P(B > m/2) + P(B = m/2) / 2$, B ~ Bin(m, d): the examples are drawn independently.
    $F_1(d) = d$, as for a model that superposes: who follows one example has the same mean.

    >>> majority([0.1, 0.5], 1).round(3).tolist(), majority([0.1, 0.5], 3).round(3).tolist()
    ([0.1, 0.5], [0.028, 0.5])
    """
    shares = np.asarray(share, np.float64)
    above = stats.binom.sf(last // 2, last, shares)
    return np.asarray(
        above + (stats.binom.pmf(last // 2, last, shares) / 2 if last % 2 == 0 else 0)
    )
