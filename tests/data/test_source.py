"""Uniform draws, epochs and whole batches against counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from plateaus.data.source import epochs, uniform, whole_batches

uniform = functools.cache(uniform)  # so that its programs are found again


@functools.partial(jax.jit, static_argnums=(0, 3))
def _indices(source, seed, size, steps):
    key, plan = jax.random.key(seed), source.prepare(None, size)
    return jax.vmap(lambda t: source.draw(key, (), plan, t).index)(jnp.arange(steps))


def indices(source, seed, size, steps):
    """Indices of steps 0 .. steps-1 [steps, batch]."""
    return np.asarray(_indices(source, np.uint32(seed), size, steps))


@pytest.mark.parametrize("size", (1, 2, 7, 1000))
def test_uniform_draws_are_uniform(size):
    found = indices(uniform(50), size, size, 2000).ravel()
    counts = np.bincount(found, minlength=size)
    assert counts.size == size
    assert size == 1 or stats.chisquare(counts).pvalue > 1e-4


def test_uniform_draws_reach_the_odd_numbers_beyond_float32():
    found = indices(uniform(500), 0, 2**31 - 2, 40).ravel()
    assert found.min() >= 0 and found.max() > 2**31 - 2**21
    assert stats.binomtest(int(np.sum(found % 2)), found.size).pvalue > 1e-4
    assert stats.kstest(found / (2.0**31 - 2), "uniform").pvalue > 1e-4


def test_steps_are_independent():
    found = indices(uniform(1), 1, 8, 20_000).ravel()
    pairs = np.bincount(8 * found[:-1] + found[1:], minlength=64).reshape(8, 8)
    assert stats.chi2_contingency(pairs).pvalue > 1e-4


@pytest.mark.parametrize("batch", (1, 4, 7, 13))
def test_an_epoch_visits_every_point_once(batch):
    """Also where a batch holds the end of an epoch and the beginning of the next, or several."""
    size, passes = 10, 28
    steps = size * passes // batch + 1
    found = indices(epochs(batch), 2, size, steps).ravel()
    by_epoch = found[: size * passes].reshape(passes, size)
    np.testing.assert_array_equal(np.sort(by_epoch, axis=1), np.tile(np.arange(size), (passes, 1)))
    assert len({tuple(order) for order in by_epoch.tolist()}) == passes


def test_the_size_of_an_epoch_may_be_traced():
    sizes, source = np.int32([3, 10, 64]), epochs(8)
    draw = jax.jit(jax.vmap(lambda size: _indices(source, np.uint32(3), size, 48)))
    for size, found in zip(sizes, np.asarray(draw(sizes)), strict=True):
        whole = found.ravel()[: 384 // size * size].reshape(-1, size)
        np.testing.assert_array_equal(np.sort(whole, axis=1)[0], np.arange(size))
        assert np.all(np.sort(whole, axis=1) == np.arange(size)[None])


def test_epochs_far_into_training():
    """Positions just below 2^31 are still a permutation."""
    source, batch, size = epochs(8), 8, 1000
    last = (2**31 - 1) // batch - 1
    first = -(-last // 125) * 125 - 125  # a step at which an epoch begins: 125 batches an epoch
    draw = jax.vmap(
        lambda t: source.draw(jax.random.key(4), (), source.prepare(None, size), t).index
    )
    found = np.ravel(jax.jit(draw)(np.arange(first - 125, first, dtype=np.int32)))
    np.testing.assert_array_equal(np.sort(found), np.arange(size))


def test_whole_batches_are_fixed_disjoint_and_all_drawn():
    source = whole_batches(uniform(1), 5)
    found = indices(source, 5, 64, 500)  # 12 batches; 4 points left over
    np.testing.assert_array_equal(found - found[:, :1], np.tile(np.arange(5), (500, 1)))
    assert np.all(found[:, 0] % 5 == 0)
    counts = np.bincount(found[:, 0] // 5, minlength=12)
    assert counts.size == 12 and stats.chisquare(counts).pvalue > 1e-4


def test_a_pool_smaller_than_a_batch_is_one_batch():
    source = whole_batches(uniform(1), 5)
    np.testing.assert_array_equal(np.unique(indices(source, 6, 3, 20)), np.arange(5))
