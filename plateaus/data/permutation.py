"""Keyed permutations of 0..size-1 for a traced size, evaluated one element at a time."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plateaus.types import Array, Int, Key, Number

_ROUNDS = 12  # of both halves; fewer are not even on small tables: see the tests
_GOLDEN = 0x9E3779B9  # 2^32 over the golden ratio: steps of it are spread evenly


def _mix(word: Array) -> Array:
    """Hash 32 bits to 32 bits (the finaliser of MurmurHash3): far cheaper than a threefry block."""
    word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> 16)


def _divided(x: Array, by: Array) -> tuple[Array, Array]:
    """Return x // by and x % by of an unsigned x, for a quotient below 2^17, without dividing.

    A float32 quotient is off by one at most; a CPU divides integers one at a time.
    """
    quotient = jnp.floor(x.astype(jnp.float32) / by.astype(jnp.float32)).astype(jnp.int32)
    rest = (x - quotient.astype(jnp.uint32) * by.astype(jnp.uint32)).astype(jnp.int32)
    less, more = (rest < 0).astype(jnp.int32), (rest >= by).astype(jnp.int32)
    return quotient - less + more, rest + by * (less - more)


def permute(key: Key, index: Array | int, size: Array | int, number: Number = 0) -> Int[Array, ""]:
    r"""Return where permutation `number` of those that a key names sends `index`, both < `size`.

    A Feistel cipher on the cells of a table: `index` is a row and a column, and in each round the
    row is shifted by a keyed hash of the column, then the column by one of the row. That is a
    bijection of the table. It has an even number of rows (odd shifts of odd cycles would only ever
    make even permutations) and at most 3 sqrt(size) + 2 cells too many; an index that is sent to
    one of those is sent on until it is below `size` ("cycle walking"). The size may be traced.

    Source: Black and Rogaway, "Ciphers with arbitrary finite domains" (2002), methods 2 and 3.

    >>> images = jax.jit(jax.vmap(permute, (None, 0, None)))(jax.random.key(0), jnp.arange(5), 5)
    >>> sorted(images.tolist())
    [0, 1, 2, 3, 4]
    """
    word = jax.random.bits(key, (2,), jnp.uint32)
    first = _mix(word[0] + jnp.uint32(number) * jnp.uint32(_GOLDEN))
    second = _mix(word[1] ^ first)
    size = jnp.maximum(jnp.asarray(size, jnp.uint32), 1)
    side = jnp.sqrt(size.astype(jnp.float32))
    rows = 2 * jnp.ceil(side / 2).astype(jnp.int32)
    columns = ((size + rows.astype(jnp.uint32) - 1) // rows.astype(jnp.uint32)).astype(jnp.int32)

    def shifted(place: Array, by: Array, length: Array, salt: int) -> Array:
        hashed = (by.astype(jnp.uint32) * jnp.uint32(_GOLDEN) + first) ^ second
        part = (_mix(hashed + jnp.uint32(salt)) >> 8).astype(jnp.int32).astype(jnp.float32)
        moved = place + (part * (length.astype(jnp.float32) * 2.0**-24)).astype(jnp.int32)
        return jnp.where(moved >= length, moved - length, moved)

    def sent(x: Array) -> Array:
        column, row = _divided(x, rows)
        for round in range(_ROUNDS):
            row = shifted(row, column, rows, 2 * round * 0x5BD1E995 & 0xFFFFFFFF)
            column = shifted(column, row, columns, (2 * round + 1) * 0x5BD1E995 & 0xFFFFFFFF)
        return column.astype(jnp.uint32) * rows.astype(jnp.uint32) + row.astype(jnp.uint32)

    image = sent(jnp.minimum(jnp.uint32(index), size - 1))  # of any other, no walk might end
    image = jax.lax.while_loop(
        lambda x: jnp.any(x >= size), lambda x: jnp.where(x >= size, sent(x), x), image
    )
    return image.astype(jnp.int32)
