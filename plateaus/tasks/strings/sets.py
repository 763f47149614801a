"""Character tasks by name, as Python functions of text, the tokenizer, and the tables made of them.

No jax: a bad name is answered at once.
"""

from __future__ import annotations

import functools
import itertools
import operator
import string
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CHARACTERS = string.printable
PAD = len(CHARACTERS)
VOCABULARY = PAD + 3  # paper 5's 103: a hundred characters and three specials, of which one is used
NEWLINE = CHARACTERS.index("\n")
LONGEST = 8  # letters of an input that a task may name
TRIED = 4096  # random inputs on which two tasks are compared
LEAST = 0.25  # share of the inputs on which all tasks of a set must differ
NUMBERS = range(10, 100)


class Kind(NamedTuple):
    """What the tasks of a set share: how an input looks, and what separates it from its answer."""

    separator: str
    tasks: dict[str, Callable[[str], str]]
    inputs: tuple[str, ...] = ()  # all inputs, equally likely; (): different letters of an alphabet


def _plus(text: str, addend: int) -> str:
    return str((int(text) + addend) % 10)


KINDS = {
    "letters": Kind(
        ">",
        {
            **{f"ret{i}": operator.itemgetter(i - 1) for i in range(1, LONGEST + 1)},
            "first": operator.itemgetter(0),
            "last": operator.itemgetter(-1),
            "copy": str,
            "reverse": lambda text: text[::-1],
            "upper": str.upper,
            "lower": str.lower,
            "swapcase": str.swapcase,
        },
    ),
    "digit": Kind(
        ">",
        {f"plus{c}": functools.partial(_plus, addend=c) for c in range(10)},
        tuple(string.digits),
    ),
    "pair": Kind(
        "=",
        {
            "left": lambda text: text[:2],
            "right": lambda text: text[3:],
            "sum": lambda text: str(int(text[:2]) + int(text[3:])),
        },
        tuple(f"{a}@{b}" for a in NUMBERS for b in NUMBERS),
    ),
}
TASKS = {name: kind for kind, kind_of in KINDS.items() for name in kind_of.tasks}


def encode(text: str) -> NDArray[np.int32]:
    """Return the tokens of a text, one a character.

    Raises ValueError for a character that is not printable ASCII or white space.

    >>> encode("aB>1").tolist()
    [10, 37, 81, 1]
    """
    for place, character in enumerate(text):
        if character not in CHARACTERS:
            raise ValueError(f"unknown character {character!r} at {place}: only ASCII is")
    return np.array([CHARACTERS.index(character) for character in text], np.int32)


def decode(tokens: Sequence[int]) -> str:
    """Return the text of tokens; of padding and specials nothing is left.

    >>> decode(encode("ab>c").tolist())
    'ab>c'
    """
    return "".join(CHARACTERS[token] for token in tokens if token < PAD)


def inputs_of(kind: str, alphabet: str, length: int) -> tuple[str, ...]:
    """Return inputs of a kind: all there are, or `TRIED` random ones of different letters.

    >>> len(inputs_of("digit", "", 0)), len(inputs_of("pair", "", 0))
    (10, 8100)
    """
    if KINDS[kind].inputs:
        return KINDS[kind].inputs
    letters = np.array(list(alphabet))
    lots = np.random.default_rng(0).random((TRIED, len(letters)))
    return tuple("".join(letters[order[:length]]) for order in np.argsort(lots, axis=1))


def rotations(kind: str, alphabet: str, length: int) -> tuple[str, ...]:
    """Return inputs in which every place has the law of a random input's: all, or n of n letters.

    >>> rotations("letters", "abc", 2)
    ('ab', 'bc', 'ca')
    """
    twice = alphabet + alphabet
    letters = tuple(twice[i : i + length] for i in range(len(alphabet)))
    return KINDS[kind].inputs or letters


def answers(name: str, inputs: Sequence[str]) -> tuple[str, ...]:
    """Return what a task answers to each input.

    >>> answers("sum", ["20@14"]), answers("ret2", ["xyz"])
    (('34',), ('y',))
    """
    return tuple(map(KINDS[TASKS[name]].tasks[name], inputs))


def collisions(names: Sequence[str], inputs: Sequence[str]) -> str:
    """Return what is wrong with a set whose answers are hardly ever all different; "" if nothing.

    >>> collisions(["ret1", "first"], ["ab", "cd"])
    'ret1 and first answer alike (on 100% of inputs)'
    """
    by_task = [answers(name, inputs) for name in names]
    different = [len(set(each)) == len(names) for each in zip(*by_task, strict=True)]
    if np.mean(different) >= LEAST:
        return ""

    def alike(pair: tuple[int, int]) -> float:
        return float(np.mean([a == b for a, b in zip(*(by_task[i] for i in pair), strict=True)]))

    worst = max(itertools.combinations(range(len(names)), 2), key=alike)
    first, second = (names[i] for i in worst)
    return f"{first} and {second} answer alike (on {alike(worst):.0%} of inputs)"


def table(texts: Sequence[str], width: int) -> NDArray[np.int32]:
    """Return answers as tokens [.., width]: the text, a newline, and padding.

    >>> table(["ab", "c"], 4)[:, 1:].tolist() == [[11, NEWLINE, PAD], [NEWLINE, PAD, PAD]]
    True
    """
    rows = np.full((len(texts), width), PAD, np.int32)
    for row, text in zip(rows, texts, strict=True):
        row[: len(text) + 1] = encode(text + "\n")
    return rows


def marginal(name: str, inputs: Sequence[str], width: int) -> NDArray[np.float64]:
    """Return [width, V], how often a task's answer has each token at each place, over the inputs.

    >>> marginal("plus3", KINDS["digit"].inputs, 2)[0, :10].tolist() == [0.1] * 10
    True
    """
    rows = table(answers(name, inputs), width)
    return np.stack([np.bincount(column, minlength=VOCABULARY) / len(rows) for column in rows.T])
