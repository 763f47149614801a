"""Prompts of words against their rules, and predictors against enumeration in plain Python."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from plateaus.tasks.laws.words import (
    FAMILIES,
    Knobs,
    Spec,
    check,
    no_context_loss,
    words,
)
from plateaus.types import Draw

MIXTURE, COUNT = Spec(words=24, examples=3), 1500
WORDS = [f"{number:0{2 + number % 8}}" for number in range(24)]  # of 2 to 9 letters in turn
PAD, LONGEST = 32, 4
NAMES = MIXTURE.families.split(",")


@functools.cache
def sample():
    """(task, prompts of every family in turn, what the predictors say)."""
    task = words(MIXTURE)

    @jax.jit
    def drawn(seed):
        key = jax.random.key(seed)
        numbers = jnp.arange(COUNT, dtype=jnp.int32)
        batch = jax.vmap(task.emit_test, (0, None, 0))(jax.random.split(key, COUNT), key, numbers)
        return batch, task.predictors(key, batch, Knobs(), None)

    return task, *jax.tree.map(np.asarray, drawn(5))


def read(tokens, family):
    """(lists without pads, answers but for the query's) of one prompt, as words and numbers."""
    rows = np.append(tokens, PAD).reshape(4, LONGEST + 1)
    size = FAMILIES[family][0]
    assert np.all(rows[:, : LONGEST - size] == PAD) and np.all(rows[:, LONGEST - size : -1] < 24)
    shown = [[WORDS[t] for t in row[LONGEST - size : -1]] for row in rows]
    return shown, rows[:-1, -1]


def token(word, family):
    return 24 + len(word) - 2 if FAMILIES[family][1] else WORDS.index(word)


def test_every_answer_follows_from_the_hidden_position():
    """One for a prompt, uniform in its family; lists of different words, all equally often."""
    _, batch, _ = sample()
    positions, seen = {name: [] for name in NAMES}, []
    for i in range(COUNT):
        family = NAMES[i % 3]
        assert batch.targets.group[i] == i % 3
        shown, answers = read(batch.inputs[i], family)
        position = batch.targets.slot[i] - (LONGEST - FAMILIES[family][0])
        wanted = [token(one[position], family) for one in shown]
        np.testing.assert_array_equal(batch.targets.answers[i], wanted)
        np.testing.assert_array_equal(answers, wanted[:-1])
        assert all(len(set(one)) == len(one) for one in shown)
        positions[family].append(position)
        seen += [word for one in shown for word in one]
    for family, found in positions.items():
        counts = np.bincount(found, minlength=FAMILIES[family][0])
        assert stats.chisquare(counts).pvalue > 1e-4, family
    assert stats.chisquare([seen.count(word) for word in WORDS]).pvalue > 1e-4


def test_predictors_by_enumeration():
    """Positions that agree with the examples so far, counted by hand, for every answer."""
    _, batch, said = sample()
    for i in range(60):
        family = NAMES[i % 3]
        shown, answers = read(batch.inputs[i], family)
        own = batch.targets.slot[i] - (LONGEST - FAMILIES[family][0])
        for prefix, one in enumerate(shown):
            every = range(len(one))
            left = [
                p
                for p in every
                if all(token(shown[j][p], family) == answers[j] for j in range(prefix))
            ]
            for name, slots in {"no_context": every, "bayes": left, "oracle": [own]}.items():
                wanted = np.zeros(33)
                for p in slots:
                    wanted[token(one[p], family)] += 1 / len(slots)
                np.testing.assert_allclose(np.exp(said[name][i, prefix]), wanted, atol=1e-6)


@pytest.mark.parametrize(("name", "words"), [("word_length_2", 9), ("word_length_3", 12)])
def test_the_loss_without_context_by_enumeration(name, words):
    m = FAMILIES[name][0]
    entropies = []
    for shown in itertools.combinations(WORDS[:words], m):
        counts = np.unique([len(word) for word in shown], return_counts=True)[1]
        entropies.append(stats.entropy(counts))
    assert no_context_loss(name, words) == pytest.approx(np.mean(entropies), rel=1e-12)
    assert no_context_loss(f"word_selection_{m}", words) == pytest.approx(math.log(m), rel=1e-12)


def test_losses_of_predictors():
    """No context: 1 in every family, within 5 standard errors; the rest less, by what they know."""
    task, batch, said = sample()
    laws = task.metrics["loss_by_prefix"], task.groups.learned.error
    judge = jax.jit(lambda *given: [jax.vmap(law)(*given) for law in laws])
    found = {name: jax.device_get(judge(logits, batch)) for name, logits in said.items()}
    by_prefix = {name: np.float64(both[0]) for name, both in found.items()}
    for group in range(3):
        own = {name: losses[group::3] for name, losses in by_prefix.items()}
        alone = own["no_context"].mean(axis=1)
        assert abs(alone.mean() - 1) <= 5 * alone.std() / np.sqrt(alone.size) + 1e-6
        np.testing.assert_allclose(own["bayes"][:, 0], own["no_context"][:, 0], atol=1e-6)
        assert np.all(own["oracle"] < 1e-6)
    # a word is at one place of its list, so one example tells which; a length may be at several
    assert by_prefix["bayes"][0::3, 1:].max() < 1e-6 and by_prefix["bayes"][1::3, 1:].max() < 1e-6
    assert by_prefix["bayes"][2::3, 1].mean() > by_prefix["bayes"][2::3, 3].mean() > 0
    errors = {name: both[1] for name, both in found.items()}
    assert not errors["oracle"].any() and errors["no_context"][1::3].mean() > 0.6
    assert errors["bayes"].mean() < 0.05


def test_functions_of_a_pool_and_raw_losses():
    """The function is its number's, in any prompt; prompts are fresh; the raw loss is in nats."""
    task, plain = words(MIXTURE), words(Spec(words=24, examples=3, normalise=False))

    @jax.jit
    def run():
        numbers, world = jnp.arange(300, dtype=jnp.int32), task.init(jax.random.key(0))
        emit = jax.vmap(jax.vmap(task.emit, (0, None, 0, None)), (0, None, None, None))
        keys, draw = jax.random.split(jax.random.key(1), (2, 300)), Draw(numbers, numbers % 3)
        both, flat = emit(keys, world, draw, Knobs()), jnp.zeros((300, 4, 33))
        one, two = (jax.tree.map(lambda x, i=i: x[i], both) for i in (0, 1))
        return one, two, jax.vmap(plain.loss)(flat, one), jax.vmap(task.loss)(flat, one)

    one, two, raw, scaled = jax.device_get(run())
    np.testing.assert_array_equal(one.targets.slot, two.targets.slot)
    assert np.any(one.inputs != two.inputs)
    np.testing.assert_allclose(raw, math.log(33), rtol=1e-5)
    units = np.array([no_context_loss(name, 24) for name in NAMES])[np.arange(300) % 3]
    np.testing.assert_allclose(scaled, math.log(33) / units, rtol=1e-5)


@pytest.mark.parametrize(
    ("families", "expected"),
    [
        ("word_selection_2, word_length", []),
        ("word_selecton_4", ["no family 'word_selecton_4'; did you mean word_selection_4"]),
        (" , ", ["must name at least one family (known: "]),
        ("word_length,word_length", ["'word_length': given twice"]),
    ],
)
def test_families_are_checked(families, expected):
    lines = list(check({"families": families}))
    assert len(lines) == len(expected)
    for (field, line), start in zip(lines, expected, strict=True):
        assert field == "families" and line.startswith(start) and "\n" not in line
