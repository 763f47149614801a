"""Dynamic gradient alignment: groups whose gradients point where the target's does."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp

from plateaus.data.mixers.mixer import Mixer, Round, finite, multiplied, uniform_log_weights
from plateaus.fields import Field
from plateaus.types import EXACT, Array, PyTree, Scalar


class Knobs(NamedTuple):
    """The numbers of the rule."""

    eta: Annotated[Scalar, Field(help="step of DGA's log-weights", low=0, high=1e6)] = 1.0
    ema: Annotated[
        Scalar, Field(help="part of DGA's weights that is new each round; 1: all", low=0, high=1)
    ] = 0.1


def dga() -> Mixer:
    r"""Multiply weights by $\exp(\eta \langle g_i, g_{\mathrm{target}} \rangle)$, then average.

    $$\hat q \propto q \, \exp(\eta \, a), \qquad a_i = \sum_j p_j \langle g_i, \nabla L_j \rangle,
    \qquad q \leftarrow (1 - \beta) q + \beta \hat q$$
    L_j is the loss on target sample j, beta the `ema`; with beta = 1 there is no average. A group
    without an example has $a_i = 0$ (factor 1), or that of its last gradient. a grows as the square
    of the gradients' scale: eta is of a problem.

    Deviations: $g_i$ is the mean over a round, while the target's gradient is taken at its end, on
    one sample for all rounds (there fresh batches of both, every T_r steps: a round here); only
    tracked layers. The default of eta is ours.

    Source: Fan et al. 2024 (arXiv 2410.02498), algorithm 1; paper 4, methods compared.

    >>> import jax
    >>> half, products = jnp.full(2, 0.5), jnp.diag(jnp.log(jnp.array([9.0, 1.0])))
    >>> signals = Round(half, half, half, half, None, None, products, None, None)
    >>> weights, _ = jax.jit(dga().update)(signals, dga().init(2), Knobs(ema=1.0), 0)
    >>> [round(float(w), 6) for w in weights]
    [0.75, 0.25]
    """

    def update(signals: Round, state: Any, knobs: Knobs, t: object) -> tuple[Array, PyTree]:
        products = finite(signals.target_gram)
        alignment = jnp.matmul(products, signals.target, precision=EXACT)
        moved = multiplied(state, knobs.eta * alignment)
        old, new = jnp.log1p(-knobs.ema), jnp.log(jnp.asarray(knobs.ema, jnp.float32))
        state = finite(jnp.logaddexp(old + state, new + moved))
        return jnp.exp(state), state

    return Mixer(uniform_log_weights, update)
