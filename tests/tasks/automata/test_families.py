"""Rows and languages against enumeration in plain Python; marginal laws by exact propagation."""

import itertools

import numpy as np
import pytest

from plateaus.tasks.automata import families
from plateaus.tasks.automata.families import FAMILIES, NEVER


def arcs(row):
    """The arcs of a row, {symbol: next state}."""
    return {v: int(to) for v, to in enumerate(row) if to != NEVER}


def automata(states, symbols, number):
    """All rows of each state: choices of `number` different symbols and of as many other states."""
    for state in range(states):
        others = [other for other in range(states) if other != state]
        yield {
            frozenset(zip(chosen, targets, strict=True))
            for chosen in itertools.permutations(range(symbols), number)
            for targets in itertools.permutations(others, number)
        }


@pytest.mark.parametrize(
    ("name", "symbols"), [("automaton_2_1", 3), ("automaton_3_2", 4), ("automaton_4_3", 3)]
)
def test_rows_of_automata_by_enumeration(name, symbols):
    _, states, number = FAMILIES[name]
    tables = families.rows(name, symbols)
    for table, wanted in zip(tables, automata(states, symbols, number), strict=True):
        found = [frozenset(arcs(row).items()) for row in table]
        assert len(found) == len(wanted) == families.number_of_rows(name, symbols)
        assert set(found) == wanted


def test_rows_of_chains_and_of_words_that_repeat():
    first, *others = families.rows("markov_2", 4)
    assert [arcs(row) for row in first] == [{0: 1, 1: 2, 2: 3, 3: 4}]
    pairs = [{a: a + 1, b: b + 1} for a, b in itertools.combinations(range(4), 2)]
    assert all([arcs(row) for row in table] == pairs for table in others) and len(others) == 4
    for state, table in enumerate(families.rows("repeat_3", 2)):
        assert [arcs(row) for row in table] == [{v: (state + 1) % 3} for v in range(2)]


@pytest.mark.parametrize("name", ["automaton_2_1", "automaton_3_1", "markov_1", "repeat_3"])
def test_languages_are_all_choices_of_rows(name):
    tables, every = families.rows(name, 3), families.languages(name, 3)
    assert len(every) == families.number_of_languages(name, 3) == np.prod([*map(len, tables)])
    assert len({language.tobytes() for language in every}) == len(every)
    for state, table in enumerate(tables):
        assert {row.tobytes() for row in every[:, state]} == {row.tobytes() for row in table}


@pytest.mark.parametrize("name", ["automaton_3_2", "automaton_3_1", "markov_2", "repeat_4"])
def test_no_symbol_is_preferred_at_any_place(name):
    """So that log V is the exact loss without context: summed over all languages of the family."""
    every = families.languages(name, 4)
    states = np.zeros(every.shape[:2])
    states[:, 0] = 1
    possible = every != NEVER
    share = possible / possible.sum(-1, keepdims=True)
    for _ in range(5):
        joint = states[:, :, None] * share  # [N, S, V], state and symbol
        np.testing.assert_allclose(joint.sum(axis=(0, 1)) / len(every), 1 / 4, rtol=1e-12)
        states = np.stack(
            [np.where(every == to, joint, 0).sum(axis=(1, 2)) for to in range(states.shape[1])], 1
        )
        np.testing.assert_allclose(states.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "symbols", "line"),
    [
        ("automaton_3_2", 4, ""),
        ("automaton_8_7", 16, "automaton_8_7: a state has one of 57657600 rows; at most 4096 are"),
        ("markov_3", 2, "markov_3: 3 different symbols follow, but there are 2 (task.symbols)"),
    ],
)
def test_what_does_not_fit(name, symbols, line):
    found = families.fault(name, symbols)
    assert found.startswith(line) and bool(found) == bool(line)
