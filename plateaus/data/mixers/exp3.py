"""Online data mixing: a bandit (Exp3) whose arms are groups and whose reward is the loss."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp

from plateaus.data.mixers.mixer import Mixer, Round, finite, simplex
from plateaus.fields import Field
from plateaus.types import Array, Float, PyTree, Scalar


class Knobs(NamedTuple):
    """The numbers of the rule."""

    decay: Annotated[
        Scalar, Field(help="part of Exp3's rewards kept each round, alpha", low=0, high=1)
    ] = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The branches of the rule."""

    importance: Annotated[
        bool, Field(help="divide Exp3's rewards by the probability that a group is drawn")
    ] = True
    exponential: Annotated[
        bool, Field(help="take exp(loss), a perplexity, for Exp3's reward, not the loss")
    ] = False


class State(NamedTuple):
    """What is kept between rounds."""

    reward: Array  # [G]
    rounds: Array


def exploration(groups: int, t: Array) -> Float[Array, ""]:
    r"""Return what every group gets whatever its reward: $\epsilon_t$, with $\epsilon_0 = 1/G$.

    $$\epsilon_t = \min\Big(\frac{1}{G}, \sqrt{\frac{\ln G}{G t}}\Big)$$

    >>> round(float(exploration(2, jnp.float32(50.0))), 6)  # (log 2 / 100)^.5
    0.083255
    """
    return jnp.minimum(1 / groups, jnp.sqrt(math.log(groups) / (groups * jnp.maximum(t, 1e-9))))


def exp3(*, importance: bool = True, exponential: bool = False) -> Mixer:
    r"""Draw groups of high loss more, by a Gibbs distribution over moving averages of the loss.

    With t the number of the coming round, from 1, and $\alpha$ the decay:
    $$q_i = (1 - G \epsilon_t) \, \mathrm{softmax}(\epsilon_{t-1} R)_i + \epsilon_t, \qquad
    R_i \leftarrow \alpha R_i + (1 - \alpha) \frac{n_i}{N} \frac{\ell_i}{b_i}$$
    n_i of a round's N examples are of group i, l_i is their mean loss, b_i the share by which they
    were drawn. So $n_i / (N b_i)$ has expectation 1; without `importance` it is 1. R starts at 0;
    a group without an example keeps its last R (factor 1), as in the released code.

    Deviations: t counts rounds, not steps, and rewards are means over a round; the paper adds up
    the losses of a step's micro-batches, which for n_i / N is a matter of units. Its released code
    takes exp(loss) and does not divide by b_i: `exponential` without `importance`. No warm-up.

    Source: Albalak et al. 2023 (arXiv 2312.02406), algorithm 1, and its code; paper 4, methods
    compared.

    >>> import jax
    >>> half, state = jnp.full(2, 0.5), State(jnp.zeros(2), jnp.asarray(99, jnp.int32))
    >>> signals = Round(half, jnp.array([90.0, 0.0]), half, half, *[None] * 5)
    >>> weights, state = jax.jit(exp3().update)(signals, state, Knobs(), 0)
    >>> state.reward.round(3).tolist(), [round(float(w), 3) for w in weights]
    ([9.0, 0.0], [0.614, 0.386])
    """

    def init(groups: int) -> PyTree:
        return State(jnp.zeros(groups), jnp.asarray(0, jnp.int32))

    def update(signals: Round, state: Any, knobs: Knobs, t: object) -> tuple[Array, PyTree]:
        groups = len(state.reward)
        present = signals.count > 0
        reward = finite(signals.loss)
        if exponential:
            reward = finite(jnp.exp(reward))
        if importance:
            part = signals.count / jnp.maximum(jnp.sum(signals.count), 1.0)
            drawn = present & (signals.shares > 0)
            reward *= jnp.where(drawn, part / jnp.where(drawn, signals.shares, 1.0), 1.0)
        moved = finite(knobs.decay * state.reward + (1 - knobs.decay) * finite(reward))
        reward = jnp.where(present, moved, state.reward)
        rounds = state.rounds + 1
        last, now = (exploration(groups, n.astype(jnp.float32)) for n in (rounds, rounds + 1))
        gibbs = simplex(last * reward)
        return (1 - groups * now) * gibbs + now, State(reward, rounds)

    return Mixer(init, update)
