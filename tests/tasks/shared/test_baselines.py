"""In-context baselines against numpy, prefix by prefix, and scikit-learn's against closed forms."""

import builtins
import functools
import sys

import jax
import numpy as np
import pytest

from plateaus.tasks.shared import baselines, baselines_scikit

N, D = 9, 4
JAX = {
    "least_squares": baselines.least_squares,
    "nearest_neighbours": baselines.nearest_neighbours(3),
    "weighted": baselines.nearest_neighbours(3, weighted=True),
    "averaging": baselines.averaging,
    "gradient_descent": baselines.gradient_descent(steps=7, rate=0.2),
}


@functools.cache
def predictor(name):
    """Of this name, "net" with parameters drawn when it is asked for."""
    if name == "net":
        return baselines.gradient_descent_net(jax.random.key(1), hidden=6, steps=5)
    return JAX[name]


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


def nearest(k, weighted):
    def one(x, y, query):
        distance = np.sqrt(((x - query) ** 2).sum(axis=1))
        near = sorted(range(len(y)), key=lambda j: distance[j])[:k]
        if not weighted:
            return np.mean([y[j] for j in near])
        if any(distance[j] == 0 for j in near):
            return np.mean([y[j] for j in near if distance[j] == 0])
        return np.average([y[j] for j in near], weights=[1 / distance[j] for j in near])

    return one


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 3, 20])
def test_nearest_neighbours(k, weighted):
    x, y = prompt(5)
    x[6], x[7] = x[2], x[2]  # exact matches
    predict = baselines.nearest_neighbours(k, weighted=weighted)
    wanted = by_prefix(x, y, nearest(k, weighted))
    np.testing.assert_allclose(said(predict, x, y), wanted, rtol=1e-4, atol=1e-5)


def test_averaging_and_gradient_descent():
    x, y = prompt(7)
    wanted = by_prefix(x, y, lambda x, y, query: query @ np.mean(y[:, None] * x, axis=0))
    np.testing.assert_allclose(said(baselines.averaging, x, y), wanted, rtol=1e-4, atol=1e-5)

    def descend(x, y, query):
        w = np.zeros(D)
        for _ in range(7):
            w = w - 0.2 * np.mean((x @ w - y)[:, None] * x, axis=0)
        return query @ w

    wanted = by_prefix(x, y, descend)
    np.testing.assert_allclose(said(JAX["gradient_descent"], x, y), wanted, rtol=1e-4, atol=1e-5)
    far = baselines.gradient_descent(steps=3000, rate=0.3)
    one_step = baselines.gradient_descent(steps=1, rate=1.0)
    np.testing.assert_allclose(said(far, x, y)[:4], by_prefix(x, y, lstsq)[:4], atol=2e-3)
    np.testing.assert_allclose(said(one_step, x, y), said(baselines.averaging, x, y), atol=1e-5)


def test_a_net_s_gradient_descent_fits_what_is_not_linear():
    """|x| from 30 points: a linear w cannot (its best has the variance of |x|), the net can."""
    x = np.linspace(-2, 2, 31)[np.random.default_rng(0).permutation(31)][:, None]
    y = np.abs(x[:, 0])
    net = baselines.gradient_descent_net(jax.random.key(0), hidden=32, steps=300, rate=0.02)
    errors = said(net, x, y)[-8:] - y[-8:]
    line = said(baselines.least_squares, x, y)[-8:] - y[-8:]
    assert np.mean(errors**2) < 0.02 < 0.3 < np.mean(line**2)


@pytest.mark.parametrize("name", [*JAX, "net"])
def test_predictions_are_causal_and_mapped(name):
    """No prediction changes with its own y, a later y or a later x; vmap is the prompts in turn."""
    (x, y), predict = prompt(2), predictor(name)
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


def test_lasso_meets_its_optimality_conditions():
    """Orthonormal points: the solution is the soft threshold of the averages."""
    pytest.importorskip("sklearn")
    x = np.sqrt(4.0) * np.eye(4)[None]
    x = np.concatenate([x, np.ones((1, 1, 4))], axis=1)
    y = np.array([[6.0, 0.1, -4.0, 1.0, 0.0]])
    mean = (y[0, :4, None] * x[0, :4]).mean(axis=0)
    w = np.sign(mean) * np.maximum(np.abs(mean) - 0.3, 0.0)
    assert (w == 0).any()
    predicted = baselines_scikit.lasso(0.3, prefixes=(0, 4))(x, y)
    np.testing.assert_allclose(predicted[0, [0, 4]], [0.0, w.sum()], atol=1e-6)
    assert np.isnan(predicted[0, 1:4]).all()
    with pytest.raises(ValueError, match="from 0 to 4"):
        baselines_scikit.lasso(0.3, prefixes=(5,))(x, y)


def test_trees_fit_steps():
    pytest.importorskip("sklearn")
    x = np.array([[[-2.0], [-1.0], [1.0], [2.0], [1.5], [-1.5]]])
    y = np.where(x[..., 0] > 0, 3.0, -3.0)
    grown = baselines_scikit.tree()(x, y)
    np.testing.assert_array_equal(grown, [[0.0, -3.0, -3.0, 3.0, 3.0, -3.0]])
    trees, rate = 20, 0.3
    boosted = baselines_scikit.boosted_trees(trees=trees, rate=rate)(x, y)
    mean = y[0, :4].mean()  # each tree takes away `rate` of what is left
    np.testing.assert_allclose(boosted[0, 4], 3.0 + (mean - 3.0) * (1 - rate) ** trees, rtol=1e-6)
    assert boosted[0, 0] == 0 and boosted[0, 1] == -3.0


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
    with pytest.raises(ImportError, match=r"^needs scikit-learn: pip install 'plateaus\[baselines"):
        baselines_scikit.tree()
