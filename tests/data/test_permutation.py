"""The keyed permutation: a bijection of every size, and as random as a shuffle as far as seen."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from plateaus.data.permutation import _divided, permute

LEVEL = 1e-4  # of each chi-square below; the keys are fixed, so a test that passes keeps passing


BOTH = pytest.mark.parametrize("of_one_key", (False, True), ids=("keys", "numbers"))

# compiled with some care: here it is the permutations that take the time, not the compiler
CAREFULLY = {"xla_backend_optimization_level": 1}


def keys(count, seed):
    return jax.random.split(jax.random.key(seed), count)


@functools.partial(jax.jit, static_argnums=(0, 4), compiler_options=CAREFULLY)
def _images(count, points, size, seed, of_one_key):
    each = jax.vmap(permute, (None, 0, None, None))
    if of_one_key:
        key, numbers = jax.random.key(seed), jnp.arange(count)
        return jax.vmap(each, (None, None, None, 0))(key, points, size, numbers)
    return jax.vmap(each, (0, None, None, None))(keys(count, seed), points, size, 0)


def images(count, points, size, seed=0, of_one_key=False):
    """Images of points, or of 0 .. points - 1, under so many permutations [permutation, point].

    One of each of so many keys, or as many of one key, as epochs go through them.
    """
    points = np.arange(points, dtype=np.int32) if isinstance(points, int) else np.int32(points)
    return np.asarray(_images(count, points, size, np.uint32(seed), of_one_key))


def test_it_is_a_bijection_of_every_size_up_to_300():
    everything = jax.vmap(jax.vmap(permute, (None, 0, None)), (0, None, 0))
    run = jax.jit(lambda: everything(keys(300, 0), jnp.arange(300), jnp.arange(1, 301)))
    found = np.asarray(run())
    for size, image in zip(range(1, 301), found, strict=True):
        np.testing.assert_array_equal(np.sort(image[:size]), np.arange(size))


@pytest.mark.parametrize("size", (65_536, 100_000))
def test_it_is_a_bijection_of_a_large_size(size):
    image = images(1, size, size)[0]
    np.testing.assert_array_equal(np.sort(image), np.arange(size))
    # nothing is left of the order: correlation with the index and with the neighbour, +- 1/sqrt(n)
    for a, b in ((np.arange(size), image), (image[:-1], image[1:]), (image[:-2], image[2:])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(size)
    # the first tenth of an epoch is spread over the whole pool
    counts = np.bincount(image[: size // 10] * 100 // size, minlength=100)
    assert 0.001 < stats.chi2.cdf(np.sum((counts - size / 1000) ** 2) / (size / 1000), 99) < 0.999


def test_the_largest_size_stays_in_range_and_distinct():
    image = images(2, 5000, 2**31 - 2)
    assert image.dtype == np.int32 and image.min() >= 0 and image.max() < 2**31 - 2
    assert all(len(np.unique(row)) == 5000 for row in image)
    assert stats.kstest(image.ravel() / 2.0**31, "uniform").pvalue > LEVEL


@BOTH
@pytest.mark.parametrize("size", (5, 16, 100))
def test_every_point_goes_everywhere_equally_often(size, of_one_key):
    for found in images(20_000, [0, 1, size - 1], size, size, of_one_key).T:
        assert stats.chisquare(np.bincount(found, minlength=size)).pvalue > LEVEL


@BOTH
def test_all_orders_of_four_and_of_pairs_are_equally_likely(of_one_key):
    """24 orders of 4 items; 90 ordered pairs of images of two points of 10."""
    found = images(48_000, 4, 4, 1, of_one_key)
    orders = {order: i for i, order in enumerate(itertools.permutations(range(4)))}
    counts = np.bincount([orders[tuple(row)] for row in found.tolist()], minlength=24)
    assert stats.chisquare(counts).pvalue > LEVEL

    pair = images(48_000, [3, 7], 10, 2, of_one_key)
    counts = np.bincount(10 * pair[:, 0] + pair[:, 1], minlength=100)
    assert stats.chisquare(counts[counts > 0]).pvalue > LEVEL
    assert np.count_nonzero(counts) == 90


@BOTH
@pytest.mark.parametrize("size", (5, 6, 7))
def test_all_orders_of_a_small_pool_are_equally_likely(size, of_one_key):
    """Its table has cells to spare, through which images are sent on: few rounds are not even."""
    found = images(100_000, size, size, size, of_one_key)
    places = size ** np.arange(size)
    _, counts = np.unique(found @ places, return_counts=True)
    assert counts.size == math.factorial(size)
    assert stats.chisquare(counts).pvalue > LEVEL


@BOTH
def test_fixed_points_are_poisson(of_one_key):
    """For large sizes the number of fixed points is Poisson of mean 1 (closed form)."""
    found = images(8000, 200, 200, 3, of_one_key)
    fixed = np.bincount(np.minimum(np.sum(found == np.arange(200), axis=1), 6), minlength=7)
    expected = 8000 * np.append(stats.poisson.pmf(np.arange(6), 1), stats.poisson.sf(5, 1))
    assert stats.chisquare(fixed, expected).pvalue > LEVEL


def test_consecutive_permutations_of_a_key_are_unrelated():
    """As are the orders of consecutive epochs: agreements of two are Poisson of mean 1."""
    found = images(2000, 300, 300, of_one_key=True)
    agreements = np.sum(found[1:] == found[:-1], axis=1)
    assert abs(agreements.mean() - 1.0) < 4 / np.sqrt(1999)
    assert agreements.max() < 10


def test_division_is_exact():
    """By a float32 quotient, put right: against integers, at the edges and at random."""
    rng = np.random.default_rng(0)
    by = np.concatenate([np.arange(1, 50), rng.integers(2, 46_344, 200)]).astype(np.int32)
    edges = np.concatenate(
        [k * by.astype(np.int64) + d for k in (0, 1, 2, 777) for d in (-1, 0, 1)]
    )
    x = np.concatenate([edges, rng.integers(0, 2**31, edges.size)])
    by = np.resize(by, x.size)
    kept = (x >= 0) & (x // by < 2**17)
    found = jax.jit(_divided)(x[kept].astype(np.uint32), by[kept])
    for got, wanted in zip(found, np.divmod(x[kept], by[kept]), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_an_index_out_of_range_ends_too():
    assert images(1, [7, 2**31 - 1], 5).max() < 5
