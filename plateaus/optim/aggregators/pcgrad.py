"""PCGrad: each gradient loses what it has against each of the others."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from plateaus.optim.aggregators.guard import loud
from plateaus.optim.aggregators.orders import orders
from plateaus.types import Aggregator, Array, Key, PyTree

PROJECT = ("conflict", "always")


def pcgrad(project: str = "conflict") -> Aggregator:
    r"""Project each gradient on the normal plane of every other one that it conflicts with.

    For each i, from $g = g_i$ and through all $j \neq i$ in turn, with the original $g_j$:
    $$g \leftarrow g - \frac{g \cdot g_j}{\lVert g_j \rVert^2} g_j \ \text{ if } g \cdot g_j < 0;$$
    the result is the *sum* over i of what is left. A zero $g_j$ is skipped.
    Neutral where no two gradients conflict: then it is the sum, bit for bit.

    The order of the j is random, anew for each i, where `update` is given a key, as in the original
    algorithm; else it is fixed, j = 1 ... B. Weights do not change with the
    gradients' common scale.

    Args:
      project: "conflict" as above; "always" drops the condition.

    Raises ValueError for another `project`.

    Source: Yu et al. 2020 (arXiv 2001.06782), algorithm 1; paper 1's formula for "always".
    The same as TorchJD's PCGrad at its random order.

    >>> gram = jnp.array([[1.0, -0.5], [-0.5, 1.0]])
    >>> jax.jit(pcgrad().update)(gram, ())[0].tolist()
    [1.5, 1.5]
    """
    if project not in PROJECT:
        raise ValueError(f"project must be one of {PROJECT}, not {project!r}")

    def update(gram: Array, state: Any, *, key: Key | None = None) -> tuple[Array, PyTree]:
        gram = jnp.asarray(gram, jnp.float32)
        size = len(gram)
        order, place, axis = orders(key, size)

        def taken(i: Array, order: Array, place: Array) -> Array:  # of each gradient, added to g_i
            # `products` [B] of what is left of g_i with the originals
            def step(products: Array, j: Array) -> tuple[Array, Array]:
                product, square = products[j], gram[j, j]
                hit = (j != i) & (square > 0) & ((product < 0) | (project == "always"))
                share = jnp.where(hit, -product / jnp.where(hit, square, 1), 0)
                return products + share * gram[j], share

            shares = jax.lax.scan(step, gram[i], order)[1]  # in the order of the visits
            return shares if axis is None else shares[place]

        # all rows at once: B steps on [B, B], not B^2 steps
        added = jax.vmap(taken, in_axes=(0, axis, axis))(jnp.arange(size), order, place)
        return loud(gram, 1 + jnp.sum(added, axis=0)), state

    return Aggregator(lambda size: (), update)
