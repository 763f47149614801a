"""Streams of tokens cut into windows: those trained on, those looked at, those tested on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plateaus.tasks.corpus.bigrams import Pairs
from plateaus.tasks.corpus.streams import Corpus

MOST = 2**16  # windows of a domain, unless more are asked for
MOST_HELD_OUT = 2**13  # windows of each held-out split of a domain
LARGEST = 2**31 - 1  # tokens of an array whose places int32 can number


class NoRoom(ValueError):
    """A corpus without room for the windows asked for; `field` is what might be changed."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


class Pool(NamedTuple):
    """Windows sorted by group.

    Fields:
      rows: [N, context + 1] tokens.
      first, counts: [G], the first row of each group and how many it has.
    """

    rows: NDArray
    first: NDArray
    counts: NDArray

    def by_group(self) -> list[NDArray]:
        """Return each group's rows."""
        return [self.rows[f : f + c] for f, c in zip(self.first, self.counts, strict=True)]

    def labelled(self, labels: Any, groups: int) -> Pool:
        """Return the same rows sorted by other labels [N]."""
        order = np.argsort(labels, kind="stable")
        count = np.bincount(labels, minlength=groups)
        return Pool(self.rows[order], _firsts(count), count.astype(np.int32))

    def or_else(self, other: Pool) -> Pool:
        """Return the pool with the other pool's rows for groups without rows here."""
        pairs = zip(self.by_group(), other.by_group(), strict=True)
        return _pool([rows if len(rows) else others for rows, others in pairs])


class Windows(NamedTuple):
    """The windows of a corpus, groups being its domains, and the streams of pairs to count."""

    names: tuple[str, ...]
    vocabulary: int
    train: Pool
    target: Pool
    test: Pool
    pairs: list[Pairs]


def _firsts(count: NDArray) -> NDArray:
    return (np.cumsum(count) - count).astype(np.int32)


def _pool(rows: Sequence[NDArray]) -> Pool:
    count = np.array([len(part) for part in rows], np.int32)
    return Pool(np.concatenate(rows), _firsts(count), count)


def splits(length: int, target: float, test: float) -> tuple[slice, slice, slice]:
    """Return where a stream is trained on, looked at and tested on: in this order, all of it.

    >>> splits(1000, 0.1, 0.2)
    (slice(0, 700, None), slice(700, 800, None), slice(800, 1000, None))
    """
    ends = round(length * (1 - target - test)), round(length * (1 - test)), length
    return slice(0, ends[0]), slice(ends[0], ends[1]), slice(ends[1], ends[2])


def starts(length: int, width: int, count: int) -> NDArray[np.int64]:
    """Return `count` different places for windows, evenly over a stream.

    Up to `length // width` windows do not overlap.

    >>> starts(12, 3, 4).tolist(), starts(12, 3, 5).tolist()
    ([0, 3, 6, 9], [0, 2, 4, 6, 9])
    """
    last = length - width
    steps = np.arange(count, dtype=np.int64)
    return steps * last // max(count - 1, 1)


def windows(corpus: Corpus, context: int, count: int, held_out: tuple[float, float]) -> Windows:
    """Cut every domain: `count` training windows each, all that there are of what is held out.

    A window is `context` + 1 tokens: each but the first is predicted.
    Raises NoRoom for a domain too short, and for more tokens than int32 can number.
    """
    width = context + 1
    cut = [splits(stream.size, *held_out) for stream in corpus.streams]
    for name, stream, parts in zip(corpus.names, corpus.streams, cut, strict=True):
        for part, field in zip(parts, ("", "target_share", "test_share"), strict=True):
            size = part.stop - part.start
            if size < width:
                what = f"held out by task.{field}" if field else "trained on"
                raise NoRoom(
                    "context",
                    f"domain {name} is too short: of its {stream.size} tokens {size} are {what}, "
                    f"and a window takes {width}",
                )
    trained = [part[0].stop for part in cut]
    shortest = int(np.argmin(trained))
    if not count:
        count = min(MOST, trained[shortest] // width)
    most = trained[shortest] - width + 1
    if count > most:
        name = corpus.names[shortest]
        raise NoRoom("windows", f"domain {name} has room for {most} different windows only")
    if (tokens := count * len(cut) * width) > LARGEST:
        raise NoRoom("windows", f"gives {tokens} tokens to train on: at most {LARGEST}")

    def taken(number: int, most: int) -> Pool:
        rows = []
        for g, (stream, parts) in enumerate(zip(corpus.streams, cut, strict=True)):
            part = stream[parts[number]]
            many = min(most, part.size // width) if number else count
            order = np.random.default_rng([number, g]).permutation(many)
            begin = starts(part.size, width, many)[order]
            rows.append(np.lib.stride_tricks.sliding_window_view(part, width)[begin])
        return _pool(rows)

    streams = zip(corpus.streams, cut, strict=True)
    pairs = [(s[p[0]][:-1], s[p[0]][1:]) for s, p in streams]
    train, target, test = (taken(n, MOST_HELD_OUT) for n in range(3))
    return Windows(corpus.names, corpus.vocabulary, train, target, test, pairs)
