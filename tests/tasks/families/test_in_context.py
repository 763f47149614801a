"""Continuous in-context predictors against Bayes' rule in float64, on few coordinates."""

import itertools

import numpy as np
import pytest

from plateaus.tasks.families.registry import Sizes, family

D, N = 3, 10
SIZES = Sizes(dimension=D, points=N, noise=0.5, sparse=2)
PROMPTS = 30


def _least(features, y):
    """The shortest w that fits: the posterior mean under N(0, I), without noise."""
    return np.linalg.pinv(features, rcond=1e-9) @ y if len(y) else np.zeros(features.shape[1])


def _linear(x, y, x_i):
    return x_i @ _least(x, y)


def _quadratic(x, y, x_i):
    def features(x):
        return np.einsum("...i,...j->...ij", x, x).reshape(*x.shape[:-1], D * D)

    return features(x_i) @ _least(features(x), y)


def _noisy(x, y, x_i):
    return x_i @ np.linalg.solve(x.T @ x + 0.25 * np.eye(D), x.T @ y)


def _sparse(x, y, x_i):
    """A Gaussian process for each support, weighted by its density at y; sigma = 1e-5 for 0."""
    said, log_density = [], []
    for support in map(list, itertools.combinations(range(D), 2)):
        part = x[:, support]
        covariance = part @ part.T + 1e-10 * np.eye(len(y))
        solved = np.linalg.solve(covariance, y)
        said.append(x_i[support] @ part.T @ solved)
        log_density.append(-(y @ solved + np.linalg.slogdet(covariance)[1]) / 2)
    odds = np.exp(np.array(log_density) - max(log_density))
    return np.array(said) @ odds / odds.sum()


BAYES = {
    "linear": _linear,
    "skewed_linear": _linear,
    "student_linear": _linear,
    "hermite_linear": _linear,
    "noisy_linear": _noisy,
    "student_noisy_linear": _noisy,
    "quadratic": _quadratic,
    "skewed_quadratic": _quadratic,
    "sparse_linear": _sparse,
    "student_sparse_linear": _sparse,
}


FIRST = ("linear", "noisy_linear", "quadratic", "sparse_linear", "hermite_linear")


@pytest.mark.parametrize(
    "name",
    [*FIRST, *(pytest.param(n, marks=pytest.mark.thorough) for n in BAYES if n not in FIRST)],
)
def test_predictions_are_bayes(name, answered):
    drawn = answered(name, SIZES, PROMPTS)
    right = [
        [BAYES[name](x[:i], y[:i], x[i]) for i in range(N)]
        for x, y in zip(drawn.x, drawn.y, strict=True)
    ]
    # a float32 error grows with how badly the points determine w: a few prompts are off by more
    off = abs(drawn.in_context - right) / (1 + abs(drawn.y))
    assert np.quantile(off, 0.98) < 1e-3
    assert np.median(off) < 2e-5
    assert off.max() < 0.3


@pytest.mark.parametrize(
    ("name", "needed"), [("linear", 10), ("sparse_linear", 10), ("quadratic", 55)]
)
def test_at_the_paper_s_size_nothing_is_left_to_learn(name, needed, answered):
    """In float32, once the points determine the function: far below the threshold of learned."""
    sizes = Sizes(dimension=10, points=80)
    drawn = answered(name, sizes, 16)
    errors = np.mean((drawn.y - drawn.in_context) ** 2, axis=0) / drawn.law.no_context_loss
    assert np.isfinite(drawn.in_context).all()
    assert errors[needed + 5 :].max() < 1e-3
    assert errors[0] > 0.2


def test_many_supports_are_not_gone_through():
    assert family("sparse_linear", Sizes(dimension=15)).in_context  # 455
    assert family("sparse_linear", Sizes(dimension=16)).in_context is None  # 560
