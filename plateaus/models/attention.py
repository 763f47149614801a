"""Causal attention weights, by softmax or linear, and rotary positions: pure functions."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plateaus.types import Array, Float

ROTARY_BASE = 10_000.0


def rotate(x: Float[Array, "B T H D"], start: int = 0) -> Float[Array, "B T H D"]:
    r"""Turn queries or keys by angles that grow with their position t, from `start` on.

    $(x_i, x_{i + D/2})$ is turned by $t \cdot 10000^{-2i/D}$, so that the inner product of a query
    and a key depends on their contents and their distance only. D must be even.

    Source: Su et al. 2021 (RoFormer), equation 34, coordinates paired in halves.

    >>> right = jnp.array([[1.0, 0.0]] * 3).reshape(1, 3, 1, 2)
    >>> x, y = jax.jit(rotate)(right)[0, :, 0].T
    >>> [f"{angle:.2f}" for angle in jnp.arctan2(y, x)]
    ['0.00', '1.00', '2.00']
    """
    half = x.shape[-1] // 2
    frequency = ROTARY_BASE ** (-jnp.arange(half, dtype=jnp.float32) / half)
    position = start + jnp.arange(x.shape[1], dtype=jnp.float32)
    angle = position[:, None, None] * frequency[None, None]
    cosine, sine = jnp.cos(angle)[None].astype(x.dtype), jnp.sin(angle)[None].astype(x.dtype)
    first, second = x[..., :half], x[..., half:]
    return jnp.concatenate(
        [first * cosine - second * sine, second * cosine + first * sine], axis=-1
    )


def softmax_weights(
    queries: Float[Array, "B T H D"], keys: Float[Array, "B S H D"]
) -> Float[Array, "B H T S"]:
    r"""Return $a_{ts} = \mathrm{softmax}_{s \le t}(q_t \cdot k_s / \sqrt D)$ in float32.

    The T queries are the last of the S positions.

    >>> x = jnp.zeros((1, 3, 1, 2))
    >>> jax.jit(softmax_weights)(x, x)[0, 0].round(2).tolist()[1]
    [0.5, 0.5, 0.0]
    """
    return jax.nn.softmax(jnp.where(_visible(queries, keys), _scores(queries, keys), -jnp.inf))


def linear_weights(
    queries: Float[Array, "B T H D"], keys: Float[Array, "B S H D"]
) -> Float[Array, "B H T S"]:
    r"""Return $a_{ts} = q_t \cdot k_s / (t \sqrt D)$ for $s \le t = 1, 2, \ldots$, in float32.

    The T queries are the last of the S positions. The mean over what is visible stands where theory
    divides by the length of the prompt.

    Source: von Oswald et al. 2023; Zhang, Frei and Bartlett 2024, equation 3.1, made causal.

    >>> x = jnp.ones((1, 3, 1, 4))
    >>> jax.jit(linear_weights)(x, x)[0, 0, 1].tolist()
    [1.0, 1.0, 0.0]
    """
    first = keys.shape[1] - queries.shape[1]
    count = 1 + first + jnp.arange(queries.shape[1], dtype=jnp.float32)[None, None, :, None]
    return jnp.where(_visible(queries, keys), _scores(queries, keys) / count, 0.0)


def _scores(queries: Array, keys: Array) -> Array:
    scores = jnp.einsum("bthd,bshd->bhts", queries, keys, preferred_element_type=jnp.float32)
    return scores / queries.shape[-1] ** 0.5


def _visible(queries: Array, keys: Array) -> Array:
    """Return [1, 1, T, S]: whether position t (row) may look at position s (column)."""
    positions = jnp.arange(keys.shape[1])
    own = positions[keys.shape[1] - queries.shape[1] :]
    return (positions[None, :] <= own[:, None])[None, None]
