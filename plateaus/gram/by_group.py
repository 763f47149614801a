"""Sums of gradients over groups of examples."""

from __future__ import annotations

from collections.abc import Callable, Collection

import jax

from plateaus.types import Array, Float, PyTree


def sums(
    weighted: Callable[[Array], PyTree], member: Float[Array, "G B"], layers: Collection[str]
) -> dict[str, Float[Array, "G ..."]]:
    r"""Return $\sum_b m_{gb} g_b$ for each group g, by path, of the parameters of some layers.

    `weighted` maps weights [B] to $\sum_b w_b g_b$: `combine` of captured factors, or the pullback
    of the losses, `jax.vjp`. With m the membership of examples in groups these are the sums of the
    groups' gradients. The compiler drops the work that these layers do not need, such as the
    backward pass below the last layer.

    >>> import jax.numpy as jnp
    >>> losses = lambda p: p["a"] * jnp.array([1.0, 3.0]) + p["b"] * jnp.array([2.0, 4.0])
    >>> _, pull = jax.vjp(losses, {"a": jnp.float32(1.0), "b": jnp.float32(1.0)})
    >>> by_path = sums(lambda weights: pull(weights)[0], jnp.ones((1, 2)), ["b"])
    >>> {path: g.tolist() for path, g in by_path.items()}
    {"['b']": [6.0]}
    """

    def of_group(row: Array) -> dict[str, Array]:
        leaves = jax.tree_util.tree_leaves_with_path(weighted(row))
        return {
            jax.tree_util.keystr(path): leaf
            for path, leaf in leaves
            if jax.tree_util.keystr(path[:1], simple=True) in layers
        }

    return jax.vmap(of_group)(member)
