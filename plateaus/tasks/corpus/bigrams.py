"""Unigram and bigram predictors of token streams, from counts; one set for each group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from plateaus.types import Array, Float, Int

_CHUNK = 2**24  # pairs counted at once


class Bigrams(NamedTuple):
    """Counts of G groups over V tokens; the followers of token a in group g are row g V + a.

    Fields:
      unigram: [G, V], smoothed probabilities.
      first: [G V + 1], where each row begins in the next two.
      follower: [P], tokens.
      counts: [P], how often they follow.
      longest: the most followers of a row.
    """

    unigram: NDArray
    first: NDArray
    follower: NDArray
    counts: NDArray
    longest: int


Pairs: TypeAlias = tuple[NDArray, NDArray]
"""Tokens, and the token after each."""


def bigrams(pairs: Sequence[Pairs], vocabulary: int) -> Bigrams:
    r"""Count the pairs (token, next token) of each group.

    Smoothed probabilities, c being counts, N their sum, u(a) the number of different followers:
      $p(b) = (c(b) + 1/2) / (N + V/2)$ (Krichevsky and Trofimov);
      $p(b|a) = (c(ab) + u(a) p(b)) / (c(a) + u(a))$ (Witten and Bell); p(b) if a was never seen.

    >>> a = np.array([0, 0, 1])
    >>> counted = bigrams([(a[:-1], a[1:])], 2)
    >>> counted.unigram.tolist(), counted.first.tolist(), counted.follower.tolist()
    ([[0.5, 0.5]], [0, 2, 2], [0, 1])
    """
    by_group = [_counts(before, after, vocabulary) for before, after in pairs]
    singles = np.stack([counts.sum(axis=0) for counts in by_group])  # [G, V]
    followers = sparse.vstack(by_group, format="csr")
    return Bigrams(
        unigram=(singles + 0.5) / (singles.sum(axis=1, keepdims=True) + 0.5 * vocabulary),
        first=followers.indptr.astype(np.int32),
        follower=followers.indices.astype(np.int32),
        counts=followers.data,
        longest=max(1, int(np.diff(followers.indptr).max(initial=0))),
    )


def _counts(before: NDArray, after: NDArray, vocabulary: int) -> Any:
    """Return how often each token is followed by each, a sparse array [V, V]."""
    counts = sparse.csr_array((vocabulary, vocabulary), dtype=np.int64)
    for start in range(0, before.size, _CHUNK):
        pair = before[start : start + _CHUNK], after[start : start + _CHUNK]
        counts += sparse.csr_array((np.ones(pair[0].size, np.int64), pair), shape=counts.shape)
    return counts


def training_losses(counted: Bigrams) -> tuple[NDArray, NDArray]:
    """Return the cross-entropies on the pairs counted, in nats: [G] unigram, [G] bigram."""
    groups, vocabulary = counted.unigram.shape
    row = np.repeat(np.arange(groups * vocabulary), np.diff(counted.first))
    group = row // vocabulary
    seen = np.bincount(row, counted.counts, groups * vocabulary)[row]
    different = np.diff(counted.first)[row]
    unigram = counted.unigram[group, counted.follower]
    bigram = (counted.counts + different * unigram) / (seen + different)

    pairs = np.maximum(np.bincount(group, counted.counts, groups), 1)

    def mean(values: NDArray) -> NDArray:
        return np.bincount(group, counted.counts * values, groups) / pairs

    return mean(-np.log(unigram)), mean(-np.log(bigram))


def logits(
    counted: Bigrams, tokens: Int[Array, " T"], group: Int[Array, ""]
) -> Float[Array, "T V"]:
    """Return log p(b | a), float32, after each token a."""
    unigram = jnp.asarray(counted.unigram, jnp.float32)[group]
    row = group * unigram.shape[0] + tokens
    first = jnp.asarray(counted.first)
    begin, end = first[row], first[row + 1]
    place = jnp.arange(counted.longest)[None, :] + begin[:, None]
    in_row = place < end[:, None]
    place = jnp.where(in_row, place, 0)
    count = jnp.where(in_row, jnp.asarray(counted.counts, jnp.float32)[place], 0.0)
    # a token beyond the vocabulary is dropped
    follower = jnp.where(in_row, jnp.asarray(counted.follower)[place], unigram.shape[0])

    def spread(count: Array, follower: Array) -> Array:
        return jnp.zeros_like(unigram).at[follower].add(count, mode="drop")

    after = jax.vmap(spread)(count, follower)
    seen = jnp.sum(count, axis=1, keepdims=True)
    different = jnp.maximum(end - begin, 1).astype(jnp.float32)[:, None]
    return jnp.log((after + different * unigram[None, :]) / (seen + different))
