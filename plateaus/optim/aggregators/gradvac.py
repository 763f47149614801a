"""Gradient vaccine: each gradient is turned towards the others, as far as they usually agree."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from plateaus.optim.aggregators.guard import loud
from plateaus.optim.aggregators.orders import orders
from plateaus.types import Aggregator, Array, Key, PyTree, Scalar

MOST = 1 - 1e-6  # a target cosine of 1 would ask for an infinite share


def gradvac(beta: Scalar = 0.5) -> Aggregator:
    r"""Turn each gradient until its cosine with every other one is at least a running average.

    For each i, from $g = g_i$ and through all $j \neq i$ in turn, with $\phi$ the cosine of g and
    the original $g_j$ and $\hat\phi_{ij}$ the state:
    $$g \leftarrow g + \frac{\lVert g \rVert (\hat\phi_{ij} \sqrt{1 - \phi^2} - \phi
    \sqrt{1 - \hat\phi_{ij}^2})}{\lVert g_j \rVert \sqrt{1 - \hat\phi_{ij}^2}}\, g_j
    \quad\text{if } \phi < \hat\phi_{ij}, \qquad
    \hat\phi_{ij} \leftarrow (1 - \beta) \hat\phi_{ij} + \beta \phi .$$
    The result is the *sum* over i. The state is $\hat\phi$ [B, B], at first 0. A zero $g_j$ is
    skipped, its averages kept; so are all averages where an inner product is not finite. Order and
    key as in `pcgrad`. Weights do not change with the gradients' common scale.
    Neutral: none of its own; at beta = 0 it is PCGrad.

    Args:
      beta: how fast the averages move, in [0, 1]; may be traced.

    Source: Wang et al. 2021 (arXiv 2010.05874), algorithm 1 and equation 6. As TorchJD's GradVac,
    but for its eps (1e-8 added to denominators): here the target is at most 1 - 1e-6 instead. With
    the eps, parallel gradients in float32 come to weights of 1e16, out of rounding errors alone.

    >>> aggregator = gradvac(beta=0.5)
    >>> gram = jnp.array([[1.0, 0.6], [0.6, 1.0]])
    >>> weights, state = jax.jit(aggregator.update)(gram, aggregator.init(2))
    >>> weights.tolist(), round(float(state[0, 1]), 3)  # the cosine 0.6 is above its target 0
    ([1.0, 1.0], 0.3)
    """

    def update(gram: Array, state: Any, *, key: Key | None = None) -> tuple[Array, PyTree]:
        gram = jnp.asarray(gram, jnp.float32)
        size = len(gram)
        order, _, axis = orders(key, size)
        lengths = jnp.sqrt(jnp.diagonal(gram))

        def row(i: Array, order: Array, average: Array) -> tuple[Array, Array]:
            def step(carry: tuple[Array, Array, Array], j: Array) -> tuple[tuple, None]:
                # of what is left of g_i: products with the originals [B], shares [B], averages [B]
                products, shares, average = carry
                length = jnp.sqrt(jnp.maximum(jnp.vdot(shares, products), 0))
                seen = (j != i) & (lengths[j] > 0) & (length > 0)
                cosine = products[j] / jnp.where(seen, length * lengths[j], 1)
                cosine, target = jnp.clip(cosine, -1, 1), jnp.clip(average[j], -MOST, MOST)
                sine, target_sine = jnp.sqrt(1 - cosine**2), jnp.sqrt(1 - target**2)
                turn = (target * sine - cosine * target_sine) / target_sine
                hit = seen & (cosine < target)
                share = jnp.where(hit, length * turn / jnp.where(seen, lengths[j], 1), 0)
                moved = jnp.where(seen, (1 - beta) * average[j] + beta * cosine, average[j])
                products = products + share * gram[j]
                return (products, shares.at[j].add(share), average.at[j].set(moved)), None

            first = (gram[i], (jnp.arange(size) == i).astype(jnp.float32), average)
            return jax.lax.scan(step, first, order)[0][1:]

        shares, moved = jax.vmap(row, in_axes=(0, axis, 0))(jnp.arange(size), order, state)
        kept = jnp.where(jnp.isfinite(gram).all(), moved, state)
        return loud(gram, jnp.sum(shares, axis=0)), kept

    return Aggregator(lambda size: jnp.zeros((size, size), jnp.float32), update)
