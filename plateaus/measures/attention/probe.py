"""Where attention heads look, and what the loss becomes without some of them.

Sequences are prompts x_1, y_1, ..., x_n, y_n of pairs of tokens; `offset` instruction tokens may
stand before them. Weights are [B, H, T, T], row t of a head saying where token t looks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Bool

from plateaus.types import Array, Float, Key, Model, PyTree

TOGETHER = 32  # prompts whose attention weights are held at a time
SCORES = ("retrospective", "previous", "induction")


def pairs(tokens: int, offset: int = 0) -> int:
    """Return the number n of pairs (x, y) in a sequence; a last x without its y is in none.

    >>> pairs(9, offset=2)
    3
    """
    return (tokens - offset) // 2


def retrospective(weights: Float[Array, "B H T T"], offset: int = 0) -> Float[Array, " H"]:
    r"""Return $\frac1n \sum_i a(y_i \to x_i)$: how much the y tokens look at their own x.

    Over all n pairs, mean over prompts.

    Source: paper 3, retrospective heads.

    >>> jax.jit(retrospective)(jnp.array([[[[1.0, 0.0], [0.25, 0.75]]]])).tolist()
    [0.25]
    """
    x = offset + 2 * jnp.arange(pairs(weights.shape[-1], offset))
    return jnp.mean(weights[:, :, x + 1, x], axis=(0, 2))


def previous_token(weights: Float[Array, "B H T T"]) -> Float[Array, " H"]:
    r"""Return $\frac{1}{T - 1} \sum_{t \ge 1} a(t \to t - 1)$, mean over prompts.

    >>> previous_token(jnp.array([[[[1.0, 0.0], [0.25, 0.75]]]])).tolist()
    [0.25]
    """
    return jnp.mean(jnp.diagonal(weights, -1, axis1=2, axis2=3), axis=(0, 2))


def repeated(inputs: Float[Array, "B T ..."], offset: int = 0) -> Float[Array, "B S ..."]:
    """Return prompts whose first half of pairs comes twice: S = offset + 4 floor(n / 2) <= T.

    >>> repeated(jnp.array([[9, 1, 2, 3, 4, 5, 6, 7, 8]]), offset=1).tolist()
    [[9, 1, 2, 3, 4, 1, 2, 3, 4]]
    """
    half = 2 * (pairs(inputs.shape[1], offset) // 2)
    start, once = inputs[:, :offset], inputs[:, offset : offset + half]
    return jnp.concatenate([start, once, once], axis=1)


def induction(weights: Float[Array, "B H S S"], offset: int = 0) -> Float[Array, " H"]:
    r"""Return $\frac1m \sum_{j < m} a(s + m + j \to s + j + 1)$, of weights on `repeated` prompts.

    s is the offset, m the tokens of a half: each token of the second half looks at the token that
    came after the same token in the first. Mean over prompts.

    Source: Olsson et al. 2022 (arXiv 2209.11895), prefix matching on repeated tokens.

    >>> weights = jnp.zeros((1, 1, 8, 8)).at[0, 0, 5, 2].set(1.0)  # half 4: from 4 + 1 to 1 + 1
    >>> jax.jit(induction)(weights).tolist()
    [0.25]
    """
    half = (weights.shape[-1] - offset) // 2
    along = jnp.arange(half)
    seen = weights[:, :, offset + half + along, offset + along + 1]
    return jnp.mean(seen, axis=(0, 2))


def blocks_with_heads(activations: Collection[str]) -> int:
    """Return in how many blocks there are attention heads that can be removed.

    >>> blocks_with_heads(("read_in", "block_0.heads", "block_1.heads", "readout"))
    2
    """
    return sum(name.startswith("block_") and name.endswith(".heads") for name in activations)


def head_scores(
    model: Model,
    params: PyTree,
    inputs: Float[Array, "B T ..."],
    offset: int = 0,
    scores: Collection[str] = SCORES,
) -> dict[str, Float[Array, "L H"]]:
    """Return the scores of these names, of every head of every layer, means over the prompts.

    `TOGETHER` prompts at a time: all their weights at once would be the largest array of a run.
    """
    names = [
        f"block_{layer}.attention_weights" for layer in range(blocks_with_heads(model.activations))
    ]
    of_plain: dict[str, Callable[[Array], Array]] = {
        "retrospective": functools.partial(retrospective, offset=offset),
        "previous": previous_token,
    }
    of_repeated = {"induction": functools.partial(induction, offset=offset)}

    def of_one(prompt: Array) -> dict[str, Array]:
        result = {}
        for measures, tokens in (
            (of_plain, prompt[None]),
            (of_repeated, repeated(prompt[None], offset)),
        ):
            chosen = [score for score in measures if score in scores]
            if chosen:
                _, seen = model.apply(params, tokens, capture=names)
                for score in chosen:
                    result[score] = jnp.stack([measures[score](seen[name]) for name in names])
        return result

    each = jax.lax.map(of_one, inputs, batch_size=min(TOGETHER, inputs.shape[0]))
    return jax.tree.map(lambda values: jnp.mean(values, axis=0), each)


def highest(scores: Float[Array, "L H"], count: int) -> Bool[Array, "L H"]:
    """Return which heads have the `count` highest scores; the first of equals.

    >>> jax.jit(highest, static_argnums=1)(jnp.array([[0.1, 0.9], [0.5, 0.2]]), 2).tolist()
    [[False, True], [True, False]]
    """
    _, chosen = jax.lax.top_k(scores.ravel(), count)
    return jnp.zeros(scores.size, bool).at[chosen].set(True).reshape(scores.shape)


def others(key: Key, chosen: Bool[Array, "L H"], count: int) -> Bool[Array, "L H"]:
    """Return `count` heads drawn uniformly, without replacement, from those not chosen.

    >>> chosen = jnp.array([[True, False], [True, False]])
    >>> jax.jit(others, static_argnums=2)(jax.random.key(0), chosen, 2).tolist()
    [[False, True], [False, True]]
    """
    lots = jax.random.uniform(key, chosen.shape)
    return highest(jnp.where(chosen, -1.0, lots), count)


def without(removed: Bool[Array, "L H"]) -> dict[str, Callable[[Array], Array]]:
    """Return the edits that set the output of the removed heads to zero.

    >>> edits = without(jnp.array([[False, True]]))
    >>> edits["block_0.heads"](jnp.ones((1, 1, 2, 1))).ravel().tolist()
    [1.0, 0.0]
    """

    def edit(heads: Array, *, gone: Array) -> Array:
        return jnp.where(gone[None, None, :, None], jnp.zeros_like(heads), heads)

    return {
        f"block_{layer}.heads": functools.partial(edit, gone=removed[layer])
        for layer in range(removed.shape[0])
    }


def ablation(
    key: Key,
    losses: Callable[[Any], dict[str, Array]],
    scores: Float[Array, "L H"],
    count: int,
    draws: int,
) -> dict[str, Array]:
    """Return the losses without the `count` heads of highest score, and without as many others.

    `losses` maps the edits of a forward pass to losses by the suffix of their names, "" or
    "_by_task". For each there is `ablation_loss_retrospective`, and `ablation_loss_random` with an
    axis [draws] of its own: a loss for every draw of other heads.

    Source: paper 3, ablation of retrospective heads against control heads.
    """
    chosen = highest(scores, count)
    controls = jax.vmap(lambda key: others(key, chosen, count))(jax.random.split(key, draws))
    removed = jnp.concatenate([chosen[None], controls])
    result = {}
    each = jax.lax.map(lambda gone: losses(without(gone)), removed)  # one forward pass at a time
    for suffix, values in each.items():
        result[f"ablation_loss_retrospective{suffix}"] = values[0]
        result[f"ablation_loss_random{suffix}"] = values[1:]
    return result
