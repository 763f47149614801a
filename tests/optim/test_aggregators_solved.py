"""The aggregators that solve something, by closed forms and by the property they are made for."""

import functools

import jax
import numpy as np
import pytest

from plateaus.optim.aggregation import AGGREGATORS, aggregator, blend
from plateaus.optim.aggregators.bargaining import bargain


def gradients(size, seed=0, width=None, shift=0.0):
    return np.random.default_rng(seed).standard_normal((size, width or 3 * size)) + shift


@functools.cache
def program(name, **fixed):
    """(Gram matrix, its numbers) -> weights; one compilation a size, whatever the numbers."""
    return jax.jit(lambda gram, numbers: aggregator(name, **fixed, **numbers).update(gram, ())[0])


def weigh(name, rows, numbers=None, **fixed):
    """The weights of an aggregator with `numbers` traced, and `fixed` options."""
    gram = np.asarray(rows @ rows.T, np.float32)
    return np.asarray(program(name, **fixed)(gram, numbers or {}), np.float64)


PAIRS = [
    gradients(2, seed=seed, width=3) * [[1.0], [scale]] for seed, scale in enumerate((1, 2, 9))
]
PAIRS += [np.array([[1.0, 0.0], [-1.0, 0.5]]), np.array([[1.0, 0.0], [3.0, 0.5]])]
pairs = pytest.mark.parametrize("rows", PAIRS)


@pairs
def test_mgda_of_two(rows):
    """The nearest point of a segment."""
    one, two = rows
    share = np.clip((two - one) @ two / ((two - one) @ (two - one)), 0, 1)
    np.testing.assert_allclose(weigh("mgda", rows), [share, 1 - share], atol=1e-5)


@pairs
def test_upgrad_of_two(rows):
    """Where they conflict, each is projected on the other's normal plane; half their sum."""
    one, two = rows
    product = min(one @ two, 0)
    expected = (1 - product / (one @ one)) / 2, (1 - product / (two @ two)) / 2
    squares = np.sum(rows**2, axis=1)
    rtol = 2 * 1e-5 * squares.sum() / squares.min() + 1e-5  # what the ridge is to the shorter one
    np.testing.assert_allclose(weigh("upgrad", rows, ridge=1e-5), expected, rtol=rtol)


@pairs
def test_imtl_g_of_two(rows):
    """Inversely to the lengths: the bisector."""
    inverse = 1 / np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(weigh("imtl_g", rows), inverse / inverse.sum(), rtol=1e-3)


@pairs
def test_nash_of_two(rows):
    """Both have the same say, at w_b = 1 / |g_b| up to a common factor: the bisector again."""
    weights = weigh("nash_mtl", rows)
    np.testing.assert_allclose(np.linalg.norm(weights @ rows), 1, rtol=1e-5)
    share = weights * np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(share[0], share[1], rtol=1e-5)


@pytest.mark.parametrize("size", (3, 10))
def test_imtl_g_has_equal_projections_on_the_result(size):
    rows = gradients(size)
    result = weigh("imtl_g", rows) @ rows
    projections = rows @ result / np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(projections, projections[0], rtol=1e-4)


KEPT = {"min": np.min, "median": np.median, "rmse": lambda x: np.sqrt(np.mean(x**2))}


@pytest.mark.parametrize("scale", KEPT)
def test_aligned_mtl_makes_all_singular_values_one(scale):
    rows = gradients(5)
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    expected = KEPT[scale](values) * (left @ right).mean(0)
    np.testing.assert_allclose(weigh("aligned_mtl", rows, scale=scale) @ rows, expected, rtol=1e-3)
    with pytest.raises(ValueError, match="scale must be one of"):
        aggregator("aligned_mtl", scale="max")


@pytest.mark.parametrize("c", (0.1, 0.5, 1.0, 3.0))
@pytest.mark.parametrize("width", (4, 24))
def test_cagrad_closes_the_duality_gap(c, width):
    """The least g_b . d equals the dual's value at the weights that are beyond the mean."""
    rows = gradients(8, width=width, shift=0.5)
    weights, mean = weigh("cagrad", rows, {"c": c}), rows.mean(0)
    radius = c * np.linalg.norm(mean)
    result, beyond = weights @ rows, weights - 1 / 8
    assert np.linalg.norm(result - mean) <= (1 + 1e-5) * radius
    dual = beyond / beyond.sum() @ rows
    dual = mean @ dual + radius * np.linalg.norm(dual)
    assert dual - (rows @ result).min() < 1e-4 * np.linalg.norm(mean) * np.linalg.norm(rows[0])


def test_cagrad_without_a_radius_is_the_mean_bit_for_bit():
    for rows in (gradients(3), np.array([[1.0, 0.0], [-1.0, 0.0]]), np.zeros((3, 2))):
        assert np.array_equal(weigh("cagrad", rows, c=0.0), weigh("mean", rows))
        assert np.array_equal(weigh("cagrad", rows, {"c": 0.0}), weigh("mean", rows))


def test_cagrad_stops_at_a_stationary_point():
    assert weigh("cagrad", np.array([[1.0, 0.0], [-1.0, 0.0]])).tolist() == [0, 0]


@pytest.mark.parametrize("alpha", (0.25, 0.5, 1.0, 2.0, 10.0))
@pytest.mark.parametrize("scale", (1e-3, 1.0, 1e3))
def test_fairgrad_solves_its_equation(alpha, scale):
    rows = scale * gradients(10, shift=0.2) * np.linspace(0.3, 3, 10)[:, None]
    weights = weigh("fairgrad", rows, {"alpha": alpha})
    np.testing.assert_allclose(rows @ (weights @ rows), weights ** (-1 / alpha), rtol=1e-4)


def test_fairgrad_without_fairness_is_the_mean_bit_for_bit():
    rows = gradients(3)
    for zero in (weigh("fairgrad", rows, alpha=0.0), weigh("fairgrad", rows, {"alpha": 0.0})):
        assert np.array_equal(zero, weigh("mean", rows))


@pytest.mark.parametrize("max_norm", (0.0, 0.1, 1e6))
def test_nash_gives_everyone_the_same_say(max_norm):
    rows = gradients(12) * np.logspace(-1, 1, 12)[:, None]
    weights = weigh("nash_mtl", rows, {"max_norm": max_norm})
    says = weights * (rows @ (weights @ rows))
    np.testing.assert_allclose(says, says.mean(), rtol=1e-4)
    length = np.linalg.norm(weights @ rows)
    if max_norm == 0.1:
        np.testing.assert_allclose(length, 0.1, rtol=1e-5)
    else:
        frobenius = np.linalg.norm(rows @ rows.T)
        np.testing.assert_allclose(length, np.sqrt(12 * frobenius), rtol=1e-4)


@jax.jit
def bargains(grams, power):
    return jax.vmap(lambda gram: bargain(gram, power))(grams)


@pytest.mark.parametrize("power", (0.25, 1.0, 4.0))
@pytest.mark.parametrize("size", (4, 32))
def test_impossible_bargains_stay_finite(power, size):
    """Gradients in opposite pairs, or more of them than dimensions: 0 is in their hull."""
    rng = np.random.default_rng(0)
    pairs = np.repeat(rng.standard_normal((10, size // 2, 3 * size)), 2, axis=1)
    pairs[:, ::2] *= -1
    many = np.pad(rng.standard_normal((10, size, 2)), ((0, 0), (0, 0), (0, 3 * size - 2)))
    many[:, -1] = -many[:, :-1].sum(1)
    rows = np.concatenate([pairs, many])
    gram = np.einsum("mbn,mcn->mbc", rows, rows).astype(np.float32)
    weights = np.asarray(bargains(gram, power), np.float64)
    assert np.all(np.isfinite(weights)) and np.all(weights > 0)
    lengths = np.linalg.norm(np.einsum("mb,mbn->mn", weights, rows), axis=1)
    assert np.all(lengths < 0.1 * weights.sum(1) * np.linalg.norm(rows, axis=2).max(1))


def test_the_nearest_name_is_named():
    with pytest.raises(ValueError, match="no aggregator 'pc_grad'; did you mean pcgrad"):
        aggregator("pc_grad")


def test_blend_refuses_an_unknown_scale():
    with pytest.raises(ValueError, match="returns must be 'sum' or 'mean'"):
        blend(AGGREGATORS["mgda"].make(), 0.5, "average")
