"""Sets of tasks in plain text, and prompts that mix them, for pretrained language models; no jax.

A prompt is lines of an input, a separator and the answer of one of the tasks, then the query:

    91@83=174
    20@14=20
    57@62=

Source: paper 5, section 3 (real models) and its released settings: inputs of two digits each;
"add": `91+83->`, the sum in digits, English, French and Spanish; "country": `France->`; "pair":
`91@83=`; "word": `house->`. The paper does not state the countries and words
(`text_lists`), the spelling of numbers (`number_words`), or that all inputs of a prompt differ:
these are choices made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plateaus.real_models import number_words
from plateaus.real_models.text_lists import CAPITAL, CONTINENT, WORDS
from plateaus.tasks.strings.sets import KINDS, NUMBERS, Kind

END = "\n"  # of an answer


def _sum(text: str) -> int:
    first, second = text.split("+")
    return int(first) + int(second)


SETS = {
    "add": Kind(
        "->",
        {
            "digits": lambda text: str(_sum(text)),
            "english": lambda text: number_words.english(_sum(text)),
            "french": lambda text: number_words.french(_sum(text)),
            "spanish": lambda text: number_words.spanish(_sum(text)),
        },
        tuple(f"{a}+{b}" for a in NUMBERS for b in NUMBERS),
    ),
    "country": Kind(
        "->",
        {
            "capital": CAPITAL.__getitem__,
            "continent": CONTINENT.__getitem__,
            "upper": str.upper,
            "letters": lambda text: f"{len(text.replace(' ', ''))} letters",
        },
        tuple(CAPITAL),
    ),
    "pair": KINDS["pair"],
    "word": Kind(
        "->",
        {
            "first": lambda text: text[0],
            "last": lambda text: text[-1],
            "first_upper": lambda text: text[0].upper(),
            "last_upper": lambda text: text[-1].upper(),
        },
        WORDS,
    ),
}
PAPER = {"country": ("capital", "continent", "upper")}  # sets of which the paper mixes a part


class TextPrompt(NamedTuple):
    """A prompt up to its query's separator, and each task's answer to the query.

    Fields:
      text: the prompt.
      answers: K texts, all different, each with its newline.
      order: [m] of int, the number of each example's task.
    """

    text: str
    answers: tuple[str, ...]
    order: NDArray[np.int64]


def tasks_of(name: str) -> tuple[str, ...]:
    """Return the tasks of a set that the paper mixes.

    >>> tasks_of("pair"), tasks_of("country")
    (('left', 'right', 'sum'), ('capital', 'continent', 'upper'))
    """
    return PAPER.get(name, tuple(SETS[name].tasks))


def answers(kind: Kind, tasks: Sequence[str], text: str) -> tuple[str, ...]:
    """Return each task's answer to an input, with the newline.

    >>> answers(SETS["word"], ("first", "last_upper"), "house")
    ('h\\n', 'E\\n')
    """
    return tuple(kind.tasks[task](text) + END for task in tasks)


def collide(kind: Kind, tasks: Sequence[str]) -> bool:
    """Return whether there is no input to which the tasks all answer differently.

    >>> kind = Kind(">", {"same": str, "upper": str.upper, "copy": str}, ("a", "B"))
    >>> collide(kind, ("same", "upper")), collide(kind, ("same", "copy"))
    (False, True)
    """
    return not any(len(set(answers(kind, tasks, text))) == len(tasks) for text in kind.inputs)


def counts(shares: Sequence[float], examples: int) -> NDArray[np.int64]:
    """Return the number of examples of each task: the largest remainders are rounded up.

    >>> counts([2, 1, 1], 10).tolist(), counts([1, 1, 1], 10).tolist()
    ([5, 3, 2], [4, 3, 3])
    """
    exact = examples * np.asarray(shares, np.float64) / np.sum(shares)
    whole = np.floor(exact + 1e-9).astype(np.int64)
    late = np.argsort(-np.round(exact - whole, 9), kind="stable")
    whole[late[: examples - int(whole.sum())]] += 1
    return whole


def mixed_order(
    shares: Sequence[float], examples: int, exact: bool, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the number of each example's task: drawn independently, or shuffled in exact shares.

    >>> sorted(mixed_order([3, 1], 4, True, np.random.default_rng(0)).tolist())
    [0, 0, 0, 1]
    """
    lots = rng.random(examples)
    if exact:
        tasks = np.repeat(np.arange(len(shares)), counts(shares, examples))
        return tasks[np.argsort(lots)]
    borders = np.cumsum(shares)[:-1] / np.sum(shares)
    return np.searchsorted(borders, lots, side="right").astype(np.int64)


def mixed_prompt(
    kind: Kind,
    tasks: Sequence[str],
    shares: Sequence[float],
    *,
    examples: int,
    exact: bool,
    rng: np.random.Generator,
) -> TextPrompt:
    """Return a random prompt of `examples` lines; the inputs do not depend on the shares.

    Raises ValueError where no input is left to which the tasks answer differently.

    >>> rng = np.random.default_rng(0)
    >>> pair = SETS["pair"]
    >>> prompt = mixed_prompt(pair, ("sum", "left"), (1, 0), examples=1, exact=True, rng=rng)
    >>> prompt.text, prompt.answers
    ('58@78=136\\n15@30=', ('45\\n', '15\\n'))
    """
    drawn = [kind.inputs[number] for number in rng.permutation(len(kind.inputs)).tolist()]
    order = mixed_order(shares, examples, exact, rng)
    shown = zip(drawn[:examples], order.tolist(), strict=True)
    lines = [text + kind.separator + answers(kind, tasks, text)[task] for text, task in shown]
    for query in drawn[examples:]:
        wanted = answers(kind, tasks, query)
        if len(set(wanted)) == len(wanted):
            return TextPrompt("".join(lines) + query + kind.separator, wanted, order)
    raise ValueError("no input is left to which all tasks answer differently")
