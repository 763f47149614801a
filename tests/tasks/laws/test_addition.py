"""Digits of sums against Python's integers, and predictors against all pairs of numbers."""

import collections
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from plateaus.tasks.laws.addition import Knobs, Spec, addition, carry_share, groups
from plateaus.types import Draw

COUNT = 1500


@functools.cache
def sample(digits=3):
    """(task, prompts of every skill in turn, what the predictors say)."""
    task = addition(Spec(digits=digits))

    @jax.jit
    def drawn(seed):
        key = jax.random.key(seed)
        numbers = jnp.arange(COUNT, dtype=jnp.int32)
        batch = jax.vmap(task.emit_test, (0, None, 0))(jax.random.split(key, COUNT), key, numbers)
        return batch, task.predictors(key, batch, Knobs(), None)

    return task, *jax.tree.map(np.asarray, drawn(4))


def read(tokens, digits):
    """(a, b, place asked for) of one prompt."""
    text = "".join(map(str, tokens[:-1]))
    assert len(text) == 2 * digits
    return int(text[:digits]), int(text[digits:]), int(tokens[-1]) - 10


@pytest.mark.parametrize("digits", (1, 3, 6))
def test_the_answer_is_the_digit_of_the_sum(digits):
    _, batch, _ = sample(digits)
    for i, tokens in enumerate(batch.inputs):
        a, b, place = read(tokens, digits)
        assert place == i % digits == batch.targets.group[i]
        assert batch.targets.answers[i] == int(str(a + b).zfill(digits + 1)[-1 - place])


def test_numbers_are_uniform():
    _, batch, _ = sample()
    for digit in batch.inputs[:, :-1].T:
        assert stats.chisquare(np.bincount(digit, minlength=10)).pvalue > 1e-4
    one, other = np.array([read(tokens, 3)[:2] for tokens in batch.inputs]).T
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / math.sqrt(COUNT)


def test_predictors_by_all_pairs_of_numbers():
    """Given the place: every digit as often. Given its two digits, too: what carries leave."""
    _, batch, said = sample()
    a, b = np.divmod(np.arange(10**6), 1000)
    for place in range(3):
        answer = (a + b) // 10**place % 10
        assert set(np.bincount(answer, minlength=10)) == {10**5}  # the guess, exactly
        own, other = a // 10**place % 10, b // 10**place % 10
        carried = answer != (own + other) % 10
        assert np.mean(carried) == pytest.approx(carry_share(place), abs=1e-12)
        table = collections.Counter(zip(own.tolist(), other.tolist(), answer.tolist(), strict=True))
        for i in np.flatnonzero(batch.targets.group == place)[:60]:
            one, two, _ = read(batch.inputs[i], 3)
            pair = (one // 10**place % 10, two // 10**place % 10)
            wanted = np.array([table[(*pair, digit)] for digit in range(10)] + [0] * 3) / 10**4
            found = np.exp(said["no_carry"][i, 0])
            np.testing.assert_allclose(found, wanted, atol=1e-6)
            np.testing.assert_allclose(np.exp(said["guess"][i, 0]), [0.1] * 10 + [0] * 3, rtol=1e-6)
            assert np.argmax(said["sum"][i, 0]) == (one + two) // 10**place % 10


def test_losses_are_in_units_of_log_ten():
    task, batch, said = sample()
    judge = jax.jit(
        jax.vmap(lambda said, one: (task.loss(said, one), task.groups.learned.error(said, one)))
    )
    loss = {name: np.asarray(judge(said[name], batch)[0]) for name in said}
    np.testing.assert_allclose(loss["guess"], 1.0, rtol=1e-6)
    assert not loss["sum"].any()
    for place in range(3):
        p = carry_share(place)
        entropy = stats.entropy([p, 1 - p], base=10)
        mine = loss["no_carry"][batch.targets.group == place]
        assert abs(mine.mean() - entropy) <= 4 * mine.std() / math.sqrt(mine.size) + 1e-6
    logits = np.random.default_rng(0).standard_normal((COUNT, 1, 13)).astype(np.float32)
    shares = np.exp(logits[:, 0]) / np.exp(logits[:, 0]).sum(1, keepdims=True)
    by_hand = -np.log10(shares[np.arange(COUNT), batch.targets.answers[:, 0]])
    losses, wrong = judge(logits, batch)
    np.testing.assert_allclose(losses, by_hand, rtol=2e-5)
    np.testing.assert_array_equal(
        wrong, np.argmax(logits[:, 0], axis=1) != batch.targets.answers[:, 0]
    )


def test_prompts_of_the_pool_are_told_apart_by_number_and_skill():
    task = addition(Spec())

    @jax.jit
    def emit(seed, world_seed, draw):
        key, world = jax.random.key(seed), jax.random.key(world_seed)
        return task.emit(key, world, draw, Knobs()).inputs

    world, other = 0, 1
    one = np.asarray(emit(other, world, Draw(5, 2)))
    np.testing.assert_array_equal(one, emit(world, world, Draw(5, 2)))
    for draw, law in ((Draw(6, 2), world), (Draw(5, 1), world), (Draw(5, 2), other)):
        assert np.any(np.asarray(emit(other, law, draw))[:-1] != one[:-1])


def test_groups():
    assert groups(Spec(digits=3)) == ("ones", "tens", "hundreds") == addition(Spec()).group_names
