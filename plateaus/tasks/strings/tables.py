"""A set of character tasks as arrays: how inputs are drawn, and what every task answers to them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from plateaus.tasks.strings import sets
from plateaus.types import Array, Int, Key


class Tables(NamedTuple):
    """What a set of K tasks is made of, for answers of A tokens at most."""

    draw: Callable[[Key], tuple[Array, Array]]  # -> tokens [n] of an input, answers [K, A + 1]
    separator: int
    length: int  # n
    width: int  # A + 1
    marginal: Any  # [A + 1, V], how often each place of an answer has each token, over all tasks
    units: Any  # [K], the mean of -log of the share of the tasks that answer as task k does


@functools.cache
def tables(chosen: tuple[str, ...], alphabet: str, length: int) -> Tables:
    r"""Return the arrays of a set of K tasks, of one kind of input.

    `units` are $E[-\log (n_k / K)]$, n_k of the tasks having the answer of task k: log K where
    answers always differ. Over all inputs; of letters, where some agree, over `sets.TRIED` random
    ones.

    >>> made = tables(("plus1", "plus2"), "", 1)
    >>> made.width, made.units.round(4).tolist()
    (2, [0.6931, 0.6931])
    """
    name_of_kind = sets.TASKS[chosen[0]]
    kind = sets.KINDS[name_of_kind]
    inputs = sets.rotations(name_of_kind, alphabet, length)
    width = 1 + max(len(text) for name in chosen for text in sets.answers(name, inputs))
    each = np.stack([sets.marginal(name, inputs, width) for name in chosen])
    marginal = each.mean(axis=0)
    marginal[:, sets.PAD] = 0.0
    marginal /= marginal.sum(axis=1, keepdims=True)
    samples = sets.inputs_of(name_of_kind, alphabet, length)
    texts = np.array([sets.answers(name, samples) for name in chosen])
    alike = np.mean(texts[:, None, :] == texts[None, :, :], axis=1)  # n_k / K by input
    units = -np.log(alike).mean(axis=1)
    if kind.inputs:
        draw = _enumerated(kind.inputs, chosen, width)
    else:
        draw = _letterwise(chosen, alphabet, length, width)
    size = len(inputs[0])
    return Tables(draw, int(sets.encode(kind.separator)[0]), size, width, marginal, units)


def _enumerated(inputs: tuple[str, ...], chosen: tuple[str, ...], width: int) -> Callable:
    """Return the draw of one of all inputs, with the answers looked up."""
    tokens = np.stack([sets.encode(text) for text in inputs])
    answers = np.stack([sets.table(sets.answers(name, inputs), width) for name in chosen], axis=1)

    def draw(key: Key) -> tuple[Array, Array]:
        number = jax.random.randint(key, (), 0, len(inputs))
        return jnp.asarray(tokens)[number], jnp.asarray(answers)[number]

    return draw


def _letterwise(chosen: tuple[str, ...], alphabet: str, length: int, width: int) -> Callable:
    """Return the draw of different letters; a token of an answer is a map of one letter.

    Which letter, and by which map, is read off the tasks' answers to random inputs.
    """
    inputs = sets.inputs_of("letters", alphabet, length)
    shown = np.stack([sets.encode(text) for text in inputs])  # [inputs, length]
    place = np.zeros((len(chosen), width), np.int32)
    maps = np.full((len(chosen), width, sets.VOCABULARY), sets.PAD, np.int32)
    for task, name in enumerate(chosen):
        answers = sets.table(sets.answers(name, inputs), width)
        for at in range(width):
            where, mapped = _source(answers[:, at], shown)
            place[task, at], maps[task, at] = where, mapped
    letters = sets.encode(alphabet)

    def draw(key: Key) -> tuple[Array, Int[Array, "K width"]]:
        tokens = jax.random.permutation(key, jnp.asarray(letters))[:length]
        row = jnp.arange(len(chosen))[:, None], jnp.arange(width)[None, :]
        return tokens, jnp.asarray(maps)[(*row, tokens[jnp.asarray(place)])]

    return draw


def _source(answer: NDArray[np.int32], shown: NDArray[np.int32]) -> tuple[int, NDArray[np.int32]]:
    """Return the place of the input that a token of the answer follows, and the map of its letter.

    It is the first place whose letter determines the token in all inputs: any, for a newline or
    padding.
    """
    for place, column in enumerate(shown.T):
        mapped = np.full(sets.VOCABULARY, sets.PAD, np.int32)
        mapped[column] = answer
        if np.array_equal(mapped[column], answer):
            return place, mapped
    raise ValueError("a token of an answer follows more than one letter of the input")
