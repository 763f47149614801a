"""Boolean families against plain Python: all functions of few signs, from their definitions."""

import functools
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.tasks.families.boolean import MOST_FUNCTIONS
from plateaus.tasks.families.registry import Family, Sizes, family

D, P = 4, 0.2
SIZES = Sizes(dimension=D, points=6, literal_probability=P, majority_bits=3)
SIGNS = list(itertools.product((-1, 1), repeat=D))
POINTS = np.array(SIGNS, np.float32)
CLAUSES = list(itertools.product((None, -1, 1), repeat=D))


def _subsets(*sizes):
    return [s for size in sizes for s in itertools.combinations(range(D), size)]


def _uniform(functions):
    return [(f, 1 / len(functions)) for f in functions]


def _parity(chosen):
    return lambda x: math.prod(x[i] for i in chosen)


def _vote(chosen):
    return lambda x: 1 if sum(x[i] > 0 for i in chosen) * 2 > len(chosen) else -1


def _clause(literals, fold):
    return lambda x: 1 if fold(a == b for a, b in zip(literals, x, strict=True) if a) else -1


def _clauses(fold):
    return [
        (_clause(c, fold), math.prod(1 - 2 * P if a is None else P for a in c)) for c in CLAUSES
    ]


LAWS = {  # name -> [(function, probability)]
    "sparse_parity_2": _uniform([_parity(s) for s in _subsets(2)]),
    "sparse_parity_3": _uniform([_parity(s) for s in _subsets(3)]),
    "parity": _uniform([_parity(s) for s in _subsets(*range(D + 1))]),
    "majority": _uniform([_vote(s) for s in _subsets(3)]),
    "conjunction": _clauses(all),
    "disjunction": _clauses(any),
}


@functools.cache
def _tables(name):
    """The value of every function at every point of SIGNS, and the functions' probabilities."""
    functions, p = zip(*LAWS[name], strict=True)
    return np.array([[f(x) for x in SIGNS] for f in functions]), np.array(p)


def _chance(name, x, given=()):
    """P(y = +1 | x, points before), by going through all functions."""
    values, p = _tables(name)
    alive = np.ones(len(p), bool)
    for a, b in given:
        alive &= values[:, SIGNS.index(a)] == b
    return np.sum(p[alive & (values[:, SIGNS.index(x)] > 0)]) / np.sum(p[alive])


def _logit(p):
    return np.clip(np.log(p) - np.log1p(-p), -20, 20) if 0 < p < 1 else (20 if p > 0.5 else -20)


NUMBER = 8000


class Drawn(NamedTuple):
    """A family, what it says without context at all points, the tables of 8,000 functions, and of
    40 of them what is said in context at random points."""

    law: Family
    no_context: np.ndarray
    tables: np.ndarray
    x: np.ndarray
    y: np.ndarray
    in_context: np.ndarray


@functools.cache
def _drawn(name):
    law = family(name, SIZES)

    @jax.jit
    def run():
        every = jnp.asarray(POINTS)
        theta = jax.vmap(law.parameters)(jax.random.split(jax.random.key(0), NUMBER))
        tables = jax.vmap(law.signal, (0, None))(theta, every)
        place = jax.random.randint(jax.random.key(1), (40, SIZES.points), 0, len(POINTS))
        x, y = every[place], jnp.take_along_axis(tables[:40], place, axis=1)
        return law.no_context(every), tables, x, y, jax.vmap(law.in_context)(x, y)

    return Drawn(law, *jax.device_get(run()))


@pytest.mark.parametrize("name", LAWS)
def test_no_context_by_enumeration_of_everything(name):
    found, said = _drawn(name)[:2]
    chances = np.clip([_chance(name, x) for x in SIGNS], 0, 1)
    np.testing.assert_allclose(said, [_logit(p) for p in chances], rtol=1e-5, atol=1e-5)
    p = chances[(chances > 0) & (chances < 1)]
    entropy = -np.sum(p * np.log(p) + (1 - p) * np.log(1 - p)) / len(SIGNS)
    np.testing.assert_allclose(found.no_context_loss, entropy, rtol=1e-12)
    accuracy = np.mean(np.maximum(chances, 1 - chances))
    np.testing.assert_allclose(found.no_context_accuracy, accuracy, rtol=1e-12)


@pytest.mark.parametrize("name", LAWS)
def test_functions_are_drawn_with_their_probabilities(name):
    """The frequency of each truth table, within 4 standard errors; no other table appears."""
    number, expected = NUMBER, {}
    for table, p in zip(*_tables(name), strict=True):
        expected[tuple(table)] = expected.get(tuple(table), 0) + p
    drawn, counts = np.unique(_drawn(name).tables, axis=0, return_counts=True)
    counts = {tuple(int(v) for v in t): int(c) for t, c in zip(drawn, counts, strict=True)}
    assert set(counts) <= set(expected)
    for table, p in expected.items():
        error = math.sqrt(number * p * (1 - p))
        assert abs(counts.get(table, 0) - number * p) < 4 * error + 1


@pytest.mark.parametrize("name", LAWS)
def test_in_context_is_bayes(name):
    drawn = _drawn(name)
    for x, y, said in zip(drawn.x, drawn.y, drawn.in_context, strict=True):
        points = [(tuple(map(int, a)), int(b)) for a, b in zip(x, y, strict=True)]
        right = [_logit(_chance(name, a, points[:i])) for i, (a, _) in enumerate(points)]
        np.testing.assert_allclose(said, right, atol=2e-4)


def test_a_prompt_that_no_function_explains_has_even_odds():
    found = family("sparse_parity_2", SIZES)
    x, y = np.ones((3, D), np.float32), np.float32([-1.0, 1.0, 1.0])  # the product of ones is 1
    assert jax.jit(found.in_context)(x, y).tolist() == [20.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("name", "loss", "accuracy"),
    [
        ("sparse_parity_2", 0.6814, 0.5547),
        ("sparse_parity_3", 0.6886, 0.5293),
        ("conjunction", 0.4960, 1 - 0.1969),
        ("disjunction", 0.4960, 1 - 0.1969),
    ],
)
def test_the_paper_s_figures_at_ten_signs(name, loss, accuracy):
    found = family(name, Sizes(dimension=10))
    assert round(found.no_context_loss, 4) == loss
    assert round(found.no_context_accuracy, 4) == round(accuracy, 4)


def test_all_functions_are_gone_through_where_they_are_few():
    """Also by blocks that do not divide their number: 3^7 clauses."""
    assert 3**9 <= MOST_FUNCTIONS < 3**10
    assert family("conjunction", Sizes(dimension=9)).in_context
    assert family("conjunction", Sizes(dimension=10)).in_context is None
    assert family("parity", Sizes(dimension=12)).in_context
    assert family("parity", Sizes(dimension=13)).in_context is None
    seven = family("conjunction", Sizes(dimension=7))
    first = jax.jit(seven.in_context)(np.ones((2, 7), np.float32), np.ones(2, np.float32))
    np.testing.assert_allclose(first[0], _logit(0.85**7), rtol=1e-5)
    assert first[1] == 20.0


@pytest.mark.parametrize("bits", (2, 3))
def test_the_teacher_of_parities_draws_from_their_chances(bits, answered):
    name = f"no_context_sparse_parity_{bits}"
    drawn = answered(name, SIZES, 4000)
    teacher = drawn.law
    for x in SIGNS:
        here = np.all(drawn.x == np.array(x), axis=-1)
        p = np.clip(_chance(name[11:], x), 0, 1)
        error = np.sqrt(p * (1 - p) / np.sum(here))
        assert abs(np.mean(drawn.y[here] > 0) - p) <= 4 * error
        np.testing.assert_allclose(drawn.in_context[here], _logit(p), atol=1e-5)
    assert jax.jit(teacher.no_context)(POINTS).tolist() == [0.0] * len(SIGNS)
    assert math.isclose(teacher.no_context_loss, math.log(2))
    floor = 1 - family(name[11:], SIZES).no_context_accuracy
    assert floor < teacher.learned_below < 0.5
