"""Gradients of groups of examples, out of the captured factors of `plateaus.models.gram`."""

from __future__ import annotations

from collections.abc import Collection

import jax
import jax.numpy as jnp

from plateaus.models import terms
from plateaus.models.gram import Captured
from plateaus.types import Array, Float, Int


def sums(
    captured: Captured, member: Float[Array, "G B"], layers: Collection[str]
) -> dict[str, Float[Array, "G ..."]]:
    r"""Return $\sum_b m_{gb} g_b$ for each group g, by path, of the parameters of some layers.

    With m the membership of examples in groups these are the sums of the groups' gradients. Only
    what is asked for is multiplied out: for a last layer, G small products.

    >>> from plateaus.models import gram
    >>> loss = lambda p, x: p["a"] * x[0] + p["b"] * x[1]
    >>> params = {"a": jnp.float32(1.0), "b": jnp.float32(1.0)}
    >>> _, captured = gram.capture(loss, params, jnp.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> {name: g.tolist() for name, g in sums(captured, jnp.ones((1, 2)), ["b"]).items()}
    {"['b']": [6.0]}
    """
    places = jax.tree_util.tree_leaves_with_path(
        jax.tree.unflatten(captured.structure, range(len(captured.leaves)))
    )
    found = {}
    for path, number in places:
        leaf = captured.leaves[number]
        if leaf.layer in layers:
            found[jax.tree_util.keystr(path)] = jax.vmap(
                lambda row, leaf=leaf: terms.combine(
                    leaf.terms, captured.factors, row, leaf.shape, leaf.dtype
                )
            )(member)
    return found


def of_groups(
    gram: Float[Array, "B B"], group: Int[Array, " B"], groups: int
) -> Float[Array, "G G"]:
    """Return the inner products of the groups' mean gradients; zeros for a group without members.

    Groups are tasks or domains, numbered from 0.

    >>> of_groups(jnp.array([[1.0, 2.0], [2.0, 8.0]]), jnp.array([1, 1]), 2).tolist()
    [[0.0, 0.0], [0.0, 3.25]]
    """
    share = _shares(group, groups)
    return share @ gram @ share.T


def of_members(weights: Float[Array, " G"], group: Int[Array, " B"]) -> Float[Array, " B"]:
    """Return the weights of examples that weigh their groups' mean gradients so, for `combine`.

    >>> of_members(jnp.array([0.0, 3.0]), jnp.array([1, 1, 1])).tolist()
    [1.0, 1.0, 1.0]
    """
    return weights @ _shares(group, weights.shape[0])


def _shares(group: Array, groups: int) -> Float[Array, "G B"]:
    """Return what each example is of the mean of each group."""
    member = (jnp.arange(groups)[:, None] == group[None, :]).astype(jnp.float32)
    return member / jnp.maximum(jnp.sum(member, axis=1, keepdims=True), 1.0)
