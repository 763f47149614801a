"""LEGO: chains of signed variables, and the value of one of them; the skills are the links."""

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
from plateaus.types import Array, Example, Float, Key, Task

SYMBOLS = 3  # after the letters: plus, minus, one


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The chain and how it is shown."""

    links: Annotated[
        int, Field(help="variables of a chain k, each a skill", low=1, high=26, sweepable=False)
    ] = 5
    letters: Annotated[int, Field(help="names of variables there are", low=1, high=2**16)] = 26
    order: Annotated[
        str, Field(help="order of the clauses in a prompt", choices=("random", "chain"))
    ] = "random"
    pool: Prompts = INFINITE


Knobs = NoKnobs  # what is varied is which skill is drawn


def groups(spec: Spec) -> tuple[str, ...]:
    """Return the skills there are.

    >>> groups(Spec(links=2))
    ('link_1', 'link_2')
    """
    return tuple(f"link_{link + 1}" for link in range(spec.links))


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for a chain with more variables than there are names."""
    if values["letters"] < values["links"]:
        yield "letters", f"must be at least {values['links']}, the variables of a chain"


def lego(spec: Spec) -> Task:
    r"""Answer what a variable is worth in a = +1, b = -a, c = +b: $v_i = s_1 s_2 \cdots s_i$.

    A prompt is k clauses and a question. Clause i is three tokens, [x_i, s_i, x_{i-1}], x_0 being
    the token of one; the names x are different letters, the signs s fair coins. Equality signs and
    commas, the same in every prompt, are left out. The clauses are in random order, or in that of
    the chain. The last token is the variable asked for: skill i, group `link_i`, asks for x_i. The
    answer is the token of plus or of minus. Prompt number `index` of a lazy pool of the skill. The
    loss is the answer's cross-entropy in units of log 2, the best without the chain: the plateau is
    at 1.

    Shapes: inputs [3k + 1] of int32, targets.answers [1], predictions [1, V] logits, V = letters +
    3. Predictors: "guess", plus and minus alike; "own_sign", the sign of the clause that names the
    variable, right for the first link and chance for all others; "all_signs", the product of all
    signs, a short cut that is right for the last; "chain", which follows the chain.

    Source: Zhang et al. 2022 (arXiv 2206.04301); as skills, Chen et al. 2023 (Skill-It, arXiv
    2307.14430) and its code: a path of k = 5 out of 26 letters, random order, one variable asked.

    >>> task = lego(Spec(links=2, order="chain"))
    >>> from plateaus.types import Draw
    >>> emit = jax.jit(task.emit)
    >>> example = emit(jax.random.key(1), jax.random.key(0), Draw(7, 0), Knobs())
    >>> example.inputs.shape, bool(example.targets.answers[0] == example.inputs[1])
    ((7,), True)
    """
    plus, unit, vocabulary = spec.letters, spec.letters + 2, spec.letters + SYMBOLS

    def prompt(key: Key, group: Any) -> Example:
        key_names, key_signs, key_order = jax.random.split(key, 3)
        names = jax.random.permutation(key_names, spec.letters)[: spec.links]
        minus = jax.random.bernoulli(key_signs, 0.5, (spec.links,)).astype(jnp.int32)
        sources = jnp.concatenate([jnp.array([unit]), names[:-1]])
        clauses = jnp.stack([names, plus + minus, sources], axis=1)
        if spec.order == "random":
            clauses = jax.random.permutation(key_order, clauses)
        tokens = jnp.concatenate([clauses.reshape(-1), names[group][None]])
        value = plus + jnp.cumsum(minus)[group] % 2
        return Example(tokens.astype(jnp.int32), questions.targets(value, group))

    def predict(example: Example) -> dict[str, Array]:
        clauses = example.inputs[:-1].reshape(spec.links, 3)
        minus = clauses[:, 1] - plus
        sign = jnp.sum(jnp.where(clauses[:, 0] == example.inputs[-1], minus, 0))

        def sure(token: Array) -> Float[Array, "1 V"]:
            return questions.logits(jax.nn.one_hot(token, vocabulary))

        token = jnp.arange(vocabulary)
        return {
            "guess": questions.logits(jnp.where((token >= plus) & (token < unit), 0.5, 0.0)),
            "own_sign": sure(plus + sign),
            "all_signs": sure(plus + jnp.sum(minus) % 2),
            "chain": sure(example.targets.answers[0]),
        }

    return questions.questions(
        prompt,
        predict,
        skills=groups(spec),
        unit=math.log(2),
        vocabulary=vocabulary,
        best="chain",
        pool=spec.pool,
    )
