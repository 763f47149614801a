"""What is expected next in a string of a random automaton by who does not know it."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plateaus.tasks.automata.families import NEVER
from plateaus.values import EXACT, Array, Float, Int

TINY = 1e-30  # in place of 0, where what came cannot come in any language


def posterior_shares(
    tables: Int[Array, "N S V"], symbols: Int[Array, " n"], length: int
) -> Float[Array, "n V"]:
    r"""Return the shares of each next symbol by Bayes' rule, all N languages equally likely before.

    $P(s_i \mid s_{<i}) \propto \sum_k P_k(s_{<i}) P_k(s_i \mid z_{k,i})$, z_{k,i} the state in
    which language k is after what came before; every `length` symbols it begins anew.

    >>> from plateaus.tasks.automata import families
    >>> tables = jnp.asarray(families.languages("repeat_1", 2))
    >>> posterior_shares(tables, jnp.array([1, 1, 1]), 3).tolist()
    [[0.5, 0.5], [0.0, 1.0], [0.0, 1.0]]
    """
    each = jnp.arange(tables.shape[0])

    def step(carried: tuple[Array, Array], place: tuple[Array, Array]):
        weight, state = carried
        symbol, first = place
        state = jnp.where(first, 0, state)
        after = tables[each, state]  # [N, V]
        share = even(after != NEVER)
        expected = jnp.matmul(weight, share, precision=EXACT)
        weight = weight * share[:, symbol]
        weight = weight / jnp.maximum(jnp.sum(weight), TINY)
        return (weight, after[:, symbol]), expected

    first = jnp.arange(symbols.shape[0]) % length == 0
    start = (jnp.full(each.shape, 1 / each.shape[0]), jnp.zeros_like(each))
    return jax.lax.scan(step, start, (symbols, first))[1]


def even(possible: Array) -> Array:
    """Return equal shares of what is possible, on the last axis; none where nothing is.

    >>> even(jnp.array([True, False, True, False])).tolist()
    [0.5, 0.0, 0.5, 0.0]
    """
    count = jnp.sum(possible, axis=-1, keepdims=True)
    return possible / jnp.maximum(count, 1)


def unigram_shares(symbols: Int[Array, " n"], count: int) -> Float[Array, "n V"]:
    r"""Return the share of each of V = `count` symbols in what came before, $(c + 1/V) / (n + 1)$.

    >>> unigram_shares(jnp.array([0, 0]), 2).tolist()
    [[0.5, 0.5], [0.75, 0.25]]
    """
    return bigram_shares(jnp.full_like(symbols, count), symbols, count)


def bigram_shares(
    last: Int[Array, " n"], symbols: Int[Array, " n"], count: int
) -> Float[Array, "n V"]:
    r"""Return the shares of each symbol after the last token in what came before.

    $(c + 1/V) / (n + 1)$: of n times that this token came before, c had the symbol after it. Tokens
    are V = `count` symbols and the delimiter.

    >>> bigram_shares(jnp.array([2, 0, 0]), jnp.array([0, 0, 1]), 2).tolist()
    [[0.5, 0.5], [0.5, 0.5], [0.75, 0.25]]
    """
    pairs = jax.nn.one_hot(last, count + 1)[:, :, None] * jax.nn.one_hot(symbols, count)[:, None, :]
    before = jnp.cumsum(pairs, axis=0) - pairs
    counts = jnp.take_along_axis(before, last[:, None, None], axis=1)[:, 0]  # [n, V]
    return (counts + 1 / count) / (jnp.sum(counts, axis=1, keepdims=True) + 1)
