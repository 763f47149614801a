"""Gradients of groups of examples, and their inner products."""

from __future__ import annotations

from collections.abc import Callable, Collection

import jax
import jax.numpy as jnp

from plateaus.types import Array, Float, Int, PyTree


def sums(
    weighted: Callable[[Array], PyTree], member: Float[Array, "G B"], layers: Collection[str]
) -> dict[str, Float[Array, "G ..."]]:
    r"""Return $\sum_b m_{gb} g_b$ for each group g, by path, of the parameters of some layers.

    `weighted` maps weights [B] to $\sum_b w_b g_b$: `combine` of captured factors, or the pullback
    of the losses, `jax.vjp`. With m the membership of examples in groups these are the sums of the
    groups' gradients. What no layer asked for needs is dropped when the program is compiled: of the
    pullback to a last layer, the backward pass below it.

    >>> losses = lambda p: p["a"] * jnp.array([1.0, 3.0]) + p["b"] * jnp.array([2.0, 4.0])
    >>> _, pull = jax.vjp(losses, {"a": jnp.float32(1.0), "b": jnp.float32(1.0)})
    >>> found = sums(lambda weights: pull(weights)[0], jnp.ones((1, 2)), ["b"])
    >>> {name: g.tolist() for name, g in found.items()}
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


def of_groups(
    gram: Float[Array, "B B"], group: Int[Array, " B"], groups: int
) -> Float[Array, "G G"]:
    """Return the inner products of the groups' mean gradients; zeros for a group without members.

    Groups are tasks or domains, numbered from 0.

    >>> groups = jax.jit(of_groups, static_argnums=2)
    >>> groups(jnp.array([[1.0, 2.0], [2.0, 8.0]]), jnp.array([1, 1]), 2).tolist()
    [[0.0, 0.0], [0.0, 3.25]]
    """
    share = _shares(group, groups)
    return share @ gram @ share.T


def of_members(weights: Float[Array, " G"], group: Int[Array, " B"]) -> Float[Array, " B"]:
    """Return the weights of examples that weigh their groups' mean gradients so, for `combine`.

    >>> jax.jit(of_members)(jnp.array([0.0, 3.0]), jnp.array([1, 1, 1])).tolist()
    [1.0, 1.0, 1.0]
    """
    return weights @ _shares(group, weights.shape[0])


def _shares(group: Array, groups: int) -> Float[Array, "G B"]:
    """Return what each example is of the mean of each group."""
    member = (jnp.arange(groups)[:, None] == group[None, :]).astype(jnp.float32)
    return member / jnp.maximum(jnp.sum(member, axis=1, keepdims=True), 1.0)
