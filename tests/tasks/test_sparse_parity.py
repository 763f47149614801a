"""Sparse parity against brute force over every point, and the randomness of its points."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from plateaus.tasks.sparse_parity import Knobs, Spec, check, signs, sparse_parity
from plateaus.types import Draw, Example


@functools.partial(jax.jit, static_argnums=(0, 2))
def points(spec, seed, count, first=0, epsilon=0.0):
    """Points first .. first+count-1 of a data set."""
    task = sparse_parity(spec)
    emit = jax.vmap(task.emit, (None, None, 0, None))
    world = task.init(jax.random.key(seed))
    index = first + jnp.arange(count, dtype=jnp.int32)
    return emit(jax.random.key(99), world, Draw(index, 0 * index), Knobs(staircase_epsilon=epsilon))


@pytest.mark.parametrize(("d", "k"), [(1, 1), (4, 1), (4, 2), (5, 3), (6, 6)])
def test_targets_by_brute_force(d, k):
    """Every point of {-1, +1}^d occurs, equally often, with the product of its first k signs."""
    epsilon = 0.25
    example = points(Spec(dimension=d, relevant_bits=k), 0, 200 * 2**d, epsilon=epsilon)
    inputs, targets = np.asarray(example.inputs), np.asarray(example.targets)
    found = {}
    for x in itertools.product((-1.0, 1.0), repeat=d):
        same = np.all(inputs == np.array(x), axis=1)
        chi = [np.prod(x[:j]) for j in range(1, k + 1)]
        np.testing.assert_array_equal(targets[same], chi[-1] + epsilon * sum(chi[:-1]))
        found[x] = np.sum(same)
    assert stats.chisquare(list(found.values())).pvalue > 1e-4


def test_neutral_epsilon_is_the_parity_itself():
    example = points(Spec(), 0, 1000)
    chi = np.prod(np.asarray(example.inputs)[:, :6], axis=1)
    np.testing.assert_array_equal(example.targets, chi)


@pytest.mark.parametrize("d", (20, 32, 33, 64))
def test_signs_are_uniform_and_independent(d):
    """Each coordinate, each pair of coordinates, and no sign repeats another past the 32nd."""
    n = 1 << 14
    x = np.asarray(points(Spec(dimension=d), 1, n).inputs)
    assert x.shape == (n, d) and x.dtype == np.float32
    assert set(np.unique(x)) == {-1.0, 1.0}
    moments = x.T @ x / n
    off = moments[np.triu_indices(d, 1)] * np.sqrt(n)
    z = stats.norm.isf(1e-4 / 2 / (d * d))
    assert np.max(np.abs(x.mean(axis=0))) * np.sqrt(n) < z
    assert np.max(np.abs(off)) < z
    # words of 8 consecutive signs are uniform, also across the border of the 32-bit words
    for start in {0, d - 8, max(0, min(28, d - 8))}:
        words = (x[:, start : start + 8] > 0) @ (1 << np.arange(8))
        assert stats.chisquare(np.bincount(words, minlength=256)).pvalue > 1e-4


def test_a_point_is_a_function_of_seed_and_number():
    """Of neither the noise key nor the neighbours; consecutive points and seeds are unrelated."""
    spec = Spec()
    x = np.asarray(points(spec, 0, 4000).inputs)
    np.testing.assert_array_equal(points(spec, 0, 10, first=777).inputs, x[777:787])
    task, world = sparse_parity(spec), jax.random.key(0)
    for noise in (0, 1):
        alone = task.emit(jax.random.key(noise), world, Draw(777), Knobs())
        np.testing.assert_array_equal(alone.inputs, x[777])
    other = np.asarray(points(spec, 1, 4000).inputs)
    bound = 4 / np.sqrt(4000 * 20)
    assert abs(np.mean(x * other)) < bound and abs(np.mean(x[1:] * x[:-1])) < bound
    last = points(Spec(dataset_size=2**31 - 2), 0, 2, first=2**31 - 4).inputs
    assert np.any(last[0] != last[1])


def test_points_of_a_data_set_are_as_distinct_as_chance_allows():
    """d = 20, 4,096 points: 8 pairs of equal points are expected (birthday, Poisson)."""
    x = np.asarray(points(Spec(), 2, 4096).inputs)
    words = (x > 0) @ (1 << np.arange(20))
    pairs = np.sum(stats.rankdata(words, "max") - stats.rankdata(words, "min")) / 2
    assert 1e-4 < stats.poisson.cdf(pairs, 4096 * 4095 / 2**21) < 1 - 1e-4


def test_test_points_are_fresh():
    task = sparse_parity(Spec(dimension=64))
    world = task.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), 500)
    batch = jax.vmap(task.emit_test, (0, None, None))(keys, world, 0)
    seen = np.asarray(points(Spec(dimension=64), 0, 500).inputs)
    assert not {tuple(row) for row in seen} & {tuple(row) for row in np.asarray(batch.inputs)}
    np.testing.assert_array_equal(batch.targets, np.prod(np.asarray(batch.inputs)[:, :6], axis=1))


def test_the_losses_of_the_reference_predictors_are_exactly_1_and_0():
    task = sparse_parity(Spec())
    batch = points(Spec(), 3, 500)
    said = task.predictors(None, batch, Knobs(), None)
    loss = jax.vmap(task.loss)
    np.testing.assert_array_equal(loss(said[task.uninformed], batch), np.ones(500))
    np.testing.assert_array_equal(loss(said[task.best], batch), np.zeros(500))
    accuracy = jax.vmap(task.metrics["accuracy"])
    np.testing.assert_array_equal(accuracy(said[task.best], batch), np.ones(500))
    np.testing.assert_array_equal(accuracy(-said[task.best], batch), np.zeros(500))


def test_no_predictor_of_the_other_signs_beats_the_uninformed_one():
    """Least squares on all 2^5 parities of signs 2 .. 6 (d = 6, k = 6) explains nothing: loss 1."""
    cube = np.array(list(itertools.product((-1.0, 1.0), repeat=6)))
    target = np.prod(cube, axis=1)
    subsets = itertools.chain.from_iterable(
        itertools.combinations(range(1, 6), n) for n in range(6)
    )
    features = np.stack([np.prod(cube[:, list(s)], axis=1) for s in subsets], axis=1)
    best = features @ np.linalg.lstsq(features, target)[0]
    task = sparse_parity(Spec(dimension=6))
    losses = jax.jit(jax.vmap(task.loss))(best, Example(cube, target))
    np.testing.assert_allclose(losses, 1.0, atol=1e-6)


def test_the_largest_parity_and_one_that_is_too_large():
    assert np.asarray(signs(jax.random.key(0), 1)).shape == (1,)
    whole = points(Spec(dimension=64, relevant_bits=64), 0, 50)
    np.testing.assert_array_equal(whole.targets, np.prod(np.asarray(whole.inputs), axis=1))
    assert list(check({"dimension": 6, "relevant_bits": 6})) == []
    assert [name for name, _ in check({"dimension": 5, "relevant_bits": 6})] == ["relevant_bits"]


def labelled(spec, steps, index, noise=99):
    """Points with their random labels, or with the true ones, by what is left of the steps."""
    task = sparse_parity(spec)
    emit = jax.vmap(task.emit, (None, None, 0, None))
    draw, knobs = Draw(index, 0 * index), Knobs(random_label_steps=steps)
    return emit(jax.random.key(noise), jax.random.key(5), draw, knobs)


def test_random_labels_are_fair_coins_of_each_point():
    """Unrelated to the parity, to every coordinate and to the neighbours; the inputs stay."""
    index, spec = jnp.arange(1 << 14, dtype=jnp.int32), Spec()
    true, random = (labelled(spec, steps, index) for steps in (0, 1))
    np.testing.assert_array_equal(true.inputs, random.inputs)
    coins = np.asarray(random.targets)
    assert set(np.unique(coins)) == {-1.0, 1.0}
    z = stats.norm.isf(1e-4 / 2 / 23) / np.sqrt(coins.size)
    others = [np.ones(coins.size), true.targets, np.roll(coins, 1), *np.asarray(true.inputs).T]
    assert np.max(np.abs([np.mean(coins * other) for other in others])) < z
    again = labelled(spec, 7, index[::-1], noise=1)  # in another order, under another noise
    np.testing.assert_array_equal(again.targets[::-1], coins)


@pytest.mark.parametrize("d", (1, 20, 31, 32, 63, 64))
def test_the_bit_for_the_random_label_leaves_the_point_as_it_was(d):
    example = labelled(Spec(dimension=d, relevant_bits=1), 0, jnp.arange(50))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(5), jnp.arange(50))
    np.testing.assert_array_equal(example.inputs, jax.vmap(lambda key: signs(key, d))(keys))


def test_the_law_in_force_changes_after_the_random_steps():
    task = sparse_parity(Spec())
    knobs = Knobs(staircase_epsilon=0.5, random_label_steps=jnp.int32(3))
    left = [int(task.at(knobs, t).random_label_steps) for t in range(5)]
    assert left == [3, 2, 1, 0, 0] and task.at(knobs, 9).staircase_epsilon == 0.5
    assert int(task.at(Knobs(random_label_steps=jnp.int32(2**30)), 0).random_label_steps) == 2**30
