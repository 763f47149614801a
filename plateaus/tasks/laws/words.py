"""Words in context: examples alone show which word of a list is meant, or its length."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus import option_strings
from plateaus.fields import INFINITE, Field
from plateaus.tasks.shared import questions
from plateaus.tasks.shared.mixtures import NoKnobs, Normalise, Pool, losses_in_units
from plateaus.types import Groups, Learned, Reads, Task
from plateaus.values import Array, Draw, Example, Float, Int, Key, Number

LENGTHS = tuple(range(2, 10))  # letters of the words there are
LONGEST_LIST = 8
SELECTION, LENGTH = "word_selection", "word_length"
FAMILIES = {  # name -> (words in a list, whether the answer is a length)
    **{f"{SELECTION}_{m}": (m, False) for m in range(2, LONGEST_LIST + 1)},
    LENGTH: (4, True),
    **{f"{LENGTH}_{m}": (m, True) for m in range(2, LONGEST_LIST + 1)},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The families of a mixture and the sizes of a prompt."""

    families: Annotated[str, Field(help="names of families, with commas", sweepable=False)] = (
        "word_selection_2,word_selection_4,word_length"
    )
    words: Annotated[int, Field(help="words there are", low=LONGEST_LIST, high=560)] = 200
    examples: Annotated[int, Field(help="examples before the query", low=1, high=256)] = 5
    normalise: Normalise = True
    pool: Pool = INFINITE


Knobs = NoKnobs  # what is varied is which family and which function are drawn


class Targets(NamedTuple):
    """What a prompt is judged by."""

    answers: Array  # [n + 1], of the examples and of the query
    slot: Array  # the place of the list that the function reads, pads included
    group: Array  # number of the family


def groups(spec: Spec) -> tuple[str, ...]:
    """Return the families there are, each once.

    >>> groups(Spec(families="word_length, word_selection_2"))
    ('word_length', 'word_selection_2')
    """
    return option_strings.known_names(spec.families, FAMILIES)


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for families that are not there, or none."""
    for message in option_strings.name_problems(values["families"], FAMILIES):
        yield "families", message


def no_context_loss(name: str, words: int) -> float:
    """Return the mean entropy of the answer, in nats, for who sees the list but no example.

    A list holds m different words. Selection: log m. Length: -sum_l E[c_l/m log(c_l/m)], c_l the
    hypergeometric number of listed words of length l.

    >>> round(no_context_loss("word_selection_4", 200) - math.log(4), 9)
    0.0
    """
    m, length = FAMILIES[name]
    if not length:
        return math.log(m)
    total = 0.0
    for kind in range(len(LENGTHS)):
        having = len(range(kind, words, len(LENGTHS)))
        for c in range(1, m + 1):
            ways = math.comb(having, c) * math.comb(words - having, m - c)
            total -= ways / math.comb(words, m) * c / m * math.log(c / m)
    return total


def words(spec: Spec) -> Task:
    r"""Answer the query of a prompt [list, answer, .., list, answer, list] as its examples do.

    A list holds m different words of W, a token each, uniform. word_selection_m: the answer is the
    p-th word; word_length_m (word_length: m = 4): the token of the p-th word's length. The hidden
    position p is uniform on 1..m, one for a prompt: that of function number `index` of a lazy pool
    of the family (the draw's group). Shorter lists are padded in front to the longest of the
    mixture, M. The loss is the cross-entropy of the answers, mean over the n examples and the
    query, in units of the family's exact no-context loss: the plateau is at 1 (`normalise`: in
    training, too). Tokens: words, lengths 2..9, the pad.

    Shapes: inputs [n(M + 1) + M] of int32, targets.answers [n + 1], predictions [n + 1, V] logits.
    Predictors, all of which know the family: "no_context", the share of the list's positions with
    an answer; "bayes", the positions that agree with all examples so far; "oracle", which knows p.

    Source: paper 2, its language version: 5 examples and 1 query. Its rules are not stated there.

    >>> task = words(Spec(families="word_selection_2", examples=1))
    >>> emit, world = jax.jit(task.emit), task.init(jax.random.key(0))
    >>> example = emit(jax.random.key(1), world, Draw(7), Knobs())
    >>> example.inputs.shape, bool(example.targets.answers[0] == example.inputs[2])
    ((5,), True)
    """
    chosen = groups(spec)
    kinds, prefixes = len(LENGTHS), spec.examples + 1
    vocabulary = spec.words + kinds + 1
    longest = max(FAMILIES[name][0] for name in chosen)
    sizes = jnp.array([FAMILIES[name][0] for name in chosen])
    measures = jnp.array([FAMILIES[name][1] for name in chosen])
    units = jnp.array([no_context_loss(name, spec.words) for name in chosen], jnp.float32)

    def lists(key: Key) -> Int[Array, "prefixes M"]:
        """Draw lists of different words: the places of the largest of random numbers."""
        random = jax.random.uniform(key, (prefixes, spec.words))
        return jax.lax.top_k(random, longest)[1].astype(jnp.int32)

    def answers_of(shown: Array, group: Any) -> Array:
        """Return what each word of the lists would be answered with; a pad stays a pad."""
        length = jnp.where(shown < spec.words, spec.words + shown % kinds, shown)
        return jnp.where(measures[group], length, shown)

    def prompt(key: Key, key_function: Key, group: Any) -> Example:
        size = sizes[group]
        slot = longest - size + jax.random.randint(key_function, (), 0, size)
        listed = jnp.arange(longest) >= longest - size
        shown = jnp.where(listed[None, :], lists(key), jnp.int32(vocabulary - 1))
        answers = answers_of(shown, group)[:, slot]
        tokens = jnp.concatenate([shown, answers[:, None]], axis=1).reshape(-1)[:-1]
        return Example(tokens, Targets(answers, slot, jnp.asarray(group, jnp.int32)))

    def emit(key: Key, world: Key, draw: Draw, knobs: object) -> Example:
        return prompt(key, questions.item_key(world, draw), draw.group)

    def emit_test(key: Key, world: object, number: Number) -> Example:
        key_function, key_prompt = jax.random.split(key)
        return prompt(key_prompt, key_function, number % len(chosen))

    def nats(prediction: Float[Array, "prefixes V"], example: Example) -> Float[Array, " prefixes"]:
        return questions.token_losses(prediction, example.targets.answers)

    def beliefs(example: Example) -> dict[str, Array]:
        """Return every predictor's logits: log of the probability of slots that give a token."""
        group = example.targets.group
        tokens = jnp.pad(example.inputs, (0, 1)).reshape(prefixes, longest + 1)
        answers = answers_of(tokens[:, :-1], group)  # [prefixes, M], what each slot would answer
        listed = jnp.arange(longest) >= longest - sizes[group]
        agrees = (answers == example.targets.answers[:, None]) & listed[None, :]
        before = jnp.concatenate([listed[None, :], agrees[:-1]])  # an answer is known afterwards
        possible = jnp.cumprod(before.astype(jnp.float32), axis=0)
        slots = jnp.broadcast_to(listed.astype(jnp.float32)[None, :], possible.shape)
        oracle = jax.nn.one_hot(jnp.full(prefixes, example.targets.slot), longest)
        tokens_of = jax.nn.one_hot(answers, vocabulary)  # [prefixes, M, V]

        def logits(slots: Array) -> Array:
            share = slots / jnp.sum(slots, axis=1, keepdims=True)
            mass = jnp.sum(share[:, :, None] * tokens_of, axis=1)
            return questions.log_shares(mass)

        return {"no_context": logits(slots), "bayes": logits(possible), "oracle": logits(oracle)}

    loss_by_prefix, test_loss, loss = losses_in_units(nats, units, spec.normalise)
    return Task(
        init=lambda key: key,
        emit=emit,
        emit_test=emit_test,
        loss=loss,
        test_loss=test_loss,
        metrics={"last_error": questions.last_error, "loss_by_prefix": loss_by_prefix},
        predictors=lambda world, batch, knobs, log_prior: jax.vmap(beliefs)(batch),
        uninformed="no_context",
        best="oracle",
        size=spec.pool,
        axes={"loss_by_prefix": "prefix"},
        distance=questions.distance,
        reads=Reads(vocabulary, at=slice(longest - 1, None, longest + 1)),
        groups=Groups(
            chosen,
            of=lambda example: example.targets.group,
            learned=Learned(questions.last_error, (questions.LEARNED,) * len(chosen)),
        ),
    )
