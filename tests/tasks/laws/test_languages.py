"""Prompts of languages against their automata, and predictors against sums in plain Python."""

import collections
import functools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from plateaus.tasks.automata import families
from plateaus.tasks.automata.families import NEVER
from plateaus.tasks.laws.languages import Knobs, Spec, check, languages
from plateaus.types import Draw

NAMES = ("automaton_3_1", "automaton_3_2", "markov_2", "repeat_2")
SPEC = Spec(families=",".join(NAMES), symbols=3, strings=3, length=4)
COUNT, V, DELIMITER = 1200, 3, 3


@functools.cache
def sample():
    """(task, prompts of every family in turn, what is said, what is measured of it)."""
    task = languages(SPEC)
    measures = (*task.metrics.values(), task.test_loss)

    @jax.jit
    def drawn(seed):
        key = jax.random.key(seed)
        numbers = jnp.arange(COUNT, dtype=jnp.int32)
        batch = jax.vmap(task.emit_test, (0, None, 0))(jax.random.split(key, COUNT), key, numbers)
        said = task.predictors(key, batch, Knobs(), None)
        stacked = jnp.stack([*said.values()])
        judged = [jax.vmap(jax.vmap(one), (0, None))(stacked, batch) for one in measures]
        return batch, said, [dict(zip(said, values, strict=True)) for values in judged]

    return task, *jax.tree.map(np.asarray, drawn(3))


def strings(batch, i):
    """The strings of prompt i: its inputs, and the last symbol, which is not among them."""
    text = "".join(map(str, [*batch.inputs[i], batch.targets.answers[i, -1]]))
    return [[int(c) for c in part] for part in text.split(str(DELIMITER))[1:]]


@functools.cache
def every(family):
    """All languages of a family, a tuple of {symbol: next state} by state each."""
    return [
        tuple({v: int(to) for v, to in enumerate(row) if to != NEVER} for row in language)
        for language in families.languages(family, V)
    ]


def walk(language, texts):
    """(what could come at each symbol, the probability of all of them); None if one could not."""
    could, chance = [], Fraction(1)
    for text in texts:
        state = 0
        for symbol in text:
            if state is None or symbol not in language[state]:
                return None
            could.append(sorted(language[state]))
            chance /= len(language[state])
            state = language[state][symbol]
    return could, chance


def test_every_prompt_is_of_a_language_of_its_family():
    """Reads at the token before each symbol; what could come is what some language says."""
    task, batch, *_ = sample()
    for i in range(200):
        shown = strings(batch, i)
        assert [len(text) for text in shown] == [4, 4, 4]
        assert batch.targets.answers[i].tolist() == [v for text in shown for v in text]
        assert batch.targets.group[i] == i % 4
        walks = (walk(language, shown) for language in every(NAMES[i % 4]))
        could = [[v for v in range(V) if row[v]] for row in batch.targets.possible[i]]
        assert could in [found[0] for found in walks if found]
    read = list(task.reads.at)
    after = np.append(batch.inputs[:, 1:], batch.targets.answers[:, -1:], axis=1)[:, read]
    np.testing.assert_array_equal(after, batch.targets.answers)


def test_what_can_come_is_equally_likely_and_so_are_languages():
    _, batch, *_ = sample()
    for group, name in enumerate(NAMES):
        answers, possible = (x[group::4] for x in batch.targets[:2])
        number = possible.sum(-1)
        for size in set(number.ravel()) - {1}:
            place = (np.cumsum(possible, -1) - 1)[number == size]
            drawn = np.take_along_axis(place, answers[number == size][:, None], 1)
            assert stats.chisquare(np.bincount(drawn.ravel(), minlength=size)).pvalue > 1e-4
        first = collections.Counter(map(bytes, possible[:, 0]))
        kinds = {bytes([v in language[0] for v in range(V)]) for language in every(name)}
        assert set(first) == kinds
        if len(kinds) > 1:
            assert stats.chisquare([*first.values()]).pvalue > 1e-4


def test_bayes_by_sums_over_all_languages():
    """In fractions: P(symbol, what came before) over P(what came before)."""
    _, batch, said, _ = sample()
    for i in range(12):
        name, shown = NAMES[i % 4], strings(batch, i)
        for place in range(12):
            whole, rest = divmod(place, 4)
            before = [*shown[:whole], shown[whole][:rest]]
            mass = []
            for v in range(V):
                walks = (walk(one, [*before[:-1], [*before[-1], v]]) for one in every(name))
                mass.append(sum(found[1] for found in walks if found))
            wanted = [float(m / sum(mass)) for m in mass]
            np.testing.assert_allclose(np.exp(said["bayes"][i, place, :V]), wanted, atol=1e-6)


def test_unigrams_and_bigrams_by_counting():
    task, batch, said, _ = sample()
    for i in range(40):
        tokens = [*batch.inputs[i]]
        seen = {"unigram": collections.Counter(), "bigram": collections.Counter()}
        for place, at in enumerate(task.reads.at):
            for name, counts in seen.items():
                last = tokens[at] if name == "bigram" else ""
                total = sum(counts[last, v] for v in range(V))
                wanted = [(counts[last, v] + 1 / V) / (total + 1) for v in range(V)]
                np.testing.assert_allclose(np.exp(said[name][i, place, :V]), wanted, atol=1e-6)
                counts[last, int(batch.targets.answers[i, place])] += 1


def test_losses_of_predictors():
    """Without context 1, exactly; who knows the language has log A / log V; others are between."""
    _, batch, said, (errors, by_prefix, losses) = sample()
    for name, logits in said.items():
        np.testing.assert_allclose(np.exp(logits).sum(-1), 1, atol=1e-5)
        assert np.all(np.exp(logits[..., DELIMITER]) == 0), name
    np.testing.assert_allclose(losses["no_context"], 1, atol=1e-5)
    arcs = batch.targets.possible.sum(-1)
    np.testing.assert_allclose(by_prefix["known"], np.log(arcs) / math.log(V), atol=1e-5)
    assert not errors["known"].any() and not errors["bayes"][3::4].any()
    for group in range(4):
        bayes, bigram, known = (losses[name][group::4] for name in ("bayes", "bigram", "known"))
        assert bayes.mean() < 1 and np.all(bayes >= known - 1e-5)
        gap = bigram - bayes
        assert gap.mean() > 4 * gap.std() / math.sqrt(gap.size)


def test_error_is_of_the_last_string_by_hand():
    task, batch, *_ = sample()
    example = jax.tree.map(lambda x: jnp.asarray(x[1]), batch)
    guesses = np.arange(12) % 4  # the delimiter, too, which never comes
    logits = jax.nn.one_hot(jnp.asarray(guesses), V + 1)
    could = np.pad(batch.targets.possible[1], ((0, 0), (0, 1)))
    wanted = np.mean([not could[place, guesses[place]] for place in range(8, 12)])
    assert float(task.metrics["last_error"](logits, example)) == pytest.approx(wanted)


def test_languages_of_a_pool_and_raw_losses():
    """The language is its number's, in any prompt; strings are fresh; the raw loss is in nats."""
    task, plain = languages(SPEC), languages(Spec(families="markov_1", symbols=3, normalise=False))

    @jax.jit
    def run():
        numbers, world = jnp.arange(200, dtype=jnp.int32), task.init(jax.random.key(0))
        emit = jax.vmap(jax.vmap(task.emit, (0, None, 0, None)), (0, None, None, None))
        keys = jax.random.split(jax.random.key(1), (2, 200))
        both = emit(keys, world, Draw(numbers, numbers % 4), Knobs())
        one, two = (jax.tree.map(lambda x, i=i: x[i], both) for i in (0, 1))
        return one, two, plain.loss(jnp.zeros((12, V + 1)), jax.tree.map(lambda x: x[2], one))

    one, two, raw = jax.device_get(run())
    np.testing.assert_array_equal(one.targets.possible[:, 0], two.targets.possible[:, 0])
    np.testing.assert_array_equal(one.targets.answers[3::4], two.targets.answers[3::4])
    assert np.any(one.inputs != two.inputs)
    assert raw == pytest.approx(math.log(V + 1))


def test_a_family_too_large_to_enumerate_has_no_exact_floor():
    task = languages(Spec(families="automaton_4_2", strings=2, length=2))
    key = jax.random.key(0)
    batch = jax.eval_shape(lambda: jax.tree.map(lambda x: x[None], task.emit_test(key, key, 0)))
    said = jax.eval_shape(lambda one: task.predictors(key, one, Knobs(), None), batch)
    assert set(said) == {"no_context", "unigram", "bigram", "known"}
    assert set(sample()[2]) == {*said, "bayes"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("automaton_3_2, repeat_4", []),
        ("automaton_3_3", ["no family 'automaton_3_3'; did you mean automaton_3_1"]),
        (" , ", ["must name at least one family (known: "]),
        ("repeat_2,repeat_2", ["'repeat_2': given twice"]),
        ("markov_4,repeat_2", ["markov_4: 4 different symbols follow, but there are 3 (task.sy"]),
    ],
)
def test_families_are_checked(given, expected):
    lines = list(check({"families": given, "symbols": 3}))
    assert len(lines) == len(expected)
    for (field, line), start in zip(lines, expected, strict=True):
        assert field == "families" and line.startswith(start) and "\n" not in line
