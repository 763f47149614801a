"""Zipf sampling: rank i of M drawn with probability proportional to i^-alpha, alpha a knob."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus.types import Array, Draw, Int, Key, Number, Signals, Source

_BUCKETS = 256  # to an octave; the error of a rank's probability falls with its square
_SEARCH = _BUCKETS.bit_length() - 1
_ONE = 2.0**31  # probability 1 in the fixed point of `Table.within`


class Table(NamedTuple):
    """The law of the ranks 1..size, in O(log size) space.

    Octave j holds the ranks [2^j, 2^(j+1)) up to size, cut into 256 buckets, even to one rank.
    """

    size: Array
    exponent: Array
    octave: Array  # octaves from the least to the most probable ...
    octave_mass: Array  # ... and the running sum of their masses, ending at 1
    within: Array  # running mass of the buckets inside an octave, x 2^31
    log_total: Array  # log of the sum of i^-exponent over the ranks


def _bucket(octave: Array, bucket: Array, size: Array) -> tuple[Array, Array]:
    """Return (first rank, number of ranks up to `size`) of a bucket of an octave.

    The ranks in play are cut evenly, also in the last octave, which may be incomplete: a bucket of
    one rank beside buckets of thousands would have too few units of `Table.within` to be exact.
    """
    first = 1 << octave
    ranks = jnp.clip(size - first + 1, 0, first)
    each, remainder = ranks // _BUCKETS, ranks % _BUCKETS

    def edge(number: Number):
        return number * each + (number * remainder) // _BUCKETS

    return first + edge(bucket), edge(bucket + 1) - edge(bucket)


def zipf_table(exponent: Array | float, size: Array | int, max_size: int) -> Table:
    r"""Tabulate $p(i) \propto i^{-\alpha}$ on 1..size, for a traced exponent and a traced size.

    The mass of a bucket of n ranks with mean m is the midpoint rule's
    $n m^{-\alpha} (1 + \alpha(\alpha+1)(n^2-1) / 24 m^2)$, whose relative error is below 1e-9.

    Running sums start from the *smallest* octave, and inside an octave they are integers: a float32
    running sum from rank 1 would round most of the tail away (at alpha = 1.25 and a million ranks,
    most ranks could never be drawn).

    Args:
      exponent: alpha in [0, 3].
      size: number of ranks in play, at least 1, at most `max_size`.
      max_size: static bound on the size, below 2^31.
    """
    octaves = max_size.bit_length()
    alpha, size = jnp.asarray(exponent, jnp.float32), jnp.asarray(size, jnp.int32)
    octave = jnp.arange(octaves, dtype=jnp.int32)[:, None]
    bucket = jnp.arange(_BUCKETS, dtype=jnp.int32)[None, :]
    first, count = _bucket(octave, bucket, size)
    n = count.astype(jnp.float32)
    mean = first + 0.5 * (n - 1.0)
    curvature = 1.0 + alpha * (alpha + 1.0) * (n * n - 1.0) / (24.0 * mean * mean)
    mass = jnp.where(count > 0, n * mean**-alpha * curvature, 0.0)
    octave_mass = jnp.sum(mass, axis=1)

    share = mass / jnp.where(octave_mass > 0, octave_mass, 1.0)[:, None]
    within = jnp.cumsum(jnp.round(share * _ONE).astype(jnp.uint32), axis=1)
    # What rounding has left over, or taken too much, evenly over the buckets that hold ranks.
    remainder = (jnp.uint32(2**31) - within[:, -1:]).astype(jnp.int32)
    filled = jnp.cumsum(count > 0, axis=1)
    within += ((remainder * filled) // jnp.maximum(filled[:, -1:], 1)).astype(jnp.uint32)

    order = jnp.argsort(octave_mass)
    running = jnp.cumsum(octave_mass[order])
    masses = running / running[-1]
    return Table(size, alpha, order, masses, within.reshape(-1), jnp.log(running[-1]))


def zipf_rank(key: Key, table: Table, shape: tuple[int, ...]) -> Int[Array, " *shape"]:
    """Draw ranks in 1..size, each with its Zipf probability to within 3e-5 of it (alpha <= 3).

    An octave by inversion, a bucket by inversion, a rank by a uniform choice of a *pair* of ranks
    that mirror each other in the bucket and a biased coin between the two. Pairs in a bucket 1/256
    of an octave wide have equal mass up to alpha (alpha + 1) / (8 * 256^2): 4e-6 at alpha = 1.
    No loop, no rejection: the cost does not depend on the exponent.

    >>> table = jax.jit(zipf_table, static_argnames="max_size")(1.0, 1_000_000, max_size=1_000_000)
    >>> jax.jit(zipf_rank, static_argnums=2)(jax.random.key(0), table, (4,)).shape
    (4,)
    """
    bits = jax.random.bits(key, (5, *shape), jnp.uint32)
    # 64 bits of uniform: near 0, where the rare octaves are, it keeps its relative precision.
    fine = (bits[1].astype(jnp.float32) + 0.5) * 2.0**-32
    uniform = (bits[0].astype(jnp.float32) + fine) * 2.0**-32
    masses = jnp.expand_dims(table.octave_mass, tuple(range(len(shape))))
    nth = jnp.sum(masses < uniform[..., None], axis=-1)
    octave = table.octave[jnp.minimum(nth, table.octave.shape[0] - 1)]

    position = bits[2] >> 1
    bucket = jnp.zeros(shape, jnp.int32)
    for power in reversed(range(_SEARCH)):  # the number of running sums at or below `position`
        probe = table.within[octave * _BUCKETS + bucket + (1 << power) - 1]
        bucket = jnp.where(probe <= position, bucket + (1 << power), bucket)

    first, count = _bucket(octave, bucket, table.size)
    offset = (bits[3] % count.astype(jnp.uint32)).astype(jnp.int32)
    rank, mirror = first + offset, first + count - 1 - offset
    odds = (rank / mirror) ** table.exponent  # of the mirror image against the rank
    coin = (bits[4] >> 8).astype(jnp.float32) * 2.0**-24
    return jnp.where(coin * (1.0 + odds) < 1.0, rank, mirror)


class _Plan(NamedTuple):
    inner: object
    table: Table


def zipf(source: Source, max_size: int) -> Source:
    """Draw the items of the pool by a Zipf law over their ranks; item i has rank i + 1.

    Which item has which rank is as random as the items are: give it items that are exchangeable
    (points that are a hash of their index), or permute them first.
    Neutral at `knobs.zipf_exponent` = 0: the indices of `source`, bit for bit.

    Source: paper 1, section 4.2.
    """

    def prepare(knobs: Any, size: Number) -> _Plan:
        table = zipf_table(knobs.zipf_exponent, size, max_size)
        return _Plan(source.prepare(knobs, size), table)

    def draw(key: Key, state: Any, plan: _Plan, t: Number) -> Draw:
        drawn = source.draw(key, state, plan.inner, t)
        key_rank = jax.random.fold_in(jax.random.fold_in(key, t), 1)
        rank = zipf_rank(key_rank, plan.table, drawn.index.shape)
        neutral = plan.table.exponent == 0.0
        return drawn._replace(index=jnp.where(neutral, drawn.index, rank - 1))

    def observe(state: Any, signals: Signals, plan: _Plan, t: Number) -> Any:
        return source.observe(state, signals, plan.inner, t)

    def log_prob(plan: _Plan, index: Array, t: Number) -> Array:
        table = plan.table
        rank = jnp.maximum(index, 0).astype(jnp.float32) + 1.0
        ranked = -table.exponent * jnp.log(rank) - table.log_total
        ranked = jnp.where((index >= 0) & (index < table.size), ranked, -jnp.inf)
        inner = source.log_prob(plan.inner, index, t)
        return jnp.where(table.exponent == 0.0, inner, ranked)

    return source._replace(prepare=prepare, draw=draw, log_prob=log_prob, observe=observe)
