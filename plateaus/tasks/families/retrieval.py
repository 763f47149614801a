"""Key-value retrieval: the value of a key that has been seen before. A control for paper 2."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from plateaus.tasks.families.family import LOGIT, Family, Sizes, require
from plateaus.tasks.families.inputs import signs
from plateaus.tasks.families.linear import zeros
from plateaus.types import Array, Float, Key


def _mixed(words: Array) -> Array:
    """Scramble 32-bit words one to one: every bit of the result depends on all bits of a word."""
    words = (words ^ (words >> 16)) * jnp.uint32(0x7FEB352D)
    words = (words ^ (words >> 15)) * jnp.uint32(0x846CA68B)
    return words ^ (words >> 16)


def fingerprints(x: Float[Array, "n d"]) -> Array:
    """Return a uint32 for each point, the same for equal points only (but for 1 pair in 2^32).

    >>> a, b, c = jax.jit(fingerprints)(jnp.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0]])).tolist()
    >>> a == b, a == c
    (False, True)
    """
    words = jax.lax.bitcast_convert_type(x + 0.0, jnp.uint32)  # + 0: -0 is 0
    place = jnp.arange(1, x.shape[1] + 1, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)
    return _mixed(jnp.sum(_mixed(_mixed(words) ^ place[None, :]), axis=1, dtype=jnp.uint32))


def repeats(key: Key, points: int) -> Array:
    """Return which fresh point each point repeats: itself, or a uniform one of them.

    Fresh are the first ceil(n/2).

    >>> jax.jit(repeats, static_argnums=1)(jax.random.key(0), 6).tolist()[:3]
    [0, 1, 2]
    """
    fresh = (points + 1) // 2
    again = jax.random.randint(key, (points - fresh,), 0, fresh)
    return jnp.concatenate([jnp.arange(fresh), again])


def look_up(x: Float[Array, "n d"], y: Float[Array, " n"]) -> Float[Array, " n"]:
    """Return the value of each point's key at its first earlier point; 0 if there is none.

    >>> points, values = jnp.array([[1.0], [2.0], [1.0]]), jnp.array([5.0, 6.0, 5.0])
    >>> jax.jit(look_up)(points, values).tolist()
    [0.0, 0.0, 5.0]
    """
    n = x.shape[0]
    same = jnp.all(x[:, None, :] == x[None, :, :], axis=-1)
    earlier = same & (jnp.arange(n)[:, None] > jnp.arange(n)[None, :])
    seen = jnp.any(earlier, axis=1).astype(y.dtype)
    return y[jnp.argmax(earlier, axis=1)] * seen


def retrieval(boolean: bool, sizes: Sizes) -> Family:
    """y is the random value of the key x: N(0, 1) with keys N(0, I), or a sign with keys of signs.

    `inputs` makes the first ceil(n/2) keys of z, and every later one a repeat of a uniform one of
    those; n is that of z. theta is a random key, and f_theta(x) a draw of its own for each x, from
    theta folded with the fingerprint of x: a table with a row for every x there is, so that equal
    keys have equal values without `values` knowing about the repeats.
    In context: look-up, else 0. Boolean keys may also coincide by chance: their values agree.

    Source: paper 2, its negative control "retrieval"; the details are ours.

    >>> family = retrieval(False, Sizes(dimension=2, points=4))
    >>> z = jax.random.normal(jax.random.key(1), (4, 2))
    >>> x = jax.jit(family.inputs)(jax.random.key(0), (), z)
    >>> bool(jnp.all(x[3] == x[0]) | jnp.all(x[3] == x[1]))
    True
    """
    require(sizes.points >= 2, "points", sizes.points, "must be at least 2 for a key to repeat")

    def parameters(key):
        return jax.random.split(key, 1)[0]

    def signal(theta, x):
        rows = jax.vmap(jax.random.fold_in, (None, 0))(theta, fingerprints(x))
        values = jax.vmap(jax.random.normal)(rows)
        return signs(values[:, None])[:, 0] if boolean else values

    def inputs(key, world, z):
        keys = signs(z) if boolean else z
        return keys[repeats(key, z.shape[0])]

    def in_context(x, y):
        value = look_up(x, y)
        return LOGIT * value if boolean else value

    return Family(
        parameters=parameters,
        signal=signal,
        inputs=inputs,
        no_context=zeros,
        no_context_loss=math.log(2) if boolean else 1.0,
        no_context_accuracy=0.5 if boolean else None,
        boolean=boolean,
        in_context=in_context,
        learned_below=0.05 if boolean else 0.1,
    )
