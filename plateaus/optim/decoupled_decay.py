"""Decoupled weight decay, after any family: with Adam it is AdamW."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from plateaus.types import Scalar


def weight_decay(learning_rate: Scalar, strength: Scalar) -> optax.GradientTransformation:
    r"""Give the update $u - \eta \lambda p$ in place of u, with the parameters p before the update.

    Put it after the family and before what multiplies its learning rate $\eta$ (rates of layers,
    schedules), which so multiplies the decay too. All parameters decay, norms and biases as well,
    as by `optax.adamw` without a mask. Both arguments may be traced.
    Neutral at a strength $\lambda$ = 0: the updates come out bit for bit.

    Raises ValueError where `update` is given no parameters.

    Source: Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2 (there the schedule alone
    multiplies $\lambda$; here the learning rate does too, as in optax and PyTorch).

    >>> optimiser = optax.chain(optax.sgd(0.5), weight_decay(0.5, strength=0.25))
    >>> p = jnp.float32(8.0)
    >>> float(optimiser.update(jnp.ones(()), optimiser.init(p), p)[0])  # -0.5 * (1 + 0.25 * 8)
    -1.5
    """

    @optax.stateless
    def decayed(updates, params):
        if params is None:
            raise ValueError("weight decay needs the parameters: update(gradients, state, params)")
        return jax.tree.map(
            lambda u, p: jnp.where(
                strength == 0, u, (u - learning_rate * strength * p).astype(u.dtype)
            ),
            updates,
            params,
        )

    return decayed
