"""What the compiler must not fuse with what reads it."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from plateaus.values import Array, PyTree


def apart(function: Callable[..., PyTree], *given: Array) -> PyTree:
    """Return function(*given), on a CPU computed once and apart from what reads it.

    XLA fuses cheap operations with their readers, however many there are of them: a word that is
    read bit by bit would be computed anew for each bit. A barrier is gone before it fuses; a loop
    of one pass, of which it cannot tell that it is one, stays. Nothing is differentiated through
    it.

    >>> jax.jit(lambda x: apart(jnp.square, x))(3)
    Array(9, dtype=int32, weak_type=True)
    """

    def loop(*given: Array) -> PyTree:
        shapes = jax.eval_shape(function, *given)
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        once = jax.lax.optimization_barrier(jnp.int32(1))
        return jax.lax.fori_loop(0, once, lambda number, value: function(*given), nothing)

    return jax.lax.platform_dependent(*given, cpu=loop, default=function)
