"""The quadratic programmes behind the aggregators, solved exactly on their active set."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Bool

from plateaus.trees import cosine
from plateaus.types import Array, Float

SLACK = 1e-6  # relative, what counts as negative in float32
PATIENCE = 3  # exchanges that bring no fewer
PROXIMAL = 3e-5  # enough for float32 to factorise a matrix of cosines
STEPS = 8  # at a condition number of 10,000, 1e-4 of it is left


def nonnegative(
    q: Float[Array, "B B"], b: Float[Array, " B"], support: Bool[Array, " B"]
) -> tuple[Float[Array, " B"], Bool[Array, " B"]]:
    r"""Return $\arg\min_{z \ge 0} \tfrac12 z^\top Q z - b^\top z$, and where z > 0.

    First block principal pivoting: solve on the guessed support, exchange every variable of the
    wrong sign at once, as long as that goes on bringing fewer. Where it does not (many more
    gradients than dimensions), the method of Lawson and Hanson takes over, which goes downhill one
    variable at a time and stops where rounding stops it.
    A projected gradient (`optax.nnls`) is 5e-4 off after 2,000 steps where Q is near singular;
    this takes a handful of solves for 5e-5.

    Args:
      q: positive definite, of diagonal about 1, and its least eigenvalue above 1e-5.
      b: of any scale.
      support: where to start.

    Source: Portugal, Júdice and Vicente 1994; Lawson and Hanson 1974, chapter 23.

    >>> solve = jax.jit(nonnegative)
    >>> solve(jnp.eye(2), jnp.array([3.0, -1.0]), jnp.array([False, False]))[0].tolist()
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
        support, z, slope, _, patience = carry
        return jnp.any(wrong(support, z, slope)) & (patience > 0)

    def exchange(carry):
        support, z, slope, fewest, patience = carry
        out = wrong(support, z, slope)
        count = jnp.sum(out)
        patience = jnp.where(count < fewest, PATIENCE, patience - 1)
        support = support ^ out
        return support, *solve(support), jnp.minimum(fewest, count), patience

    counters = (jnp.int32(len(b) + 1), jnp.int32(PATIENCE))
    support, z, slope, *_ = jax.lax.while_loop(
        unsolved, exchange, (support, *solve(support), *counters)
    )
    solved = ~jnp.any(wrong(support, z, slope))
    z = jnp.maximum(z, 0)

    def descend(carry):
        z, support, _, rounds = carry
        best, slope = solve(support)
        blocking = support & (best <= 0)
        reach = jnp.where(blocking, z / jnp.where(blocking, z - best, 1), 1)
        reach = jnp.where(blocking & (z == 0), 0, reach)
        step = jnp.min(reach)
        z = jnp.where(support, z + step * (best - z), 0)
        blocked = jnp.any(blocking)
        steepest = numbers == jnp.argmin(jnp.where(support, jnp.inf, slope))
        down = steepest & wrong(support, best, slope)
        # a new variable that at once wants to be negative: only rounding is left
        done = jnp.where(blocked, step == 0, ~jnp.any(down))
        kept = support & ~(blocking & (reach <= step))
        z = jnp.where(blocked & ~kept, 0, z)
        return z, jnp.where(blocked, kept, support | down), done, rounds + 1

    z, support, *_ = jax.lax.while_loop(
        lambda carry: ~carry[2] & (carry[3] < 4 * len(b)),
        descend,
        (z, z > 0, solved, jnp.int32(0)),
    )
    return z, support


def shortest(gram: Float[Array, "B B"]) -> Float[Array, " B"]:
    r"""Return the weights of the shortest convex combination.

    $$w = \arg\min_{w \ge 0, \, 1^\top w = 1} w^\top G w$$
    The constraint on the sum only sets the scale: w is z / sum z, with z the least of
    $\tfrac12 z^\top G z - 1^\top z$ over z >= 0. That grows without end where 0 is in the convex
    hull; proximal steps $+ \tfrac{\epsilon}{2} \lVert z - z_k \rVert^2$ go there step by step, and
    elsewhere end at the solution, with no ridge left in it. Zero gradients share all the weight.

    Source: Rockafellar 1976 for the proximal steps.

    >>> jax.jit(shortest)(jnp.array([[1.0, 0.0], [0.0, 3.0]])).tolist()
    [0.75, 0.25]
    """
    lengths = jnp.sqrt(jnp.diagonal(gram))
    zero = lengths == 0
    inverse = jnp.min(jnp.where(zero, jnp.inf, lengths)) / jnp.where(zero, jnp.inf, lengths)
    q = cosine(gram) + PROXIMAL * jnp.eye(len(gram), dtype=gram.dtype)

    def nearer(carry, _):
        z, support = carry
        return nonnegative(q, inverse + PROXIMAL * z, support), None

    first = (jnp.zeros_like(lengths), zero)
    z = inverse * jax.lax.scan(nearer, first, length=STEPS)[0][0]
    z = jnp.where(jnp.any(zero), zero.astype(gram.dtype), z)
    return z / jnp.sum(z)


def per_trace(gram: Float[Array, "B B"]) -> Float[Array, "B B"]:
    """Return the Gram matrix of trace 1; zero where all gradients are zero.

    >>> jax.jit(per_trace)(jnp.array([[3.0, 0.0], [0.0, 1.0]])).tolist()
    [[0.75, 0.0], [0.0, 0.25]]
    """
    trace = jnp.trace(gram)
    return gram / jnp.where(trace > 0, trace, 1)
