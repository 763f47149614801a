"""DoGE: groups whose gradients help all others get weight in the loss of a proxy."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp

from plateaus.data.mixers.mixer import (
    Mixer,
    Round,
    finite,
    multiplied,
    parts,
    ratio,
    summed,
    uniform_log_weights,
)
from plateaus.fields import Field
from plateaus.types import Array, PyTree, Scalar


class Knobs(NamedTuple):
    """The numbers of the rule."""

    step: Annotated[
        Scalar, Field(help="step of DoGE's log-weights: learning rate over mu", low=0, high=1e6)
    ] = 0.05
    clip: Annotated[
        Scalar, Field(help="upper bound of DoGE's scores; the lower is 0", low=0, high=1e6)
    ] = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The branches of the rule."""

    leave_one_out: Annotated[
        bool,
        Field(
            help="leave a group's own product out of its score, if all that are drawn are targets"
        ),
    ] = True


def doge(*, leave_one_out: bool = True) -> Mixer:
    r"""Multiply weights by $\exp(\mathrm{step} \cdot s_i)$, s is how much group i helps others.

    $$s_i = \mathrm{clip}\Big(\frac{\sum_j m p_j \langle g_i, g_j \rangle}
    {\mathrm{mean}_j \|g_j\|}, 0, \mathrm{clip}\Big), \qquad
    \log q \leftarrow \log q + \mathrm{step} \cdot s - \mathrm{const}$$
    m p_j is 1 for every target where they weigh alike (`summed`). With `leave_one_out`, and where
    all groups that are drawn are targets, j = i is left out. s has the unit of a gradient's length:
    gradients c times as long give c times the score. The result is the time average of q over the
    proxy.

    Deviations: step is one constant for the paper's learning rate over mu (there 5e-4 and its
    schedule, mu = .01); one update a round, from mean gradients of the round, and so fewer; only
    tracked layers; no clipping of each group's gradient to length 5; weights p; no 1e-6 below the
    mean length (where it is 0, so is s). The mean is over groups with an example or a gradient. A
    group without an example has s = 0 (factor 1), or that of its last gradient
    (data.mixer_empty = last), as in the released code. There the test for leaving out compares
    sets of tensors, which are never equal: it sums over all j, as `leave_one_out` = False does.

    Source: Fan et al. 2023 (arXiv 2310.15393), algorithm 1, and its code; paper 4, methods
    compared.

    >>> import jax
    >>> half = jnp.full(2, 0.5)
    >>> signals = Round(half, half, half, half, jnp.array([[4.0, 2.0], [2.0, 4.0]]), *[None] * 4)
    >>> rule = doge()
    >>> weights, _ = jax.jit(rule.update)(signals, rule.init(2), Knobs(), 0)  # s = 2 / 2 for both
    >>> weights.tolist()
    [0.5, 0.5]
    """

    def update(signals: Round, state: Any, knobs: Knobs, t: object) -> tuple[Array, PyTree]:
        gram = finite(signals.gram)
        scale = jnp.max(jnp.abs(gram))
        gram = gram / jnp.where(scale > 0, scale, 1.0)
        diagonal = jnp.diagonal(gram)
        score = summed(gram, signals.target)
        if leave_one_out:
            same = jnp.all((signals.target > 0) | (signals.shares <= 0))  # train = target
            score -= jnp.where(same, parts(signals.target) * diagonal, 0.0)
        length = jnp.sqrt(jnp.maximum(diagonal, 0.0))
        number = jnp.sum((signals.count > 0) | (length > 0))
        mean = jnp.sum(length) / jnp.maximum(number, 1)
        score = jnp.clip(ratio(score, mean) * jnp.sqrt(scale), 0.0, knobs.clip)
        state = multiplied(state, knobs.step * score)
        return jnp.exp(state), state

    return Mixer(uniform_log_weights, update)
