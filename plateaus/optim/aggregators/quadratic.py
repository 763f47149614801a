"""The quadratic programmes behind the aggregators, solved exactly on their active set."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

from plateaus.types import Array, Float

ROUNDS = 200  # seen: up to 30; a bound for what rounding might make cycle
SLACK = 1e-6  # relative, what counts as negative in float32
PATIENCE = 3


def nonnegative(q: Float[Array, "B B"], b: Float[Array, " B"]) -> Float[Array, " B"]:
    r"""Return $\arg\min_{z \ge 0} \tfrac12 z^\top Q z - b^\top z$ for a positive definite Q.

    Block principal pivoting: solve on the guessed support, exchange every variable of the wrong
    sign at once, and only the last one of them while that brings no fewer (a rule that ends).
    A projected gradient (`optax.nnls`) needs thousands of steps for 1e-3 where Q is near singular;
    this takes a handful of solves for 1e-5.

    Source: Portugal, Júdice and Vicente 1994; Kim and Park 2011, algorithm 2.

    >>> nonnegative(jnp.eye(2), jnp.array([3.0, -1.0])).tolist()
    [3.0, 0.0]
    """
    numbers = jnp.arange(len(b))

    def solve(support):
        both = support[:, None] & support[None, :]
        factor = cho_factor(jnp.where(both, q, jnp.eye(len(b), dtype=q.dtype)))
        z = cho_solve(factor, jnp.where(support, b, 0))
        z = z + cho_solve(factor, jnp.where(support, b - q @ z, 0))  # refined: Q may be stiff
        z = jnp.where(support, z, 0)
        return z, q @ z - b

    def wrong(support, z, slope):
        low = jnp.where(support, z, slope)
        scale = jnp.where(support, jnp.max(jnp.abs(z)), jnp.max(jnp.abs(b)))
        return low < -SLACK * scale

    def unsolved(carry):
        support, z, slope, _, _, rounds = carry
        return jnp.any(wrong(support, z, slope)) & (rounds < ROUNDS)

    def exchange(carry):
        support, z, slope, fewest, patience, rounds = carry
        out = wrong(support, z, slope)
        count = jnp.sum(out)
        patience = jnp.where(count < fewest, PATIENCE, patience - 1)
        last = numbers == jnp.max(jnp.where(out, numbers, -1))
        support = support ^ jnp.where(patience >= 0, out, last)
        fewest = jnp.minimum(fewest, count)
        return support, *solve(support), fewest, jnp.maximum(patience, -1), rounds + 1

    nothing = (numbers < 0, jnp.zeros_like(b), -b)
    counters = (jnp.int32(len(b) + 1), jnp.int32(PATIENCE), jnp.int32(0))
    z = jax.lax.while_loop(unsolved, exchange, (*nothing, *counters))[1]
    return jnp.maximum(z, 0)


def shortest(gram: Float[Array, "B B"]) -> Float[Array, " B"]:
    r"""Return the weights of the shortest convex combination.

    $$w = \arg\min_{w \ge 0, \, 1^\top w = 1} w^\top G w$$

    The sum is no constraint but a penalty, $(1^\top z - 1)^2$, which leaves the direction of z as
    it is: then w = z / sum z. Uniform where all gradients are zero.

    Source: Haskell and Hanson 1981 for the penalty.

    >>> shortest(jnp.array([[1.0, 0.0], [0.0, 3.0]])).tolist()
    [0.75, 0.25]
    """
    unit = per_trace(gram) * len(gram)
    ridge = 1e-7 * len(gram) * jnp.eye(len(gram), dtype=gram.dtype)  # for factorising, no more
    z = nonnegative(unit + 1 + ridge, jnp.ones(len(gram), gram.dtype))
    return z / jnp.sum(z)


def per_trace(gram: Float[Array, "B B"]) -> Float[Array, "B B"]:
    """Return the Gram matrix of trace 1; zero where all gradients are zero.

    >>> per_trace(jnp.diag(jnp.array([3.0, 1.0]))).tolist()
    [[0.75, 0.0], [0.0, 0.25]]
    """
    trace = jnp.trace(gram)
    return gram / jnp.where(trace > 0, trace, 1)
