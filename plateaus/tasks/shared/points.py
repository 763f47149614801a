"""Prompts of points as tokens: x_1, y_1, x_2, y_2, .., each of the length of x."""

from __future__ import annotations

import jax.numpy as jnp

from plateaus.types import Array, Float


def pack(x: Float[Array, "n d"], y: Float[Array, " n"]) -> Float[Array, "tokens d"]:
    """Return a prompt's tokens: x_1, (y_1, 0, .., 0), x_2, ...

    >>> import jax
    >>> jax.jit(pack)(jnp.array([[1.0, 2.0]]), jnp.array([5.0])).tolist()
    [[1.0, 2.0], [5.0, 0.0]]
    """
    padded = jnp.pad(y[:, None], ((0, 0), (0, x.shape[1] - 1)))
    return jnp.stack([x, padded], axis=1).reshape(-1, x.shape[1])


def unpack(
    inputs: Float[Array, "*b tokens d"],
) -> tuple[Float[Array, "*b n d"], Float[Array, "*b n"]]:
    """Return the points (x, y) of prompts.

    >>> x, y = unpack(jnp.array([[1.0, 2.0], [5.0, 0.0]]))
    >>> x.tolist(), y.tolist()
    ([[1.0, 2.0]], [5.0])
    """
    return inputs[..., 0::2, :], inputs[..., 1::2, 0]
