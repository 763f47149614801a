"""No surgery: the mean, and the sum, of the gradients."""

from __future__ import annotations

import jax.numpy as jnp

from plateaus.optim.aggregators.guard import stateless
from plateaus.types import Aggregator


def mean() -> Aggregator:
    r"""Average the gradients: $w_b = 1/B$. A mean.

    >>> import jax
    >>> jax.jit(mean().update)(jnp.eye(4), ())[0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    return stateless(lambda gram: jnp.full(len(gram), 1 / len(gram), jnp.float32))


def sum() -> Aggregator:  # the method's name; Python's own sum is not used here
    r"""Add the gradients: $w_b = 1$. A sum.

    >>> import jax
    >>> jax.jit(sum().update)(jnp.eye(3), ())[0].tolist()
    [1.0, 1.0, 1.0]
    """
    return stateless(lambda gram: jnp.ones(len(gram), jnp.float32))
