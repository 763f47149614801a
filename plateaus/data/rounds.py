"""What a round of steps adds up to: losses, counts and gradients of each group."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from plateaus.data.mixers.mixer import Round
from plateaus.types import EXACT, Array, Float, PyTree, Signals


class Ledger(NamedTuple):
    """Sums over the examples of a round so far, of each group; some in two halves."""

    loss: Array  # [G]
    count: Array  # type: ignore[assignment] # [2, G], even and odd steps; hides tuple.count
    gradient: PyTree  # [2, G, ...]; None without
    excess: Array  # [G]


class Means(NamedTuple):
    """Mean gradients of the groups, of a round and of its halves; None without."""

    whole: PyTree  # [G, ...]
    halves: PyTree  # [2, G, ...]


def empty(groups: int, tracked: PyTree) -> Ledger:
    """Return the ledger of no step; `tracked` is a tree of shapes [G, ...], or None."""
    halves = jax.tree.map(lambda x: jnp.zeros((2, *x.shape), x.dtype), tracked)
    return Ledger(jnp.zeros(groups), jnp.zeros((2, groups)), halves, jnp.zeros(groups))


def add(ledger: Ledger, signals: Signals, t: Array | int) -> Ledger:
    """Return the ledger with a step's sums."""
    count = signals.count
    assert count is not None  # it is counted wherever a design adapts
    half = jnp.arange(2) == t % 2

    def into(sums: Array, step: Array) -> Array:
        return sums + jnp.where(half.reshape(2, *[1] * step.ndim), step[None], 0.0)

    def total(mean: Array | None) -> Array:
        if mean is None:
            return jnp.zeros_like(ledger.loss)
        return jnp.where(count > 0, mean * count, 0.0)

    return Ledger(
        ledger.loss + total(signals.group_loss),
        into(ledger.count, count),
        jax.tree.map(into, ledger.gradient, signals.gradient),
        ledger.excess + total(signals.excess),
    )


def means(ledger: Ledger, last: Means | None = None) -> Means:
    """Return the groups' mean gradients; of a group without an example 0, or its `last` ones."""
    count = jnp.sum(ledger.count, axis=0)
    whole = jax.tree.map(lambda g: _over(jnp.sum(g, axis=0), count), ledger.gradient)
    halves = jax.tree.map(lambda g: _over(g, ledger.count), ledger.gradient)
    if last is None:
        return Means(whole, halves)

    def or_last(count: Array, new: PyTree, old: PyTree) -> PyTree:
        return jax.tree.map(lambda a, b: jnp.where(_like(count, a) > 0, a, b), new, old)

    return Means(or_last(count, whole, last.whole), or_last(ledger.count, halves, last.halves))


def grams(means: Means) -> dict[str, Float[Array, "G G"]]:
    r"""Return the inner products of the groups' mean gradients, two ways; zeros without gradients.

    "biased": $G_{ij} = \langle A_i, A_j \rangle / (n_i n_j)$ of the sums A and counts n of a round.
    Its diagonal has the noise of the mean, $\mathrm{tr\,Cov}_i / n_i$, beside $|E g_i|^2$.
    "unbiased": $(\langle a_i, b_j \rangle + \langle b_i, a_j \rangle)/2$ of the means a and b of
    the steps of even and of odd number, which share no example. Unbiased at given parameters: while
    training, gradients of one half lean against the noise that the other has just trained on.

    Source: paper 4, Balance; the halves are ours.
    """
    a, b = (jax.tree.map(lambda g, half=half: g[half], means.halves) for half in range(2))
    one_way = products(a, b)
    return {"biased": products(means.whole, means.whole), "unbiased": (one_way + one_way.T) / 2}


def summary(
    ledger: Ledger, signals: Signals, means: Means, gram: Array | None, target: Array, shares: Array
) -> Round:
    """Return the signals of a round to a mixer, with those of its last step.

    `gram` is one of `grams`; None, where gradients are not asked for, is NaN to the mixer.
    """
    count = jnp.sum(ledger.count, axis=0)
    present = jnp.where(count > 0, count, jnp.nan)
    unknown = jnp.full((target.shape[0], target.shape[0]), jnp.nan)
    aimed = signals.target_gradient
    return Round(
        shares=shares,
        loss=ledger.loss / present,
        count=count,
        target=target,
        gram=unknown if gram is None else gram,
        target_loss=unknown[0] if signals.target_loss is None else signals.target_loss,
        target_gram=unknown if aimed is None else products(means.whole, aimed),
        excess=unknown[0] if signals.excess is None else _over(ledger.excess, count),
        affinity=unknown if signals.affinity is None else signals.affinity,
    )


def products(a: PyTree, b: PyTree) -> Float[Array, "G G"]:
    """Return the inner products of the rows of two trees of [G, ...].

    >>> one, other = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[1.0, 2.0], [3.0, 4.0]])
    >>> jax.jit(products)({"w": one}, {"w": other}).tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    """

    def of_leaf(x: Array, y: Array) -> Array:
        rows, columns = (part.reshape(part.shape[0], -1).astype(jnp.float32) for part in (x, y))
        return jnp.matmul(rows, columns.T, precision=EXACT)

    return sum(jax.tree.leaves(jax.tree.map(of_leaf, a, b)), start=jnp.float32(0.0))


def _over(sums: Array, count: Array) -> Array:
    """Return means by group; zero for a group without an example."""
    return sums / jnp.where(_like(count, sums) > 0, _like(count, sums), 1.0)


def _like(count: Array, sums: Array) -> Array:
    return count.reshape(*count.shape, *[1] * (sums.ndim - count.ndim))
