"""Sparse parity against brute force over every point, and the randomness of its points."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from plateaus.tasks.laws.sparse_parity import Knobs, Spec, check, signs, sparse_parity
from plateaus.types import Draw, Example

MANY = 1 << 14


@functools.partial(jax.jit, static_argnums=0)
def emitted(spec, seed, index, noise, epsilon, steps):
    """Points of a data set, by number; random labels while there are steps left of theirs."""
    task = sparse_parity(spec)
    emit = jax.vmap(task.emit, (None, None, 0, None))
    knobs = Knobs(staircase_epsilon=epsilon, random_label_steps=steps)
    world = task.init(jax.random.key(seed))
    return emit(jax.random.key(noise), world, Draw(index, 0 * index), knobs)


def points(spec, seed=0, count=MANY, first=0, index=None, noise=99, epsilon=0.0, steps=0):
    """Points first .. first+count-1 of a data set, or those asked for."""
    if index is None:
        index = first + np.arange(count, dtype=np.int32)
    return jax.device_get(emitted(spec, seed, index, noise, epsilon, steps))


@pytest.mark.parametrize(("d", "k"), [(1, 1), (4, 1), (4, 2), (5, 3), (6, 6)])
def test_targets_by_brute_force(d, k):
    """Every point of {-1, +1}^d occurs, equally often, with the product of its first k signs."""
    epsilon = 0.25
    inputs, targets = points(Spec(dimension=d, relevant_bits=k), count=200 * 2**d, epsilon=epsilon)
    found = {}
    for x in itertools.product((-1.0, 1.0), repeat=d):
        same = np.all(inputs == np.array(x), axis=1)
        chi = [np.prod(x[:j]) for j in range(1, k + 1)]
        np.testing.assert_array_equal(targets[same], chi[-1] + epsilon * sum(chi[:-1]))
        found[x] = np.sum(same)
    assert stats.chisquare(list(found.values())).pvalue > 1e-4


@pytest.mark.parametrize(("d", "k"), [(31, 31), (32, 32), (64, 1), (64, 33), (64, 64)])
def test_targets_across_the_words_that_bits_are_drawn_in(d, k):
    inputs, targets = points(Spec(dimension=d, relevant_bits=k), count=200, epsilon=0.25)
    chi = np.cumprod(inputs[:, :k], axis=1)
    np.testing.assert_array_equal(targets, chi[:, -1] + 0.25 * chi[:, :-1].sum(axis=1))


def test_neutral_epsilon_is_the_parity_itself():
    example = points(Spec())
    chi = np.prod(example.inputs[:, :6], axis=1)
    np.testing.assert_array_equal(example.targets, chi)


@pytest.mark.parametrize("d", (20, 32, 33, 64))
def test_signs_are_uniform_and_independent(d):
    """Each coordinate, each pair of coordinates, and no sign repeats another past the 32nd."""
    n, x = MANY, points(Spec(dimension=d), 1).inputs
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
    x = points(spec).inputs[:4000]
    np.testing.assert_array_equal(points(spec, first=777).inputs[:3223], x[777:])
    task = sparse_parity(spec)

    @jax.jit
    def alone(noise):
        return task.emit(jax.random.key(noise), jax.random.key(0), Draw(777), Knobs()).inputs

    for noise in (0, 1):
        np.testing.assert_array_equal(alone(noise), x[777])
    other = points(spec, 1).inputs[:4000]
    bound = 4 / np.sqrt(4000 * 20)
    assert abs(np.mean(x * other)) < bound and abs(np.mean(x[1:] * x[:-1])) < bound
    last = points(Spec(dataset_size=2**31 - 2), count=2, first=2**31 - 4).inputs
    assert np.any(last[0] != last[1])


def test_points_of_a_data_set_are_as_distinct_as_chance_allows():
    """d = 20, 4,096 points: 8 pairs of equal points are expected (birthday, Poisson)."""
    x = points(Spec(), 2).inputs[:4096]
    words = (x > 0) @ (1 << np.arange(20))
    pairs = np.sum(stats.rankdata(words, "max") - stats.rankdata(words, "min")) / 2
    assert 1e-4 < stats.poisson.cdf(pairs, 4096 * 4095 / 2**21) < 1 - 1e-4


def test_test_points_are_fresh():
    task = sparse_parity(Spec(dimension=64))

    @jax.jit
    def fresh():
        keys = jax.random.split(jax.random.key(1), 500)
        return jax.vmap(task.emit_test, (0, None, None))(keys, task.init(jax.random.key(0)), 0)

    inputs, targets = jax.device_get(fresh())
    seen = points(Spec(dimension=64)).inputs[:500]
    assert not {tuple(row) for row in seen} & {tuple(row) for row in inputs}
    np.testing.assert_array_equal(targets, np.prod(inputs[:, :6], axis=1))


def test_the_losses_of_the_reference_predictors_are_exactly_1_and_0():
    task = sparse_parity(Spec())

    @jax.jit
    def measured(batch):
        said = task.predictors(None, batch, Knobs(), None)
        loss, accuracy = jax.vmap(task.loss), jax.vmap(task.metrics["accuracy"])
        worst, best = said[task.uninformed], said[task.best]
        losses = loss(worst, batch), loss(best, batch)
        return losses, (accuracy(best, batch), accuracy(-best, batch))

    losses, accuracies = measured(points(Spec(), 3))
    np.testing.assert_array_equal(losses, [np.ones(MANY), np.zeros(MANY)])
    np.testing.assert_array_equal(accuracies, [np.ones(MANY), np.zeros(MANY)])


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
    assert jax.eval_shape(lambda: signs(jax.random.key(0), 1)).shape == (1,)
    whole = points(Spec(dimension=64, relevant_bits=64), count=50)
    np.testing.assert_array_equal(whole.targets, np.prod(whole.inputs, axis=1))
    assert list(check({"dimension": 6, "relevant_bits": 6})) == []
    assert [name for name, _ in check({"dimension": 5, "relevant_bits": 6})] == ["relevant_bits"]


def test_random_labels_are_fair_coins_of_each_point():
    """Unrelated to the parity, to every coordinate and to the neighbours; the inputs stay."""
    true, random = (points(Spec(), 5, steps=steps) for steps in (0, 1))
    np.testing.assert_array_equal(true.inputs, random.inputs)
    coins = random.targets
    assert set(np.unique(coins)) == {-1.0, 1.0}
    z = stats.norm.isf(1e-4 / 2 / 23) / np.sqrt(coins.size)
    others = [np.ones(coins.size), true.targets, np.roll(coins, 1), *true.inputs.T]
    assert np.max(np.abs([np.mean(coins * other) for other in others])) < z
    turned = np.arange(MANY, dtype=np.int32)[::-1]
    again = points(Spec(), 5, index=turned, noise=1, steps=7)  # in another order, with other noise
    np.testing.assert_array_equal(again.targets[::-1], coins)


DIMENSIONS = (1, 20, 31, 32, 63, 64)


@functools.cache
def plain_points():
    """Points 0 .. 49 of every dimension, without a bit for a label."""

    @jax.jit
    @jax.vmap
    def run(number):
        key = jax.random.fold_in(jax.random.key(5), number)
        return [signs(jax.random.clone(key), d) for d in DIMENSIONS]

    return dict(zip(DIMENSIONS, run(np.arange(50)), strict=True))


@pytest.mark.parametrize("d", DIMENSIONS)
def test_the_bit_for_the_random_label_leaves_the_point_as_it_was(d):
    example = points(Spec(dimension=d, relevant_bits=min(d, 6)), 5)
    np.testing.assert_array_equal(example.inputs[:50], plain_points()[d])


def test_the_law_in_force_changes_after_the_random_steps():
    task = sparse_parity(Spec())
    left = jax.jit(lambda steps, t: task.at(Knobs(0.5, steps), t).random_label_steps)
    assert [int(left(3, t)) for t in range(5)] == [3, 2, 1, 0, 0]
    assert task.at(Knobs(0.5, jnp.int32(3)), 9).staircase_epsilon == 0.5
    assert int(left(2**30, 0)) == 2**30
