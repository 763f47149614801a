"""The order in which a gradient meets the others."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from plateaus.types import Array, Int, Key

_PAIRED = 64  # gradients up to which comparing all pairs takes less time than sorting


class Orders(NamedTuple):
    """Orders of 0 ... B - 1, one for each row [B, B], or one [B] for all of them.

    Fields:
      order: which is met first, second, and so on.
      place: when each is met, the inverse of `order`.
      axis: that of the rows, as `jax.vmap` takes it; None where one order is that of all.
    """

    order: Int[Array, " ..."]
    place: Int[Array, " ..."]
    axis: int | None


def orders(key: Key | None, size: int) -> Orders:
    """Return a random order for each row, with a key; without one, the ascending one for all.

    A random number carries its own place in its low bits, so that there are no ties. Of few numbers
    each counts those below it: on a CPU a sort of short rows takes twice as long.

    >>> orders(None, 3).order.tolist(), orders(None, 3).axis
    ([0, 1, 2], None)
    >>> jnp.sort(jax.jit(lambda key: orders(key, 3).order)(jax.random.key(0))).tolist()
    [[0, 1, 2], [0, 1, 2], [0, 1, 2]]
    """
    numbers = jnp.arange(size)
    if key is None:
        return Orders(numbers, numbers, None)
    low = jnp.uint32((1 << (size - 1).bit_length()) - 1)
    bits = jax.random.bits(key, (size, size), jnp.uint32) & ~low
    words = bits | numbers.astype(jnp.uint32)[None, :]
    if size > _PAIRED:
        order = (jnp.sort(words) & low).astype(numbers.dtype)
        return Orders(
            order, jax.vmap(lambda row: jnp.zeros_like(row).at[row].set(numbers))(order), 0
        )
    below = words[:, None, :] < words[:, :, None]
    place = jnp.sum(below.astype(numbers.dtype), axis=2)
    met = place[:, None, :] == numbers[None, :, None]  # [row, place, number]
    return Orders(jnp.sum(jnp.where(met, numbers[None, None, :], 0), axis=2), place, 0)
