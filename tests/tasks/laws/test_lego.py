"""Chains of signs against a solver in plain Python that reads the prompts as text."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from plateaus.tasks.laws.lego import Knobs, Spec, check, groups, lego
from plateaus.types import Draw

LINKS, COUNT = 4, 1200


@functools.cache
def sample(order="random"):
    """(task, prompts of every skill in turn, what the predictors say)."""
    task = lego(Spec(links=LINKS, order=order))

    @jax.jit
    def drawn(seed):
        key = jax.random.key(seed)
        numbers = jnp.arange(COUNT, dtype=jnp.int32)
        batch = jax.vmap(task.emit_test, (0, None, 0))(jax.random.split(key, COUNT), key, numbers)
        return batch, task.predictors(key, batch, Knobs(), None)

    return task, *jax.tree.map(np.asarray, drawn(3))


def text(tokens):
    """A prompt as it would be written: ["b=-a", ..], "b"."""
    names = "abcdefghijklmnopqrstuvwxyz+-1"
    read = "".join(names[token] for token in tokens)
    clauses = [f"{read[i]}={read[i + 1 : i + 3]}" for i in range(0, len(read) - 1, 3)]
    return clauses, read[-1]


def solved(clauses):
    """Variable -> (its value, how many steps it is from 1), in the order they become known."""
    known, left = {"1": (1, 0)}, list(clauses)
    while left:
        for clause in left:
            name, (sign, source) = clause.split("=")
            if source in known:
                value, depth = known[source]
                known[name] = (value if sign == "+" else -value, depth + 1)
                left.remove(clause)
                break
        else:
            raise AssertionError(f"not a chain: {clauses}")
    return known


@pytest.mark.parametrize("order", ("random", "chain"))
def test_the_answer_is_the_value_of_the_link_that_is_asked_for(order):
    _, batch, _ = sample(order)
    for i, tokens in enumerate(batch.inputs):
        clauses, asked = text(tokens)
        known = solved(clauses)
        assert len(known) == LINKS + 1  # the names are different
        value, depth = known[asked]
        assert depth == i % LINKS + 1 == batch.targets.group[i] + 1
        assert batch.targets.answers[i] == (26 if value == 1 else 27)
        places = [known[clause[0]][1] for clause in clauses]
        assert sorted(places) == list(range(1, LINKS + 1))
        assert order == "random" or places == sorted(places)


def test_names_signs_and_orders_are_uniform_and_answers_tell_nothing():
    _, batch, _ = sample()
    clauses = batch.inputs[:, :-1].reshape(COUNT, LINKS, 3)
    assert stats.chisquare(np.bincount(clauses[:, :, 0].ravel(), minlength=26)).pvalue > 1e-4
    patterns = [tuple(row) for row in clauses[:, :, 1]]
    counts = [patterns.count(signs) for signs in itertools.product((26, 27), repeat=LINKS)]
    assert sum(counts) == COUNT and stats.chisquare(counts).pvalue > 1e-4
    root = np.argmax(clauses[:, :, 2] == 28, axis=1)
    assert stats.chisquare(np.bincount(root, minlength=LINKS)).pvalue > 1e-4
    for link in range(LINKS):
        plus = np.sum(batch.targets.answers[batch.targets.group == link] == 26)
        assert stats.binomtest(int(plus), COUNT // LINKS).pvalue > 1e-4


def test_predictors_by_reading_the_text():
    _, batch, said = sample()
    for i, tokens in enumerate(batch.inputs[:80]):
        clauses, asked = text(tokens)
        own = next(clause[2] for clause in clauses if clause[0] == asked)
        minus = sum(clause[2] == "-" for clause in clauses) % 2
        wanted = {
            "own_sign": {"+": [1, 0], "-": [0, 1]}[own],
            "all_signs": [1 - minus, minus],
            "chain": [solved(clauses)[asked][0] == 1, solved(clauses)[asked][0] == -1],
            "guess": [0.5, 0.5],
        }
        assert set(said) == set(wanted)
        for name, shares in wanted.items():
            full = np.zeros(29)
            full[26:28] = shares
            found = np.exp(said[name][i, 0] - np.logaddexp.reduce(said[name][i, 0]))
            np.testing.assert_allclose(found, full, atol=1e-6)


def test_losses_are_in_units_of_log_two():
    """Guessing costs 1, knowing 0; the short cuts are right for their own link, else half."""
    task, batch, said = sample()
    judge = jax.jit(
        jax.vmap(lambda said, one: (task.loss(said, one), task.groups.learned.error(said, one)))
    )
    found = {name: jax.device_get(judge(said[name], batch)) for name in said}
    loss, error = ({name: both[i] for name, both in found.items()} for i in (0, 1))
    np.testing.assert_allclose(loss["guess"], 1.0, rtol=1e-6)
    assert not loss["chain"].any() and not error["chain"].any()
    for name, solves in (("own_sign", 0), ("all_signs", LINKS - 1)):
        for link in range(LINKS):
            wrong = error[name][batch.targets.group == link]
            if link == solves:
                assert not wrong.any()
            else:
                assert stats.binomtest(int(wrong.sum()), wrong.size).pvalue > 1e-4
    logits = np.random.default_rng(0).standard_normal((COUNT, 1, 29)).astype(np.float32)
    shares = np.exp(logits[:, 0]) / np.exp(logits[:, 0]).sum(1, keepdims=True)
    by_hand = -np.log(shares[np.arange(COUNT), batch.targets.answers[:, 0]]) / math.log(2)
    np.testing.assert_allclose(judge(logits, batch)[0], by_hand, rtol=2e-5)


def test_prompts_of_the_pool_are_told_apart_by_number_and_skill():
    task = lego(Spec(links=3))

    @jax.jit
    def emit(seed, world_seed, draw):
        key, world = jax.random.key(seed), jax.random.key(world_seed)
        return task.emit(key, world, draw, Knobs()).inputs

    world, other = 0, 1
    one = np.asarray(emit(other, world, Draw(5, 2)))
    again = emit(world, world, Draw(5, 2))
    np.testing.assert_array_equal(one, again)
    for draw, law in ((Draw(6, 2), world), (Draw(5, 1), world), (Draw(5, 2), other)):
        assert np.any(np.asarray(emit(other, law, draw)) != one)


def test_groups_and_refusals():
    assert (
        groups(Spec(links=3)) == ("link_1", "link_2", "link_3") == lego(Spec(links=3)).group_names
    )
    assert not list(check({"links": 4, "letters": 4}))
    assert list(check({"links": 4, "letters": 3})) == [
        ("letters", "must be at least 4, the variables of a chain")
    ]
