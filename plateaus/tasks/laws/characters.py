"""Character tasks in context: only its examples show which task a prompt is of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from plateaus import option_strings
from plateaus.fields import INFINITE, Field
from plateaus.tasks.shared import questions
from plateaus.tasks.shared.mixtures import losses_in_units
from plateaus.tasks.strings import sets
from plateaus.tasks.strings.checks import problems
from plateaus.tasks.strings.tables import tables
from plateaus.types import Groups, Learned, Reads, Task
from plateaus.values import Array, Draw, Example, Float, Int, Key, MixedPrompt, Number, Scalar

QUERIES = 64  # tried for one that all tasks answer differently


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The tasks of a set, their inputs, and the size of a prompt."""

    families: Annotated[str, Field(help="names of tasks, with commas", sweepable=False)] = (
        "ret3,ret7"
    )
    alphabet: Annotated[str, Field(help="letters of the inputs of letters")] = (
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    )
    length: Annotated[
        int, Field(help="letters of such an input, all different", low=1, high=sets.LONGEST)
    ] = 8
    examples: Annotated[int, Field(help="examples of a sequence", low=1, high=2**12)] = 5
    pool: Annotated[
        int, Field(help="sequences of each task; see data.items", low=1, high=INFINITE)
    ] = INFINITE


class Knobs(NamedTuple):
    """The numbers of the law."""

    switching: Annotated[
        Scalar,
        Field(help="share of examples whose task is drawn afresh", low=0, high=1, neutral=0.0),
    ] = 0.0


class Targets(NamedTuple):
    """What a sequence of m examples is judged by; answers are A tokens and a newline at most."""

    answers: Array  # [m (A + 1)], padded
    scored: Array  # [m (A + 1)] of bool: not padding
    all_answers: Array  # [m, K, A + 1], the answers of all tasks of the set
    group: Array  # number of the task


def groups(spec: Spec) -> tuple[str, ...]:
    """Return the tasks there are, each once.

    >>> groups(Spec(families="plus3, plus4"))
    ('plus3', 'plus4')
    """
    return option_strings.known_names(spec.families, sets.TASKS)


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for tasks that are not there or do not fit one another, or inputs."""
    fields = ("families", "alphabet", "length", "examples")
    yield from problems(*(values[name] for name in fields))


def characters(spec: Spec) -> Task:
    r"""Answer the examples of a prompt `abcd>c`, newline, `efgh>g`, newline, .. as those before.

    Tasks of one kind of input: letters (ret1 .. ret8, first, last, copy, reverse, upper, lower,
    swapcase) of `length` different letters of the alphabet; digit (plus0 .. plus9: x>(x + c) mod
    10); pair (`A@B=`, two numbers of two digits: left, right, sum). A token a character, 103 in
    all. A sequence is m examples of one task, the draw's group, number `index` of a lazy pool;
    with `switching` rho each example is, with chance rho, of a task drawn evenly from all instead.
    The loss of an example is -log of the product of the probabilities of its answer and newline,
    mean over the m examples, in units of the no-context loss, log K: the plateau is at 1.

    Shapes: E = n + A + 2 tokens an example of n tokens of input and an answer of A at most, padded
    after its newline; inputs [m E - 1] of int32, targets.answers [m (A + 1)], predictions [m (A +
    1), V] logits. Predictors, of prompts of one task: "marginal", how often each place of an answer
    has each token, over all tasks; "no_context", any task of the set; "bayes", the tasks that agree
    with all examples so far, about 1 / m.

    Source: paper 5, training from scratch (its ret has 52 letters, 8 to an input, 101 examples).

    >>> task = characters(Spec(families="plus3,plus4", examples=2))
    >>> emit = jax.jit(task.emit)
    >>> example = emit(jax.random.key(1), jax.random.key(0), Draw(7, 1), Knobs())
    >>> sets.decode(example.inputs.tolist())
    '0>4\n6>0'
    """
    chosen = groups(spec)
    made = tables(chosen, spec.alphabet, spec.length)
    tasks, m, width = len(chosen), spec.examples, made.width
    separator, units = jnp.array([made.separator]), jnp.asarray(made.units, jnp.float32)
    marginal = questions.log_shares(jnp.asarray(made.marginal, jnp.float32))  # [A + 1, V]
    # from each separator on, the tokens before an answer's
    read = np.add.outer(np.arange(m) * (made.length + 1 + width) + made.length, np.arange(width))

    def written(inputs: Array, answers: Array) -> Int[Array, "m E"]:
        between = jnp.broadcast_to(separator, (inputs.shape[0], 1))
        return jnp.concatenate([inputs, between, answers], axis=1)

    def sequence(key: Key, group: Any, switching: Scalar) -> Example:
        key_inputs, key_switch, key_other = jax.random.split(key, 3)
        inputs, all_answers = jax.vmap(made.draw)(jax.random.split(key_inputs, m))
        switches = jax.random.bernoulli(key_switch, switching, (m,))
        order = jnp.where(switches, jax.random.randint(key_other, (m,), 0, tasks), group)
        answers = all_answers[jnp.arange(m), order]
        tokens = written(inputs, answers).reshape(-1)[:-1]
        shown = answers.reshape(-1)
        return Example(
            tokens, Targets(shown, shown != sets.PAD, all_answers, jnp.asarray(group, jnp.int32))
        )

    def emit(key: object, world: Key, draw: Draw, knobs: Knobs) -> Example:
        return sequence(questions.item_key(world, draw), draw.group, knobs.switching)

    def emit_test(key: Key, world: object, number: Number) -> Example:
        return sequence(key, jnp.asarray(number) % tasks, 0.0)

    def emit_mixed(key: Key, order: Array, queried: tuple[int, ...]) -> MixedPrompt:
        key_examples, key_query = jax.random.split(key)
        keys = jax.random.split(key_examples, order.shape[0])
        inputs, all_answers = jax.vmap(made.draw)(keys)
        before = written(inputs, all_answers[jnp.arange(order.shape[0]), order]).reshape(-1)
        query, answers = jax.vmap(made.draw)(jax.random.split(key_query, QUERIES))
        answers = answers[:, jnp.array(queried)]
        same = jnp.all(answers[:, :, None] == answers[:, None, :], axis=-1)
        apart = jnp.sum(same, axis=(1, 2)) == len(queried)  # each like itself only
        best = jnp.argmax(apart)
        targets = answers[best]
        ways = written(targets[:, :0], targets)[:, :-1]
        prefix = jnp.concatenate([before, query[best]])
        return MixedPrompt(prefix, ways, targets, targets != sets.PAD, jnp.int32(sets.NEWLINE))

    def nats(prediction: Float[Array, "tokens V"], example: Example) -> Float[Array, " m"]:
        losses = questions.token_losses(prediction, example.targets.answers)
        scored = jnp.where(example.targets.scored, losses, 0.0)
        return jnp.sum(scored.reshape(m, width), axis=1)

    def last_error(prediction: Array, example: Example) -> Array:
        right = jnp.argmax(prediction, axis=-1) == example.targets.answers
        wrong = example.targets.scored & ~right
        return jnp.any(wrong[-width:]).astype(jnp.float32)

    def beliefs(example: Example) -> dict[str, Array]:
        """Return every predictor's logits: log of the probability of tasks that give a token."""
        all_answers = example.targets.all_answers
        shown = example.targets.answers.reshape(m, 1, width)
        agrees = all_answers == shown  # [m, K, A + 1]
        whole = jnp.cumprod(jnp.all(agrees, axis=-1).astype(jnp.float32), axis=0)
        before = jnp.concatenate([jnp.ones((1, tasks)), whole[:-1]])
        begun = jnp.cumprod(agrees.astype(jnp.float32), axis=-1)
        begun = jnp.concatenate([jnp.ones((m, tasks, 1)), begun[..., :-1]], axis=-1)
        tokens_of = jax.nn.one_hot(all_answers, sets.VOCABULARY)  # [m, K, A + 1, V]

        def logits(prior: Array) -> Array:
            weight = prior[:, :, None] * begun
            total = jnp.sum(weight, axis=1, keepdims=True)
            share = jnp.where(total > 0, weight / jnp.where(total > 0, total, 1.0), 1 / tasks)
            mass = jnp.einsum("mkj,mkjv->mjv", share, tokens_of)
            return questions.log_shares(mass).reshape(m * width, -1)

        return {
            "marginal": jnp.tile(marginal, (m, 1)),
            "no_context": logits(jnp.ones((m, tasks))),
            "bayes": logits(before),
        }

    def distance(prediction: Array, other: Array, example: Example) -> Array:
        apart, scored = questions.squared_distances(prediction, other), example.targets.scored
        return jnp.sum(apart, where=scored) / jnp.sum(scored)

    by_example, loss, _ = losses_in_units(nats, units)
    return Task(
        init=lambda key: key,
        emit=emit,
        emit_test=emit_test,
        loss=loss,
        test_loss=loss,
        metrics={"last_error": last_error, "loss_by_example": by_example},
        predictors=lambda world, batch, knobs, log_prior: jax.vmap(beliefs)(batch),
        uninformed="no_context",
        best="bayes",
        size=spec.pool,
        axes={"loss_by_example": "example"},
        distance=distance,
        reads=Reads(sets.VOCABULARY, at=tuple(read.ravel().tolist())),
        groups=Groups(
            chosen,
            of=lambda example: example.targets.group,
            learned=Learned(last_error, (questions.LEARNED,) * tasks),
            emit_mixed=emit_mixed,
        ),
    )
