"""Addition of decimal numbers, and one digit of the sum; the skills are the places."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from plateaus.fields import INFINITE, Field
from plateaus.tasks.shared import questions
from plateaus.tasks.shared.mixtures import NoKnobs, Prompts
from plateaus.types import Array, Example, Float, Int, Key, Task

PLACES = ("ones", "tens", "hundreds", "thousands", "ten_thousands", "hundred_thousands")
BASE = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The size of the numbers."""

    digits: Annotated[
        int,
        Field(
            help="digits d of each number, each place a skill",
            low=1,
            high=len(PLACES),
            sweepable=False,
        ),
    ] = 3
    pool: Prompts = INFINITE


Knobs = NoKnobs  # what is varied is which skill is drawn


def groups(spec: Spec) -> tuple[str, ...]:
    """Return the skills there are.

    >>> groups(Spec())
    ('ones', 'tens', 'hundreds')
    """
    return PLACES[: spec.digits]


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield nothing: any size fits."""
    yield from ()


def carry_share(place: int) -> float:
    r"""Return how often there is a carry into a place: $(1 - 10^{-i}) / 2$ for place i.

    Of the $10^{2i}$ pairs of lower parts, $10^i (10^i - 1) / 2$ have a sum of $10^i$ or more.

    >>> [carry_share(place) for place in range(3)]
    [0.0, 0.45, 0.495]
    """
    return (1 - float(BASE) ** -place) / 2


def carries(a: Int[Array, " d"], b: Int[Array, " d"]) -> Int[Array, " d"]:
    """Return the carry into each place of a sum; digits begin with the ones.

    >>> jax.jit(carries)(jnp.array([7, 9, 1]), jnp.array([5, 0, 1])).tolist()
    [0, 1, 1]
    """
    carry = [jnp.zeros((), a.dtype)]
    for place in range(a.shape[0] - 1):
        carry.append((a[place] + b[place] + carry[-1]) // BASE)
    return jnp.stack(carry)


def addition(spec: Spec) -> Task:
    r"""Answer digit i of a + b modulo $10^d$: $(a_i + b_i + c_i) \bmod 10$, c_i the carry into i.

    a and b are uniform on 0..10^d - 1. A prompt is the d digits of a, those of b, the highest
    first, and the place that is asked for; signs that are the same in every prompt are left out.
    Skill i, a group, asks for place i: ones, tens, hundreds. The carry out of the highest place is
    dropped, so that every digit of the answer is uniform on 0..9, whichever is asked for: the best
    without the numbers is log 10, the unit of the loss, and the plateau is at 1. Prompt number
    `index` of a lazy pool of the skill.

    Shapes: inputs [2d + 1] of int32, targets.answers [1], predictions [1, V] logits, V = 10 + d.
    Predictors: "guess", all digits alike; "no_carry", which adds the two digits of the place and
    knows only how often there is a carry: right for ones; "sum".

    Source: Chen et al. 2023 (Skill-It, arXiv 2307.14430), d = 3, and its code, where A[2] of a
    longer sum is its hundreds digit, too, but numbers are below 999.

    >>> task = addition(Spec())
    >>> from plateaus.types import Draw
    >>> emit = jax.jit(task.emit)
    >>> example = emit(jax.random.key(1), jax.random.key(0), Draw(7, 2), Knobs())
    >>> example.inputs.tolist(), int(example.targets.answers[0])
    ([6, 1, 0, 4, 2, 1, 12], 0)
    """
    places, vocabulary = spec.digits, BASE + spec.digits
    carried = jnp.array([carry_share(place) for place in range(places)])

    def prompt(key: Key, group: Any) -> Example:
        a, b = jax.random.randint(key, (2, places), 0, BASE)
        answer = (a + b + carries(a, b))[group] % BASE
        tokens = jnp.concatenate([a[::-1], b[::-1], (BASE + group)[None]])
        return Example(tokens.astype(jnp.int32), questions.targets(answer, group))

    def predict(example: Example) -> dict[str, Array]:
        group = example.targets.group
        a, b = example.inputs[:places][::-1], example.inputs[places:-1][::-1]
        total, share = (a + b)[group], carried[group]

        def digit(value: Array) -> Float[Array, " V"]:
            return jax.nn.one_hot(value % BASE, vocabulary)

        return {
            "guess": questions.logits(jnp.where(jnp.arange(vocabulary) < BASE, 1 / BASE, 0.0)),
            "no_carry": questions.logits((1 - share) * digit(total) + share * digit(total + 1)),
            "sum": questions.logits(digit(example.targets.answers[0])),
        }

    return questions.questions(
        prompt,
        predict,
        skills=groups(spec),
        unit=math.log(BASE),
        vocabulary=vocabulary,
        best="sum",
        pool=spec.pool,
    )
