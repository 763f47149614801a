"""What a mixer is: the signals that it gets of a round of training, and the weights it returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus.types import EXACT, Array, Float, Number, PyTree, Scalar

LARGEST = 1e30  # of what rules add up: times 1e6, a knob's bound, it is still a float32


class Round(NamedTuple):
    """The signals of a round of K steps to a mixer, of G groups; NaN where it does not need them.

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
    """A rule that sets the shares of groups from signals of training: a pair of pure functions.

    Fields:
      init: G -> state, any pytree.
      update: (signals, state, knobs, t) -> (weights [G], state) after the round that ends with step
        t. Weights are a simplex: at least 0, sum 1.
    """

    init: Callable[[int], PyTree]
    update: Callable[[Round, PyTree, Any, Number], tuple[Array, PyTree]]


class Needs(NamedTuple):
    """Which fields of `Round` a mixer reads, beside shares, loss, count and target."""

    gram: bool = False
    target_loss: bool = False
    target_gram: bool = False
    excess: bool = False
    affinity: bool = False

    @property
    def gradients(self) -> bool:
        """Whether the gradients of each group are asked for."""
        return self.gram or self.target_gram

    @property
    def targets(self) -> bool:
        """Whether the losses of a sample of what is tested for are asked for."""
        return self.target_loss or self.target_gram or self.affinity


class NoKnobs(NamedTuple):
    """A rule has no numbers."""


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """No branch of a rule is a matter of choice."""


class Registered(NamedTuple):
    """A mixer as a config knows it.

    Fields:
      make: options by name -> Mixer.
      knobs: NamedTuple class of its numbers; in a config their names begin with the mixer's.
      options: frozen dataclass of what `make` takes; in a config their names begin so, too.
      needs: which signals of a round it needs.
      emphasis: whether its paper weighs losses, and not the draws, while it adapts.
      short: smoothing eps of its short runs, whose shares are (1 - eps) one-hot + eps/G.
      short_every: rounds between two sets of short runs; 0: only after the first round.
    """

    make: Callable[..., Mixer]
    knobs: type = NoKnobs
    options: type = NoOptions
    needs: Needs = Needs()
    emphasis: bool = False
    short: float = 0.0
    short_every: int = 0


def uniform_weights(groups: int) -> Float[Array, " G"]:
    """Return equal weights."""
    return jnp.full(groups, 1 / groups, jnp.float32)


def uniform_log_weights(groups: int) -> Float[Array, " G"]:
    """Return the logarithms of equal weights."""
    return jnp.log(uniform_weights(groups))


def ratio(above: Array, below: Array) -> Array:
    """Return above / below, 0 where `below` is not positive.

    >>> ratio(jnp.array([1.0, 1.0]), jnp.array([2.0, 0.0])).tolist()
    [0.5, 0.0]
    """
    return jnp.where(below > 0, above / jnp.where(below > 0, below, 1.0), 0.0)


def normalised(weights: Float[Array, " G"], otherwise: Scalar) -> Float[Array, " G"]:
    """Return weights over their sum; `otherwise` where that is not a positive number.

    >>> shares = jax.jit(normalised)
    >>> shares(jnp.array([3.0, 1.0]), 0.5).tolist(), shares(jnp.zeros(2), 0.5).tolist()
    ([0.75, 0.25], [0.5, 0.5])
    """
    total = jnp.sum(weights)
    sound = jnp.isfinite(total) & (total > 0)
    return jnp.where(sound, weights / jnp.where(sound, total, 1.0), otherwise)


def finite(values: Array) -> Array:
    """Return the values, NaN (not known) as 0, cut at 1e30: sums of them stay finite.

    >>> finite(jnp.array([2.0, jnp.nan, jnp.inf])).tolist()[:2]
    [2.0, 0.0]
    """
    return jnp.clip(jnp.nan_to_num(values, nan=0.0), -LARGEST, LARGEST)


def simplex(logits: Float[Array, " G"]) -> Float[Array, " G"]:
    """Return softmax(logits), a simplex however large they are.

    >>> jax.jit(simplex)(jnp.array([3e38, -3e38, jnp.inf])).tolist()
    [0.5, 0.0, 0.5]
    """
    return jax.nn.softmax(finite(logits))


def multiplied(log_weights: Float[Array, " G"], step: Float[Array, " G"]) -> Float[Array, " G"]:
    """Return log q of the simplex q proportional to exp(log_weights + step), finite.

    >>> jax.jit(multiplied)(jnp.zeros(2), jnp.array([3e38, -3e38])).tolist()[0]
    0.0
    """
    # `finite` also keeps a product in `step` from being fused with the sum: computed twice with
    # other roundings, for the maximum and for what it is taken from, all weights could be 0
    return finite(jax.nn.log_softmax(finite(log_weights + finite(step))))


def summed(matrix: Float[Array, "G G"], target: Float[Array, " G"]) -> Float[Array, " G"]:
    r"""Return the sums over the targets j of matrix_ij, by their weights: $\sum_j m p_j M_{ij}$.

    m is the number of groups with a positive p, so that equal p give the plain sum of the papers
    that know no weights.

    >>> jax.jit(summed)(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([0.5, 0.5])).tolist()
    [3.0, 7.0]
    """
    return jnp.matmul(finite(matrix), parts(target), precision=EXACT)


def parts(target: Float[Array, " G"]) -> Float[Array, " G"]:
    """Return the target's weights times the number of those that are positive."""
    return target * jnp.sum(target > 0)
