"""Families of random languages: which rows each state of an automaton may have. No jax.

A row says for each symbol which state follows it, or that it cannot come (`NEVER`). A language is
one row for each state, drawn independently and uniformly; its strings begin in state 0, and in each
state the symbols that can come are equally likely.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

NEVER = -1
AUTOMATON, MARKOV, REPEAT = "automaton", "markov", "repeat"
STATES, SYMBOLS, PERIOD = 8, 16, 8  # at most
MOST_ROWS = 4096  # of a state; they are held as a table
MOST_LANGUAGES = 4096  # of a family, for Bayes' rule to go through all of them

FAMILIES = {  # name -> (kind, states or period, arcs)
    **{
        f"{AUTOMATON}_{s}_{a}": (AUTOMATON, s, a) for s in range(2, STATES + 1) for a in range(1, s)
    },
    **{f"{MARKOV}_{a}": (MARKOV, 0, a) for a in range(1, 5)},
    **{f"{REPEAT}_{p}": (REPEAT, p, 1) for p in range(1, PERIOD + 1)},
}


def number_of_rows(name: str, symbols: int) -> int:
    """Return among how many rows a state has its own; the start of a Markov chain has one.

    >>> number_of_rows("automaton_3_2", 4), number_of_rows("markov_2", 4)
    (12, 6)
    """
    kind, states, arcs = FAMILIES[name]
    targets = math.perm(states - 1, arcs) if kind == AUTOMATON else 1
    return math.comb(symbols, arcs) * targets


def number_of_languages(name: str, symbols: int) -> int:
    """Return how many languages a family has, equal ones counted as often as they are drawn.

    >>> number_of_languages("automaton_3_2", 4), number_of_languages("markov_2", 4)
    (1728, 1296)
    """
    kind, states, _ = FAMILIES[name]
    return number_of_rows(name, symbols) ** (symbols if kind == MARKOV else states)


def fault(name: str, symbols: int) -> str:
    """Return what is wrong with a family of so many symbols; "" if nothing.

    >>> fault("automaton_8_7", 8)
    'automaton_8_7: a state has one of 40320 rows; at most 4096 are held'
    """
    _, _, arcs = FAMILIES[name]
    if arcs > symbols:
        return f"{name}: {arcs} different symbols follow, but there are {symbols} (task.symbols)"
    rows = number_of_rows(name, symbols)
    return (
        f"{name}: a state has one of {rows} rows; at most {MOST_ROWS} are held"
        if rows > MOST_ROWS
        else ""
    )


@functools.cache
def rows(name: str, symbols: int) -> tuple[NDArray[np.int32], ...]:
    """Return the rows that each state may have, [K, V] for each of the S states.

    automaton_S_A: A symbols lead to A different states, not to the state itself.
    markov_A: the state is the last symbol, which A symbols may follow; all may come first.
    repeat_P: a word of P symbols, not necessarily different ones, again and again.

    >>> [table.shape for table in rows("markov_2", 4)]
    [(1, 4), (6, 4), (6, 4), (6, 4), (6, 4)]
    >>> rows("automaton_2_1", 2)[1].tolist()  # from state 1 to state 0, by either symbol
    [[0, -1], [-1, 0]]
    """
    kind, states, arcs = FAMILIES[name]
    if kind == MARKOV:
        after = np.arange(1, symbols + 1)
        chains = np.array([_row(symbols, s, after[[*s]]) for s in _subsets(symbols, arcs)])
        return (after[None].astype(np.int32), *[chains] * symbols)
    if kind == REPEAT:
        return tuple(
            np.array([_row(symbols, (v,), [(s + 1) % states]) for v in range(symbols)])
            for s in range(states)
        )
    return tuple(
        np.array(
            [
                _row(symbols, chosen, targets)
                for chosen in _subsets(symbols, arcs)
                for targets in itertools.permutations(
                    [other for other in range(states) if other != state], arcs
                )
            ]
        )
        for state in range(states)
    )


def languages(name: str, symbols: int) -> NDArray[np.int32]:
    """Return all languages of a family, [N, S, V]: the state after each symbol, or `NEVER`.

    >>> languages("repeat_2", 3).shape
    (9, 2, 3)
    """
    return np.array([np.stack(chosen) for chosen in itertools.product(*rows(name, symbols))])


def _subsets(symbols: int, size: int) -> Iterator[tuple[int, ...]]:
    return itertools.combinations(range(symbols), size)


def _row(symbols: int, chosen, targets) -> NDArray[np.int32]:
    row = np.full(symbols, NEVER, np.int32)
    row[[*chosen]] = targets
    return row
