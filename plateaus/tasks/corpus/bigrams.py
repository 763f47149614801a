"""Unigram and bigram predictors of token streams, from counts; one set for each group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

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


Pieces = Iterable[tuple[NDArray, NDArray]]


def bigrams(groups: Sequence[Pieces], vocabulary: int) -> Bigrams:
    r"""Count pairs (token, next token), given in pieces for each group.

    Smoothed probabilities, c being counts, N their sum, u(a) the number of different followers:
      $p(b) = (c(b) + 1/2) / (N + V/2)$ (Krichevsky and Trofimov);
      $p(b|a) = (c(ab) + u(a) p(b)) / (c(a) + u(a))$ (Witten and Bell); p(b) if a was never seen.

    >>> a = np.array([0, 0, 1])
    >>> found = bigrams([[(a[:-1], a[1:])]], 2)
    >>> found.unigram.tolist(), found.first.tolist(), found.follower.tolist()
    ([[0.5, 0.5]], [0, 2, 2], [0, 1])
    """
    unigram, rows, followers, counts = [], [], [], []
    for number, pieces in enumerate(groups):
        merged: dict[str, NDArray] = {"key": np.zeros(0, np.int64), "count": np.zeros(0, np.int64)}
        for before, after in _cut(pieces):
            key, count = np.unique(before.astype(np.int64) * vocabulary + after, return_counts=True)
            joined = np.concatenate([merged["key"], key])
            merged["key"], place = np.unique(joined, return_inverse=True)
            sums = np.zeros(merged["key"].size, np.int64)
            np.add.at(sums, place, np.concatenate([merged["count"], count]))
            merged["count"] = sums
        row, follower = np.divmod(merged["key"], vocabulary)
        own = np.bincount(follower, merged["count"], vocabulary)
        unigram.append((own + 0.5) / (own.sum() + 0.5 * vocabulary))
        rows.append(row + number * vocabulary)
        followers.append(follower)
        counts.append(merged["count"])
    first = np.searchsorted(np.concatenate(rows), np.arange(len(groups) * vocabulary + 1))
    return Bigrams(
        unigram=np.stack(unigram),
        first=first.astype(np.int32),
        follower=np.concatenate(followers).astype(np.int32),
        counts=np.concatenate(counts),
        longest=max(1, int(np.diff(first).max(initial=0))),
    )


def _cut(pieces: Pieces) -> Iterable[tuple[NDArray, NDArray]]:
    for before, after in pieces:
        for start in range(0, before.size, _CHUNK):
            yield before[start : start + _CHUNK], after[start : start + _CHUNK]


def training_losses(found: Bigrams) -> tuple[NDArray, NDArray]:
    """Return the cross-entropies on the pairs counted, in nats: [G] unigram, [G] bigram."""
    groups, vocabulary = found.unigram.shape
    row = np.repeat(np.arange(groups * vocabulary), np.diff(found.first))
    seen = np.bincount(row, found.counts, groups * vocabulary)[row]
    different = np.diff(found.first)[row]
    alone = found.unigram[row // vocabulary, found.follower]
    paired = (found.counts + different * alone) / (seen + different)

    def mean(values: NDArray) -> NDArray:
        totals = [
            np.bincount(row // vocabulary, weights, groups)
            for weights in (found.counts * values, found.counts)
        ]
        return totals[0] / np.maximum(totals[1], 1)

    return mean(-np.log(alone)), mean(-np.log(paired))


def logits(found: Bigrams, tokens: Int[Array, " T"], group: Int[Array, ""]) -> Float[Array, "T V"]:
    """Return log p(b | a), float32, after each token a."""
    alone = jnp.asarray(found.unigram, jnp.float32)[group]
    row = group * alone.shape[0] + tokens
    first = jnp.asarray(found.first)
    begin, end = first[row], first[row + 1]
    place = jnp.arange(found.longest)[None, :] + begin[:, None]
    there = place < end[:, None]
    place = jnp.where(there, place, 0)
    count = jnp.where(there, jnp.asarray(found.counts, jnp.float32)[place], 0.0)
    follower = jnp.where(there, jnp.asarray(found.follower)[place], alone.shape[0])  # else dropped

    def spread(count: Array, follower: Array) -> Array:
        return jnp.zeros_like(alone).at[follower].add(count, mode="drop")

    after = jax.vmap(spread)(count, follower)
    seen = jnp.sum(count, axis=1, keepdims=True)
    different = jnp.maximum(end - begin, 1).astype(jnp.float32)[:, None]
    return jnp.log((after + different * alone[None, :]) / (seen + different))
