"""Schedule-free training: the parameters are the average of an iterate that keeps moving."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from plateaus.types import Array, PyTree, Scalar


class ScheduleFreeState(NamedTuple):
    """The iterate z, how many updates there have been, and the sum of their weights."""

    count: Array  # type: ignore[assignment] # shadowing tuple.count, as optax does
    total: Array
    iterate: PyTree  # z, like the parameters
    optimiser: PyTree


def schedule_free(
    optimiser: optax.GradientTransformation, beta: Scalar, warmup_steps: Scalar = 0
) -> optax.GradientTransformationExtraArgs:
    r"""Move z by an optimiser, from gradients at y, and make the parameters x the average of z.

    $y_t = (1 - \beta) z_t + \beta x_t$, $z_{t+1} = z_t + u(\nabla f(y_t))$ and
    $x_{t+1} = (1 - c_t) x_t + c_t z_{t+1}$, with $c_t = w_t / \sum_{s \leq t} w_s$ and
    $w_t = \min(1, (t + 1) / W)^2$: equal weights, less in a warm-up of W steps. The parameters are
    x: evaluation and kept weights need to know nothing of y. `update` needs `grad_fn`:
    (params, number of the inner step) -> gradients of the same batch. It is called at y; gradients
    that are passed in, at x, are not used. Put it around everything, and momentum nowhere.
    beta and W may be traced.

    Args:
      optimiser: u, without momentum; it is given y for its parameters.
      beta: how near to x the gradients are taken, in [0, 1); 0: at z (averaging alone).
      warmup_steps: W, the length of the warm-up that `optimiser` has.

    Raises ValueError where `update` is given no parameters or no `grad_fn`.

    Source: Defazio et al. 2024, arXiv 2405.15682, equations 3 to 5 and algorithm 1; optax's
    `contrib.schedule_free`, which holds y, and computes x from y and z where it is evaluated.

    >>> optimiser = schedule_free(optax.sgd(0.25), beta=0.5)
    >>> x, gradient = jnp.float32(8.0), lambda p, number: 2 * p  # of p^2
    >>> update, state = jax.jit(optimiser.update, static_argnames="grad_fn"), optimiser.init(x)
    >>> for _ in range(2):
    ...     updates, state = update(x, state, x, grad_fn=gradient)
    ...     x = x + updates
    >>> float(state.iterate), float(x)  # z: 8, 4, 2; x: the mean of 4 and 2
    (2.0, 3.0)
    """
    inner = optax.with_extra_args_support(optimiser)

    def init(params):
        fast = jax.tree.map(jnp.copy, params)  # an array of its own, as programs donate the state
        return ScheduleFreeState(jnp.int32(0), jnp.float32(0), fast, inner.init(params))

    def update(updates, state, params=None, *, grad_fn=None, **extra):
        del updates
        if params is None or grad_fn is None:
            raise ValueError(
                "schedule-free training needs the parameters and their gradient function: "
                "update(gradients, state, params, grad_fn=...)"
            )
        point = _between(state.iterate, params, beta)
        step, inner_state = inner.update(
            grad_fn(point, 0), state.optimiser, point, grad_fn=grad_fn, **extra
        )
        fast = optax.apply_updates(state.iterate, step)
        weight = jnp.minimum(1.0, (state.count + 1) / jnp.maximum(warmup_steps, 1)) ** 2
        total = state.total + weight
        share = weight / total
        change = jax.tree.map(lambda x, z: (share * (z - x)).astype(x.dtype), params, fast)
        return change, ScheduleFreeState(state.count + 1, total, fast, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def _between(iterate: PyTree, params: PyTree, beta: Scalar) -> PyTree:
    """Return y, where gradients are taken: the share beta of the way from z to x."""
    return jax.tree.map(lambda z, x: ((1 - beta) * z + beta * x).astype(x.dtype), iterate, params)
