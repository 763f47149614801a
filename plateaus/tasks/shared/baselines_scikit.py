"""What learners of scikit-learn say of prompts: on the host, refitted to every prefix.

Each is `(x [P, n, d], y [P, n]) -> [P, n]`, prompts x points, in float64; the first prediction is
0. They are slow, a fit for each prompt and each prefix: `prefixes` thins these out, and has NaN at
all others. For analysis of prompts and predictions; they cannot run inside a compiled program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Learner: TypeAlias = Callable[[NDArray[Any], NDArray[Any]], NDArray[np.float64]]


def _scikit(module: str) -> Any:
    """Return a module of scikit-learn, which is imported only to be used."""
    import importlib

    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise ImportError("needs scikit-learn: pip install 'plateaus[baselines]'") from error


def _refitted(make: Callable[[], Any], prefixes: Sequence[int] | None) -> Learner:
    """Return a learner that fits a new model to every prefix of every prompt."""

    def predict(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        count, n, _ = x.shape
        wanted = range(n) if prefixes is None else prefixes
        if not all(0 <= i < n for i in wanted):
            raise ValueError(f"prefixes must be from 0 to {n - 1}: {list(wanted)}")
        said = np.full((count, n), np.nan)
        for i in wanted:
            for p in range(count):
                model = make().fit(x[p, :i], y[p, :i]) if i else None
                said[p, i] = model.predict(x[p, i : i + 1])[0] if model else 0.0
        return said

    return predict


def tree(
    *, max_depth: int | None = None, prefixes: Sequence[int] | None = None, seed: int = 0
) -> Learner:
    """Return: a regression tree grown greedily; ties of splits are broken by the seed.

    Source: Garg et al. 2022 (arXiv 2208.01066), section 4; depth 4, or not limited.
    """
    grown = _scikit("tree")
    return _refitted(
        lambda: grown.DecisionTreeRegressor(max_depth=max_depth, random_state=seed), prefixes
    )


def boosted_trees(
    *,
    trees: int = 50,
    max_depth: int = 4,
    rate: float = 0.1,
    prefixes: Sequence[int] | None = None,
    seed: int = 0,
) -> Learner:
    """Return: gradient boosting of regression trees.

    Source: Garg et al. 2022 (arXiv 2208.01066), section 4: XGBoost with 50 trees of depth 4 at a
    rate of 0.1. Here scikit-learn's, whose trees have no penalty on their leaves.
    """
    ensemble = _scikit("ensemble")
    return _refitted(
        lambda: ensemble.GradientBoostingRegressor(
            n_estimators=trees, max_depth=max_depth, learning_rate=rate, random_state=seed
        ),
        prefixes,
    )
