"""Predictions of tokens: losses, errors and distances; tasks whose prompts end in a question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus.types import Groups, Learned, Reads, Task
from plateaus.values import Array, Draw, Example, Float, Int, Key, Number

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
    possible = shares > 0
    return jnp.where(possible, jnp.log(jnp.where(possible, shares, 1.0)), IMPOSSIBLE)


def logits(shares: Float[Array, " V"]) -> Float[Array, "1 V"]:
    """Return the prediction that gives each token a share.

    >>> logits(jnp.array([1.0, 0.0])).tolist()
    [[0.0, -1000000000.0]]
    """
    return log_shares(shares)[None]


def cross_entropy(logits: Float[Array, " V"], token: Int[Array, ""]) -> Float[Array, ""]:
    """Return the cross-entropy of one token, in nats."""
    return jax.nn.logsumexp(logits) - logits[token]


def token_losses(logits: Float[Array, "n V"], tokens: Int[Array, " n"]) -> Float[Array, " n"]:
    """Return the cross-entropy of each token, in nats.

    >>> round(float(token_losses(jnp.zeros((1, 4)), jnp.array([2]))[0]), 4)  # log 4
    1.3863
    """
    chosen = jnp.take_along_axis(logits, tokens[:, None], axis=-1)[:, 0]
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def wrong(logits: Float[Array, " V"], token: Int[Array, ""]) -> Float[Array, ""]:
    """Return 1 where the likeliest token is not this one, else 0."""
    return (jnp.argmax(logits) != token).astype(jnp.float32)


def squared_distances(
    logits: Float[Array, "*n V"], others: Float[Array, "*n V"]
) -> Float[Array, "*n"]:
    """Return the squared distance of two predictions at each position, as probabilities.

    >>> float(squared_distances(jnp.array([20.0, -20.0]), jnp.array([-20.0, 20.0])))
    2.0
    """
    apart = jax.nn.softmax(logits) - jax.nn.softmax(others)
    return jnp.sum(jnp.square(apart), axis=-1)


def last_error(prediction: Float[Array, "n V"], example: Example) -> Float[Array, ""]:
    """Return whether the last of the answers is wrong, 1 or 0."""
    return wrong(prediction[-1], example.targets.answers[-1])


def last_distance(prediction: Array, other: Array, example: Example) -> Float[Array, ""]:
    """Return the squared distance of two predictions of the last answer, as probabilities."""
    del example
    return squared_distances(prediction[-1], other[-1])


def distance(prediction: Array, other: Array, example: Example) -> Float[Array, ""]:
    """Return the squared distance of two predictions as probabilities, mean over positions."""
    del example
    return jnp.mean(squared_distances(prediction, other))


def item_key(world: Key, draw: Draw) -> Key:
    """Return the key of item number `index` of the lazy pool of the draw's group."""
    return jax.random.fold_in(jax.random.fold_in(world, draw.group), draw.index)


def questions(
    prompt: Callable[[Key, Array], Example],
    predict: Callable[[Example], dict[str, Array]],
    *,
    skills: tuple[str, ...],
    unit: float,
    vocabulary: int,
    best: str,
    pool: int,
) -> Task:
    """Return the task of prompts (key, skill) -> Example that end in a question of one skill.

    Prompt number `index` of a lazy pool of the skill, the draw's group. The loss is the answer's
    cross-entropy over `unit`, that of "guess", so that the plateau is at 1; `predict`: example ->
    predictions by predictor.
    """

    def emit(key: object, world: Key, draw: Draw, knobs: object) -> Example:
        return prompt(item_key(world, draw), jnp.asarray(draw.group))

    def emit_test(key: Key, world: object, number: Number) -> Example:
        return prompt(key, jnp.asarray(number) % len(skills))

    def loss(prediction: Array, example: Example) -> Array:
        return cross_entropy(prediction[0], example.targets.answers[0]) / unit

    return Task(
        init=lambda key: key,
        emit=emit,
        emit_test=emit_test,
        loss=loss,
        test_loss=loss,
        metrics={"last_error": last_error},
        predictors=lambda world, batch, knobs, log_prior: jax.vmap(predict)(batch),
        uninformed="guess",
        best=best,
        size=pool,
        distance=last_distance,
        reads=Reads(vocabulary, at=slice(-1, None)),
        groups=Groups(
            skills,
            of=lambda example: example.targets.group,
            learned=Learned(last_error, (LEARNED,) * len(skills)),
        ),
    )
