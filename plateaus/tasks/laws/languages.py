"""Languages in context: strings of one random automaton, whose next symbols are to be predicted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from plateaus import option_strings
from plateaus.fields import INFINITE, Field
from plateaus.names import missing
from plateaus.tasks.automata import families
from plateaus.tasks.automata.families import FAMILIES, NEVER
from plateaus.tasks.automata.predictors import (
    bigram_shares,
    even,
    posterior_shares,
    unigram_shares,
)
from plateaus.tasks.shared import questions
from plateaus.tasks.shared.mixtures import NoKnobs, Normalise, Pool, losses_in_units
from plateaus.types import Groups, Learned, Reads, Task
from plateaus.values import Array, Draw, Example, Float, Int, Key, Number


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The families of a mixture and the sizes of a prompt."""

    families: Annotated[str, Field(help="names of families, with commas", sweepable=False)] = (
        "automaton_3_2,markov_2,repeat_4"
    )
    symbols: Annotated[int, Field(help="symbols V there are", low=2, high=families.SYMBOLS)] = 4
    strings: Annotated[int, Field(help="strings m of a prompt", low=1, high=256)] = 6
    length: Annotated[
        int, Field(help="symbols L of a string", low=1, high=256, units="symbols")
    ] = 7
    normalise: Normalise = True
    pool: Pool = INFINITE


Knobs = NoKnobs  # what is varied is which family and which language are drawn


class Targets(NamedTuple):
    """What a prompt is judged by, at each of its m L symbols."""

    answers: Array  # [m L], the symbol
    possible: Array  # [m L, V], which symbols could come
    group: Array  # number of the family


def groups(spec: Spec) -> tuple[str, ...]:
    """Return the families there are, each once.

    >>> groups(Spec(families="markov_2, repeat_4"))
    ('markov_2', 'repeat_4')
    """
    return option_strings.known_names(spec.families, FAMILIES)


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for families that are not there or do not fit the symbols."""

    def fault(name: str) -> str:
        if name not in FAMILIES:
            return missing("family", name, FAMILIES)
        return families.fault(name, values["symbols"])

    for message in option_strings.name_problems(values["families"], FAMILIES, fault):
        yield "families", message


def languages(spec: Spec) -> Task:
    r"""Predict every symbol of m strings of one language, [#, s_1, .., s_L, #, s_1, .., s_L, ..].

    A language is a random automaton: in each state A symbols can come, equally likely, and which
    one comes says which state is next; all strings begin in the same state. It is number `index`
    of a lazy pool of the family (the draw's group), and strings are fresh each time. automaton_S_A:
    S states, each with arcs of A different symbols to A different other states; markov_A: the state
    is the last symbol, and the first symbol is uniform; repeat_P: a word of P symbols again and
    again. The loss is the cross-entropy of the symbols, mean over all of them, in units of log V,
    the exact loss without context (no symbol is preferred by a family), so that the plateau is at 1
    (`normalise`: in training, too). Tokens: V symbols and the delimiter #.

    Shapes: inputs [m(L + 1) - 1] of int32, targets.answers [m L], predictions [m L, V + 1] logits.
    Predictors: "no_context", uniform; "unigram" and "bigram", the symbols so far and what followed
    the last token so far, (c + 1/V) / (n + 1), which do not know the family; "bayes", which knows
    it: the posterior over all its languages, where no family of the mixture has more than 4,096 of
    them; "known", which knows the language: log A / log V (1 at a Markov chain's first symbols).
    `last_error` is the share of the last string's places at which the likeliest symbol could not
    come.

    Source: paper 2, limitations; the language is after Akyurek et al. 2024 (arXiv 2401.12973).
    The sizes are ours, and that all strings have one length, so that # tells nothing.

    >>> task = languages(Spec(families="repeat_2", strings=2, length=3))
    >>> emit, world = jax.jit(task.emit), task.init(jax.random.key(0))
    >>> example = emit(jax.random.key(1), world, Draw(7), Knobs())
    >>> example.inputs.shape, bool(example.inputs[1] == example.inputs[3])
    ((7,), True)
    """
    chosen = groups(spec)
    choices, counts = _padded([families.rows(name, spec.symbols) for name in chosen])
    vocabulary, size = spec.symbols + 1, spec.strings * spec.length
    places = range(spec.strings * (spec.length + 1) - 1)
    before_symbols = tuple(i for i in places if (i + 1) % (spec.length + 1))
    units = jnp.full(len(chosen), math.log(spec.symbols), jnp.float32)
    small = all(
        families.number_of_languages(name, spec.symbols) <= families.MOST_LANGUAGES
        for name in chosen
    )
    every = [jnp.asarray(families.languages(name, spec.symbols)) for name in chosen if small]

    def prompt(key: Key, key_language: Key, group: Any) -> Example:
        states = jnp.arange(choices.shape[1])
        number = jax.random.randint(key_language, states.shape, 0, jnp.asarray(counts)[group])
        table = jnp.asarray(choices)[group, states, number]  # [S, V]

        def step(state: Int[Array, " m"], lots: Float[Array, "m V"]) -> tuple[Array, Any]:
            possible = table[state] != NEVER
            symbol = jnp.argmax(jnp.where(possible, lots, -1.0), axis=1)
            return table[state, symbol], (symbol.astype(jnp.int32), possible)

        lots = jax.random.uniform(key, (spec.length, spec.strings, spec.symbols))
        start = jnp.zeros(spec.strings, jnp.int32)
        symbols, possible = jax.lax.scan(step, start, lots)[1]
        symbols, possible = symbols.T, jnp.swapaxes(possible, 0, 1)
        tokens = jnp.pad(symbols, ((0, 0), (1, 0)), constant_values=spec.symbols).reshape(-1)[:-1]
        group = jnp.asarray(group, jnp.int32)
        return Example(
            tokens, Targets(symbols.reshape(-1), possible.reshape(size, spec.symbols), group)
        )

    def emit(key: Key, world: Key, draw: Draw, knobs: object) -> Example:
        return prompt(key, questions.item_key(world, draw), draw.group)

    def emit_test(key: Key, world: object, number: Number) -> Example:
        key_language, key_prompt = jax.random.split(key)
        return prompt(key_prompt, key_language, number % len(chosen))

    def nats(prediction: Float[Array, "n V"], example: Example) -> Float[Array, " n"]:
        return questions.token_losses(prediction, example.targets.answers)

    def last_error(prediction: Float[Array, "n V"], example: Example) -> Float[Array, ""]:
        likeliest = jnp.argmax(prediction, axis=1)[:, None]
        possible = jnp.pad(example.targets.possible, ((0, 0), (0, 1)))
        right = jnp.take_along_axis(possible, likeliest, axis=1)[-spec.length :]
        return 1 - jnp.mean(right.astype(jnp.float32))

    def beliefs(example: Example) -> dict[str, Array]:
        """Return the shares that every predictor gives to the symbols, [m L, V]."""
        answers, possible, group = example.targets
        last = example.inputs[np.array(before_symbols)]
        shares = {
            "no_context": jnp.full(possible.shape, 1 / spec.symbols),
            "unigram": unigram_shares(answers, spec.symbols),
            "bigram": bigram_shares(last, answers, spec.symbols),
        }
        if small:
            by_family = [posterior_shares(tables, answers, spec.length) for tables in every]
            shares["bayes"] = jnp.stack(by_family)[group]
        return shares | {"known": even(possible)}

    def predictors(
        world: object, batch: Example, knobs: object, log_prior: object
    ) -> dict[str, Array]:
        shares = jax.vmap(beliefs)(batch)
        return {
            name: questions.log_shares(jnp.pad(share, ((0, 0), (0, 0), (0, 1))))
            for name, share in shares.items()
        }

    loss_by_prefix, test_loss, loss = losses_in_units(nats, units, spec.normalise)
    return Task(
        init=lambda key: key,
        emit=emit,
        emit_test=emit_test,
        loss=loss,
        test_loss=test_loss,
        metrics={"last_error": last_error, "loss_by_prefix": loss_by_prefix},
        predictors=predictors,
        uninformed="no_context",
        best="known",
        size=spec.pool,
        axes={"loss_by_prefix": "prefix"},
        distance=questions.distance,
        reads=Reads(vocabulary, at=before_symbols),
        groups=Groups(
            chosen,
            of=lambda example: example.targets.group,
            learned=Learned(last_error, (questions.LEARNED,) * len(chosen)),
        ),
    )


def _padded(by_family: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of all families, [G, S, K, V], and how many there are of each state."""
    states = max(len(tables) for tables in by_family)
    most = max(len(table) for tables in by_family for table in tables)
    symbols = by_family[0][0].shape[1]
    rows = np.full((len(by_family), states, most, symbols), NEVER, np.int32)
    counts = np.ones((len(by_family), states), np.int32)
    for g, tables in enumerate(by_family):
        for s, table in enumerate(tables):
            rows[g, s, : len(table)], counts[g, s] = table, len(table)
    return rows, counts
