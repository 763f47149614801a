"""JAX's threefry keys and their bits, in less time on a CPU: for what is drawn in every step.

On a CPU JAX writes the hash as a loop of five rounds, each of several passes over its words: that
compiles soon, and runs at a sixth of the speed of the same rounds written out.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import define_prng_impl

from plateaus.fusing import apart
from plateaus.types import Array, Key

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)


def quick(key: Key) -> Key:
    """Return the key as one whose draws are the same, and cost less in a step of many small runs.

    Where JAX is told to draw as it once did (`jax_threefry_partitionable` off), the key itself.

    >>> key = jax.random.key(0, impl="threefry2x32")
    >>> bool(jax.random.bits(key) == jax.jit(lambda key: jax.random.bits(quick(key)))(key))
    True
    """
    if not jax.config.values["jax_threefry_partitionable"]:
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=_IMPLEMENTATION)


@jax.jit
def _hashed(key: Array, numbers: Array) -> tuple[Array, Array]:
    """Return the block of two words that a key [2] has at each of the counters (0, number).

    Its own jit saves most of a small program's lowering: the hash is 125 operations, which would be
    traced at each draw anew, and mapped over runs several times on both sides of `apart`.
    """
    first, second = key[0], key[1]
    schedule = (first, second, first ^ second ^ _PARITY)
    x, y = first, numbers + second
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            x = x + y
            y = ((y << np.uint32(distance)) | (y >> np.uint32(32 - distance))) ^ x
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def _seed(seed: Array) -> Array:
    return jnp.stack([jnp.uint32(0), jnp.asarray(seed, jnp.uint32)])


def _fold_in(key: Array, data: Any) -> Array:
    data = jnp.asarray(data, jnp.uint32)
    return jnp.stack(apart(_hashed, key, data))


def _numbers(shape: tuple[int, ...]) -> Array:
    size = int(np.prod(shape, dtype=np.int64))
    if size >= 2**32:
        raise NotImplementedError(f"{size} numbers of one key")
    return jnp.arange(size, dtype=jnp.uint32).reshape(shape)


def _split(key: Array, shape: tuple[int, ...]) -> Array:
    def blocks(key: Array) -> tuple[Array, Array]:
        return _hashed(key, _numbers(shape))

    return jnp.stack(apart(blocks, key), axis=-1)


def _random_bits(key: Array, bit_width: int, shape: tuple[int, ...]) -> Array:
    if bit_width > 32:
        raise NotImplementedError(f"random words of {bit_width} bits")

    def words(key: Array) -> Array:
        high, low = _hashed(key, _numbers(shape))
        return high ^ low

    return apart(words, key).astype(f"uint{bit_width}")


_IMPLEMENTATION = define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="threefry2x32_quick",
    tag="frq",
)
