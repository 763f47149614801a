"""Skill-It: groups whose training lowers losses that are still high."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp

from plateaus.data.mixers.mixer import Mixer, Round, finite, ratio, simplex, summed
from plateaus.fields import Field
from plateaus.types import Array, PyTree, Scalar


class Knobs(NamedTuple):
    """The numbers of the rule."""

    eta: Annotated[Scalar, Field(help="step of Skill-It's log-weights", low=0, high=1e6)] = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The branches of the rule."""

    window: Annotated[
        int, Field(help="rounds whose target losses Skill-It adds up", low=1, high=1000)
    ] = 3
    relative: Annotated[
        bool, Field(help="measure how groups help one another in parts of the loss before")
    ] = True


class State(NamedTuple):
    """What is kept between rounds."""

    helps: Array  # A [G, G]
    losses: Array  # [window, G], the newest first; 0 for rounds that are not yet
    rounds: Array


def skill_it(*, window: int = 3, relative: bool = True) -> Mixer:
    r"""Weigh groups by whom they help times how much is left: $q_i \propto \exp(\eta (A \ell)_i)$.

    $$(A \ell)_i = \sum_j m p_j A_{ij} \sum_{s = t - w + 1}^{t} L_j(s), \qquad
    A_{ij} = \max(\Delta_{ij}, 0)$$
    L_j(s) is the loss on target j after round s, w the `window`, and $\Delta_{ij}$ the fall of
    target loss j by a short run on group i alone, `relative` to that loss before. Weights start
    from ones each round. m p_j is 1 for every target where they weigh alike (`summed`).

    Deviations: A is measured once, by short side runs from the model at the end of the first
    round, which are thrown away (there by runs from the start, before training); until then shares
    are equal (there $\exp(\eta A 1)$). The paper's edges are where training helps, so negative
    entries are 0; parts of the loss before are the measure of Aioli's comparison. Nothing depends
    on the examples of a round, so a group without one is as any other.

    Source: Chen et al. 2023 (arXiv 2307.14430), algorithm 1, and its code; Aioli (arXiv
    2411.05735) and its code; paper 4, methods compared.

    >>> import jax
    >>> half, fall = jnp.full(2, 0.5), jnp.array([[0.5, 0.0], [0.0, 0.0]])
    >>> signals = Round(half, half, half, half, None, jnp.full(2, jnp.log(9.0)), None, None, fall)
    >>> rule = skill_it(relative=False)
    >>> weights, _ = jax.jit(rule.update)(signals, rule.init(2), Knobs(eta=1.0), 0)
    >>> [round(float(w), 6) for w in weights]  # exp(.5 log 9) to 1
    [0.75, 0.25]
    """

    def init(groups: int) -> PyTree:
        return State(
            jnp.zeros((groups, groups)), jnp.zeros((window, groups)), jnp.asarray(0, jnp.int32)
        )

    def update(signals: Round, state: Any, knobs: Knobs, t: object) -> tuple[Array, PyTree]:
        now = finite(signals.target_loss)
        fall = jnp.maximum(finite(signals.affinity), 0.0)
        if relative:
            fall = ratio(fall, now[None, :])
        helps = jnp.where(state.rounds == 0, finite(fall), state.helps)
        losses = jnp.roll(state.losses, 1, axis=0).at[0].set(now)
        remaining = finite(jnp.sum(losses, axis=0))
        logits = summed(helps * remaining[None, :], signals.target)
        weights = simplex(knobs.eta * logits)
        return weights, State(helps, losses, state.rounds + 1)

    return Mixer(init, update)
