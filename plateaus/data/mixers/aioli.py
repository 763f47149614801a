"""Aioli: groups that lower losses now, as short runs on smoothed mixtures tell."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp

from plateaus.data.mixers.mixer import Mixer, Round, finite, multiplied, parts, uniform_log_weights
from plateaus.fields import Field
from plateaus.types import Array, Float, PyTree, Scalar

SMOOTHING = 0.25
"""Part of a short run's mixture that is shared alike; the rest is one group."""


class Knobs(NamedTuple):
    """The numbers of the rule."""

    eta: Annotated[Scalar, Field(help="step of Aioli's log-weights", low=0, high=1e6)] = 0.2
    ema: Annotated[
        Scalar, Field(help="part of Aioli's matrix kept each round, if averaged", low=0, high=1)
    ] = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The branches of the rule."""

    normalise: Annotated[
        bool, Field(help="shift Aioli's matrix to at least 0 and divide it by its sum")
    ] = True
    average: Annotated[
        bool, Field(help="average Aioli's matrix over rounds and start weights from ones each")
    ] = False


class State(NamedTuple):
    """What is kept between rounds."""

    log_weights: Array  # [G]
    helps: Array  # [G, G], the average; zeros if there is none
    rounds: Array


def demixed(falls: Float[Array, "G G"]) -> Float[Array, "G G"]:
    r"""Return how a group alone would help each target, from runs on smoothed mixtures.

    Run k draws by $P_{ki} = (1 - \epsilon) \delta_{ki} + \epsilon / G$ and lowers loss j by
    $D_{kj} = \sum_i P_{ki} A_{ij}$; so $A = P^{-1} D = (D - \epsilon \, \mathrm{mean}_k D) /
    (1 - \epsilon)$.

    >>> demixed(jnp.array([[0.875, 0.0], [0.125, 0.0]])).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    return (falls - SMOOTHING * jnp.mean(falls, axis=0, keepdims=True)) / (1 - SMOOTHING)


def aioli(*, normalise: bool = True, average: bool = False) -> Mixer:
    r"""Multiply weights by $\exp(\eta \sum_j A_{ij})$, A learned anew each round.

    A is `demixed` from the falls of the target losses in short runs, column j times m p_j (1 where
    targets weigh alike); `normalise` shifts it by its least entry, if that is negative, and divides
    it by its sum (a matrix of zeros stays: factor 1). With `average`, the paper's variant,
    $\bar A \leftarrow (1 - \mathrm{ema}) A + \mathrm{ema} \, \bar A$ (at first A) and
    $q \propto \exp(\eta \sum_j \bar A_{ij})$, from ones each round.

    Deviations: the short runs start from the model at the round's end, side by side, and are thrown
    away (there they are a part of training, one after the other, in several sweeps); weights are
    set after a round (there before it). The mixtures of short runs are (1 - eps) one-hot + eps/G,
    eps = .25 (there .625 of 2 or .75 of 7 groups, the others sharing the rest). Nothing depends on
    the examples of a round, so a group without one is as any other.

    Source: Chen et al. 2024 (arXiv 2411.05735), algorithms 1 and 2, and its code; paper 4, methods
    compared.

    >>> import jax
    >>> half, falls = jnp.full(2, 0.5), jnp.array([[0.875, 0.0], [0.125, 0.0]])
    >>> signals = Round(half, half, half, half, *[None] * 4, falls)
    >>> weights, _ = jax.jit(aioli().update)(signals, aioli().init(2), Knobs(eta=jnp.log(3.0)), 0)
    >>> [round(float(w), 6) for w in weights]  # group 0 does all that helps
    [0.75, 0.25]
    """

    def init(groups: int) -> PyTree:
        zeros = jnp.zeros((groups, groups))
        return State(uniform_log_weights(groups), zeros, jnp.asarray(0, jnp.int32))

    def update(signals: Round, state: Any, knobs: Knobs, t: object) -> tuple[Array, PyTree]:
        helps = demixed(finite(signals.affinity)) * parts(signals.target)[None, :]
        if normalise:
            helps = helps / _over(jnp.max(jnp.abs(helps)))  # so that no sum overflows
            helps = helps - jnp.minimum(jnp.min(helps), 0.0)
            helps = helps / _over(jnp.sum(helps))
        kept, before = state.helps, state.log_weights
        if average:
            mixed = (1 - knobs.ema) * helps + knobs.ema * state.helps
            helps = kept = jnp.where(state.rounds == 0, helps, mixed)
            before = jnp.zeros_like(before)
        log_weights = multiplied(before, knobs.eta * finite(jnp.sum(helps, axis=1)))
        return jnp.exp(log_weights), State(log_weights, kept, state.rounds + 1)

    return Mixer(init, update)


def _over(number: Array) -> Array:
    return jnp.where(number > 0, number, 1.0)
