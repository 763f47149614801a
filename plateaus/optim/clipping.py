"""Gradient clipping: a bound on the length of the whole gradient."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from plateaus.trees import norm
from plateaus.types import Scalar


def clip_norm(most: Scalar) -> optax.GradientTransformation:
    r"""Scale a gradient to at most a norm, $g \min(1, c / \lVert g \rVert)$, over all layers.

    Put it first in a chain. A shorter gradient, zero too, comes out bit for bit; one with a NaN or
    an infinity has a NaN, so that it is seen; one whose norm overflows (1.8e19) gives zero.
    c may be traced. Neutral at c = 0: there is no bound.

    Args:
      most: the bound c, of the Euclidean norm.

    Source: Pascanu et al. 2013, arXiv 1211.5063, algorithm 1; `optax.clip_by_global_norm`.

    >>> optimiser = optax.chain(clip_norm(1.0), optax.sgd(0.5))
    >>> gradient = {"w": jnp.array([0.0, 6.0]), "b": jnp.array(8.0)}
    >>> updates, _ = jax.jit(optimiser.update)(gradient, optimiser.init(gradient))
    >>> [round(float(x), 4) for x in (*updates["w"], updates["b"])]
    [-0.0, -0.3, -0.4]
    """

    @optax.stateless
    def clipped(updates, _):
        size = norm(updates)
        short = (most == 0) | (size <= most)
        factor = most / jnp.where(short, 1, size)
        return jax.tree.map(lambda g: jnp.where(short, g, (factor * g).astype(g.dtype)), updates)

    return clipped
