"""Prompts that end in one question: what is measured of the answer, a token, alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus.types import Array, Draw, Example, Float, Groups, Key, Learned, Number, Reads, Task

LEARNED = 0.05  # a skill is learned when fewer answers are wrong
IMPOSSIBLE = -1e9  # logit of what cannot come: finite, so that 0 times it is 0


class Targets(NamedTuple):
    """What a prompt is judged by."""

    answers: Array  # [1], the token
    group: Array  # number of the skill that is asked for


def targets(answer: Array, group: Any) -> Targets:
    """Return the targets of one prompt."""
    return Targets(jnp.asarray(answer, jnp.int32)[None], jnp.asarray(group, jnp.int32))


def log_shares(shares: Float[Array, "*n V"]) -> Float[Array, "*n V"]:
    """Return the logits of tokens that have these shares.

    >>> log_shares(jnp.array([1.0, 0.0])).tolist()
    [0.0, -1000000000.0]
    """
    there = shares > 0
    return jnp.where(there, jnp.log(jnp.where(there, shares, 1.0)), IMPOSSIBLE)


def logits(shares: Float[Array, " V"]) -> Float[Array, "1 V"]:
    """Return the prediction that gives each token a share.

    >>> logits(jnp.array([1.0, 0.0])).tolist()
    [[0.0, -1000000000.0]]
    """
    return log_shares(shares)[None]


def cross_entropy(prediction: Float[Array, "1 V"], example: Example) -> Float[Array, ""]:
    """Return the loss of the answer, in nats."""
    return jax.nn.logsumexp(prediction[0]) - prediction[0, example.targets.answers[0]]


def error(prediction: Float[Array, "1 V"], example: Example) -> Float[Array, ""]:
    """Return 1 where the likeliest token is not the answer, else 0."""
    return (jnp.argmax(prediction[0]) != example.targets.answers[0]).astype(jnp.float32)


def distance(prediction: Array, other: Array, example: Example) -> Float[Array, ""]:
    """Return the squared distance of two predictions, as probabilities."""
    del example
    return jnp.sum(jnp.square(jax.nn.softmax(prediction[0]) - jax.nn.softmax(other[0])))


def questions(
    prompt: Callable[[Key, Array], Example],
    says: Callable[[Example], dict[str, Array]],
    *,
    skills: tuple[str, ...],
    unit: float,
    vocabulary: int,
    best: str,
    pool: int,
) -> Task:
    """Return the task of prompts (key, skill) -> Example that end in a question of one skill.

    Prompt number `index` of a lazy pool of the skill, the draw's group. The loss is the answer's
    cross-entropy over `unit`, that of "guess", so that the plateau is at 1; `says`: example ->
    predictions by predictor.
    """

    def emit(key: object, world: Key, draw: Draw, knobs: object) -> Example:
        own = jax.random.fold_in(jax.random.fold_in(world, draw.group), draw.index)
        return prompt(own, jnp.asarray(draw.group))

    def emit_test(key: Key, world: object, number: Number) -> Example:
        return prompt(key, jnp.asarray(number) % len(skills))

    def loss(prediction: Array, example: Example) -> Array:
        return cross_entropy(prediction, example) / unit

    return Task(
        init=lambda key: key,
        emit=emit,
        emit_test=emit_test,
        loss=loss,
        test_loss=loss,
        metrics={"last_error": error},
        predictors=lambda world, batch, knobs, log_prior: jax.vmap(says)(batch),
        uninformed="guess",
        best=best,
        size=pool,
        distance=distance,
        reads=Reads(vocabulary, at=slice(-1, None)),
        groups=Groups(
            skills,
            of=lambda example: example.targets.group,
            learned=Learned(error, (LEARNED,) * len(skills)),
        ),
    )
