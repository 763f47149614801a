"""In-context baselines against numpy, prefix by prefix, and scikit-learn's against closed forms."""

import builtins
import sys

import jax
import numpy as np
import pytest

from plateaus.tasks.shared import baselines, baselines_scikit

N, D = 9, 4
JAX = {
    "least_squares": baselines.least_squares,
    "nearest_neighbours": baselines.nearest_neighbours(3),
    "averaging": baselines.averaging,
}


def prompt(seed=0, n=N, d=D):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n)


def said(predict, x, y):
    return np.float64(jax.jit(predict)(np.float32(x), np.float32(y)))


def by_prefix(x, y, one):
    """One prediction a prefix, from the points before alone."""
    return np.array([0.0] + [one(x[:i], y[:i], x[i]) for i in range(1, len(y))])


def lstsq(x, y, query):
    return query @ np.linalg.lstsq(x, y, rcond=1e-6)[0]


@pytest.mark.parametrize("points", ["general", "repeated", "flat", "zero"])
def test_least_squares_is_numpy_s(points):
    """Below, at and above d points; points of lower rank have many solutions: the shortest."""
    x, y = prompt(3, n=11)
    if points == "repeated":
        x[1::2] = x[0::2][:5]
    if points == "flat":
        x[:, 2:] = x[:, :2] @ np.array([[2.0, 0.0], [1.0, -1.0]])
    if points == "zero":
        x[:3] = 0.0
    wanted = by_prefix(np.float64(np.float32(x)), np.float64(np.float32(y)), lstsq)
    assert np.abs(wanted[1:]).max() > 0.5
    np.testing.assert_allclose(said(baselines.least_squares, x, y), wanted, rtol=2e-4, atol=2e-4)


def test_least_squares_of_a_noiseless_task_is_right_from_d_points_on():
    x, _ = prompt(1)
    y = x @ np.arange(1.0, D + 1)
    error = said(baselines.least_squares, x, y) - y
    assert np.abs(error[D:]).max() < 1e-3 < np.abs(error[:D]).max()


def nearest(k):
    def one(x, y, query):
        distance = np.sqrt(((x - query) ** 2).sum(axis=1))
        near = sorted(range(len(y)), key=lambda j: distance[j])[:k]
        return np.mean([y[j] for j in near])

    return one


@pytest.mark.parametrize("k", [1, 3, 20])
def test_nearest_neighbours(k):
    x, y = prompt(5)
    x[6], x[7] = x[2], x[2]  # exact matches
    predict = baselines.nearest_neighbours(k)
    wanted = by_prefix(x, y, nearest(k))
    np.testing.assert_allclose(said(predict, x, y), wanted, rtol=1e-4, atol=1e-5)


def test_averaging():
    x, y = prompt(7)
    wanted = by_prefix(x, y, lambda x, y, query: query @ np.mean(y[:, None] * x, axis=0))
    np.testing.assert_allclose(said(baselines.averaging, x, y), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", JAX)
def test_predictions_are_causal_and_mapped(name):
    """No prediction changes with its own y, a later y or a later x; vmap is the prompts in turn."""
    (x, y), predict = prompt(2), JAX[name]
    base = said(predict, x, y)
    assert base[0] == 0 and np.abs(base[1:]).min() > 0
    for i in range(N):
        other_x, other_y = x.copy(), y.copy()
        other_x[i + 1 :] += 5.0
        other_y[i:] += 5.0
        np.testing.assert_array_equal(said(predict, other_x, other_y)[: i + 1], base[: i + 1])
    pair = [prompt(2), prompt(3)]
    x, y = (np.float32(np.stack(part)) for part in zip(*pair, strict=True))
    together = jax.jit(jax.vmap(predict))(x, y)
    alone = np.stack([said(predict, *one) for one in pair])
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-4)


def test_trees_fit_steps():
    pytest.importorskip("sklearn")
    x = np.array([[[-2.0], [-1.0], [1.0], [2.0], [1.5], [-1.5]]])
    y = np.where(x[..., 0] > 0, 3.0, -3.0)
    trees, rate = 20, 0.3
    boosted = baselines_scikit.boosted_trees(trees=trees, rate=rate)(x, y)
    mean = y[0, :4].mean()  # each tree takes away `rate` of what is left
    np.testing.assert_allclose(boosted[0, 4], 3.0 + (mean - 3.0) * (1 - rate) ** trees, rtol=1e-6)
    assert boosted[0, 0] == 0 and boosted[0, 1] == -3.0
    thinned = baselines_scikit.boosted_trees(trees=trees, rate=rate, prefixes=(0, 4))(x, y)
    np.testing.assert_array_equal(thinned, [[0.0, *[np.nan] * 3, boosted[0, 4], np.nan]])
    with pytest.raises(ValueError, match="from 0 to 5"):
        baselines_scikit.boosted_trees(prefixes=(6,))(x, y)


def test_without_scikit_learn_one_line_names_the_extra(monkeypatch):
    true_import = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("sklearn"):
            raise ModuleNotFoundError(name)
        return true_import(name, *rest)

    for name in [name for name in sys.modules if name.split(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"^needs scikit-learn: pip install 'plateaus\[sklearn"):
        baselines_scikit.boosted_trees()
