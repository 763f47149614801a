"""Boosted trees as predictors in context: on the host, refitted to every prefix.

For analysis of prompts and predictions; a fit for each prompt and each prefix is slow, and cannot
run inside a compiled program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Learner: TypeAlias = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float64]]


def boosted_trees(
    *,
    trees: int = 50,
    max_depth: int = 4,
    rate: float = 0.1,
    prefixes: Sequence[int] | None = None,
    seed: int = 0,
) -> Learner:
    """Return: gradient boosting of regression trees; ties of splits are broken by the seed.

    A learner is `(x [P, n, d], y [P, n]) -> [P, n]`, prompts x points, in float64: every y_i is
    predicted from the points before it, the first one as 0. `prefixes` thins the points out, and
    has NaN at all others.

    Raises ImportError, in one line, without scikit-learn; the learner ValueError for a prefix that
    is not there.

    Source: Garg et al. 2022 (arXiv 2208.01066), section 4: XGBoost with 50 trees of depth 4 at a
    rate of 0.1. Here scikit-learn's, whose trees have no penalty on their leaves.
    """
    try:
        from sklearn.ensemble import GradientBoostingRegressor
    except ImportError as error:
        raise ImportError("needs scikit-learn: pip install 'plateaus[sklearn]'") from error

    def predict(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        count, n, _ = x.shape
        chosen = range(n) if prefixes is None else prefixes
        if not all(0 <= i < n for i in chosen):
            raise ValueError(f"prefixes must be from 0 to {n - 1}: {list(chosen)}")
        predictions = np.full((count, n), np.nan)
        for i in chosen:
            for p in range(count):
                model = GradientBoostingRegressor(
                    n_estimators=trees, max_depth=max_depth, learning_rate=rate, random_state=seed
                )
                after = model.fit(x[p, :i], y[p, :i]).predict(x[p, i : i + 1]) if i else [0.0]
                predictions[p, i] = after[0]
        return predictions

    return predict
