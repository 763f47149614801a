"""A keyed permutation of 0..size-1 for a traced size, evaluated one element at a time."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plateaus.types import Array, Int, Key

_ROUNDS = 48  # about 2 log2(10^6) + 8; the tests check the mixing this buys


def _mix(word: Array) -> Array:
    """Hash 32 bits to 32 bits (the finaliser of MurmurHash3): far cheaper than a threefry block."""
    word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> 16)


def permute(key: Key, index: Array | int, size: Array | int) -> Int[Array, ""]:
    r"""Return where a random permutation of {0 .. size-1}, named by its key, sends `index`.

    Swap-or-not: in round r, with a keyed offset $K_r$, x and its partner $x' = (K_r - x) \bmod M$
    are exchanged or not, by one keyed bit of the pair. Each round is a bijection of *any* M, so
    nothing has to be padded to a power of two and walked back: the size may be traced.

    Source: Hoang, Morris and Rogaway, "An enciphering scheme based on a card shuffle" (2012).

    >>> images = jax.jit(jax.vmap(permute, (None, 0, None)))(jax.random.key(0), jnp.arange(5), 5)
    >>> sorted(images.tolist())
    [0, 1, 2, 3, 4]
    """
    word = jax.random.bits(key, (2,), jnp.uint32)
    modulus = jnp.uint32(size)

    def swap(number: Array, x: Array) -> Array:
        salt = _mix(word[0] + number * jnp.uint32(0x9E3779B9))
        offset = salt % modulus
        partner = jnp.where(offset >= x, offset - x, offset + (modulus - x))
        pair = jnp.maximum(x, partner)
        bit = _mix(pair ^ _mix(word[1] ^ salt)) & 1
        return jnp.where(bit == 1, partner, x)

    x = jnp.uint32(index)
    x = jax.lax.fori_loop(0, _ROUNDS, lambda r, x: swap(jnp.uint32(r), x), x)
    return x.astype(jnp.int32)
