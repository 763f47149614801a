"""DoReMi: groups on which a proxy is worse than a reference get weight in its loss."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp

from plateaus.data.mixers.mixer import Mixer, Round, finite, multiplied, uniform_log_weights
from plateaus.fields import Field
from plateaus.types import Array, PyTree, Scalar


class Knobs(NamedTuple):
    """The numbers of the rule."""

    eta: Annotated[Scalar, Field(help="step of DoReMi's log-weights", low=0, high=1e6)] = 1.0
    smoothing: Annotated[
        Scalar, Field(help="part of DoReMi's weights that is shared alike", low=0, high=1)
    ] = 1e-4


class State(NamedTuple):
    """What is kept between rounds, [G] each."""

    log_weights: Array
    excess: Array


def doremi() -> Mixer:
    r"""Multiply weights by $\exp(\eta \lambda_i)$, $\lambda_i$ the excess loss; share a part alike.

    $$\lambda_i = \mathrm{mean}_{x \in i} \max(\ell(x) - \ell_{\mathrm{ref}}(x), 0), \qquad
    q \leftarrow (1 - c) \, \mathrm{softmax}(\log q + \eta \lambda) + c / G$$
    with c the smoothing. A group without an example keeps its last $\lambda_i$ (at first 0), as in
    the released code. The result is the time average of q over the proxy.

    Deviations: the excess is of an example's loss, not of a token's; one update a round, from
    means over the round. c is the code's default (its own runs: 1e-3).

    Source: Xie et al. 2023 (arXiv 2305.10429), algorithm 1, and its code; paper 4, methods
    compared.

    >>> import jax
    >>> half, excess = jnp.full(2, 0.5), jnp.log(jnp.array([3.0, 1.0]))
    >>> signals = Round(half, half, half, half, None, None, None, excess, None)
    >>> weights, _ = jax.jit(doremi().update)(signals, doremi().init(2), Knobs(smoothing=0.0), 0)
    >>> [round(float(w), 6) for w in weights]
    [0.75, 0.25]
    """

    def init(groups: int) -> PyTree:
        return State(uniform_log_weights(groups), jnp.zeros(groups))

    def update(signals: Round, state: Any, knobs: Knobs, t: object) -> tuple[Array, PyTree]:
        excess = jnp.where(signals.count > 0, finite(signals.excess), state.excess)
        moved = multiplied(state.log_weights, knobs.eta * excess)
        kept, shared = jnp.log1p(-knobs.smoothing), jnp.log(knobs.smoothing / len(excess))
        log_weights = jnp.logaddexp(kept + moved, shared)
        return jnp.exp(log_weights), State(log_weights, excess)

    return Mixer(init, update)
