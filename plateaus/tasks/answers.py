"""Prompts that end in one question: what is measured of the answer, a token, alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus.types import Array, Example, Float

IMPOSSIBLE = -1e9  # logit of a token that cannot come: finite, so that 0 times it is 0


class Targets(NamedTuple):
    """What a prompt is judged by."""

    answers: Array  # [1], the token
    group: Array  # number of the skill that is asked for


def targets(answer: Array, group: Any) -> Targets:
    """Return the targets of one prompt."""
    return Targets(jnp.asarray(answer, jnp.int32)[None], jnp.asarray(group, jnp.int32))


def logits(shares: Float[Array, " V"]) -> Float[Array, "1 V"]:
    """Return the prediction that gives each token a share.

    >>> logits(jnp.array([1.0, 0.0])).tolist()
    [[0.0, -1000000000.0]]
    """
    there = shares > 0
    return jnp.where(there, jnp.log(jnp.where(there, shares, 1.0)), IMPOSSIBLE)[None]


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
