"""What a mixer is: what it is told of a round of training, and what it answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from plateaus.types import Array, Float, PyTree


class Round(NamedTuple):
    """What a round of K steps tells a mixer, G groups; NaN where nothing asks for it.

    $g_i$ is the mean gradient of group i's examples in the round, of the tracked layers.
    """

    shares: Float[Array, " G"]  # by which groups were drawn
    loss: Float[Array, " G"]  # mean training loss; NaN for a group without an example
    count: Float[Array, " G"]  # type: ignore[assignment] # examples; hides tuple.count
    target: Float[Array, " G"]  # the evaluation weights p, a simplex
    gram: Float[Array, "G G"]  # $\langle g_i, g_j \rangle$
    target_loss: Float[Array, " G"]  # on a sample of what is tested for, at the round's end
    target_gram: Float[Array, "G G"]  # $\langle g_i, \nabla$ target loss of j $\rangle$
    excess: Float[Array, " G"]  # mean of max(loss - reference's loss, 0) over the examples
    affinity: Float[Array, "G G"]  # fall of the target loss of j by a short run on i


class Mixer(NamedTuple):
    """A rule that sets the shares of groups from what training tells: a pair of pure functions.

    Fields:
      init: G -> state, any pytree.
      update: (round, state, knobs, t) -> (weights [G], state) after the round that ends with step
        t. Weights are a simplex: at least 0, sum 1.
    """

    init: Callable[[int], PyTree]
    update: Callable[..., tuple[Array, PyTree]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoOptions:
    """No branch of a rule is a matter of choice."""


class Registered(NamedTuple):
    """A mixer as a config knows it.

    Fields:
      make: options by name -> Mixer.
      knobs: NamedTuple class of its numbers; in a config their names begin with the mixer's.
      options: frozen dataclass of what `make` takes, likewise.
      needs: which fields of `Round` it reads, beside shares, loss, count and target.
      proxy: whether its paper adapts on a first model, and trains on the time average.
      emphasis: whether its paper weighs losses, and not the draws, while it adapts.
      short: smoothing eps of its short runs, whose shares are (1 - eps) one-hot + eps/G.
      short_every: rounds between two sets of short runs; 0: only after the first round.
    """

    make: Callable[..., Mixer]
    knobs: type
    options: type = NoOptions
    needs: frozenset[str] = frozenset()
    proxy: bool = False
    emphasis: bool = False
    short: float = 0.0
    short_every: int = 0


def uniform_weights(groups: int) -> Float[Array, " G"]:
    """Return equal weights."""
    return jnp.full(groups, 1 / groups, jnp.float32)


def normalised(weights: Float[Array, " G"]) -> Float[Array, " G"]:
    """Return weights over their sum; equal ones where that is not a positive number.

    >>> normalised(jnp.array([3.0, 1.0])).tolist(), normalised(jnp.zeros(2)).tolist()
    ([0.75, 0.25], [0.5, 0.5])
    """
    total = jnp.sum(weights)
    sound = jnp.isfinite(total) & (total > 0)
    return jnp.where(sound, weights / jnp.where(sound, total, 1.0), 1 / weights.shape[0])
