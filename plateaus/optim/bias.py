"""Gradient biasing: every update leans on a gradient kept from earlier."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from plateaus.types import Array, PyTree, Scalar


class BiasState(NamedTuple):
    """The stored gradient b, and how many updates there have been."""

    count: Array  # type: ignore[assignment] # shadowing tuple.count, as optax does
    bias: PyTree


def bias_gradients(gamma: Scalar, every: Scalar) -> optax.GradientTransformation:
    r"""Use $g_t + \gamma b$, where b is a batch gradient stored every so many steps.

    b starts at zero; at t = 0, every, 2 every, ... it becomes g_t, *after* the update of that step
    has used the old b. Put it first in a chain. Both arguments may be traced.
    Neutral at gamma = 0: the gradients come out bit for bit.

    Args:
      gamma: weight of the stored gradient (a pure number).
      every: steps between two storings, at least 1.

    Raises ValueError for a number `every` below 1; of a traced one it is not known.

    Source: paper 1, section 3 (every = 100 for parity and linear regression, 25 for facts).

    >>> optimiser = optax.chain(bias_gradients(gamma=0.5, every=100), optax.sgd(0.1))
    >>> state, update = optimiser.init(jnp.zeros(2)), jax.jit(optimiser.update)
    >>> _, state = update(jnp.ones(2), state)
    >>> update(jnp.ones(2), state)[0].tolist()  # -0.1 * (1 + 0.5)
    [-0.15000000596046448, -0.15000000596046448]
    """

    if isinstance(every, int | float) and every < 1:
        raise ValueError(f"every = {every}: must be at least 1")

    def init(params):
        return BiasState(jnp.int32(0), jax.tree.map(jnp.zeros_like, params))

    def update(updates, state, params=None):
        del params
        biased = jax.tree.map(
            lambda g, b: jnp.where(gamma == 0, g, (g + gamma * b).astype(g.dtype)),
            updates,
            state.bias,
        )
        keep = state.count % every == 0
        bias = jax.tree.map(lambda g, b: jnp.where(keep, g, b), updates, state.bias)
        return biased, BiasState(state.count + 1, bias)

    return optax.GradientTransformation(init, update)
