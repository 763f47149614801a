"""Fair bargains between the gradients: Nash-MTL and FairGrad."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

from plateaus.optim.aggregators.guard import stateless
from plateaus.types import Aggregator, Array, Float, Scalar

ROUNDS = 100  # seen: up to 20
RIDGE = 1e-7  # relative to each gradient's square
STIFF = 1e-5  # for factorising, no more: steps are a little shorter, where they end is the same
CONVERGED = 1e-6


def nash_mtl(max_norm: Scalar = 1.0) -> Aggregator:
    r"""Give every gradient the same say, $w_b \, (g_b \cdot d) = $ const, d being the result.

    With the Frobenius norm: $(G / \lVert G \rVert) w = 1 / w$ elementwise, w > 0; then, if
    $\lVert d \rVert$ is above `max_norm`, d is scaled down to it.
    Neither a sum nor a mean: before the clipping $\lVert d \rVert^2 = B \lVert G \rVert$, so after
    it the length is nearly always `max_norm`; it stands under "sum". Before the clipping weights do
    not change with the gradients' common scale. It conflicts with no gradient. Neutral: none.

    Where 0 is in the gradients' convex hull there is no such w; what comes out is then short.

    Args:
      max_norm: the greatest length of the result; 0 is none. May be traced.

    Source: Navon et al. 2022 (arXiv 2202.01017), claim 3.1 and algorithm 1; scaling and clipping
    as in its code and in TorchJD's NashMTL. Solved by Newton's method;
    TorchJD's solver may give up, without a word, where lengths differ tenfold or more.

    >>> weights, _ = jax.jit(nash_mtl(max_norm=2.0).update)(4 * jnp.eye(2), ())
    >>> [round(float(w), 3) for w in weights]  # the result has length 2
    [0.707, 0.707]
    """

    def weigh(gram):
        frobenius = jnp.linalg.norm(gram)
        weights = bargain(gram / jnp.where(frobenius > 0, frobenius, 1), jnp.float32(1))
        length = jnp.sqrt(jnp.maximum(weights @ gram @ weights, 0))
        clip = (max_norm > 0) & (length > max_norm)
        return weights * jnp.where(clip, max_norm / jnp.where(clip, length, 1), 1)

    return stateless(weigh)


def fairgrad(alpha: Scalar = 1.0) -> Aggregator:
    r"""Share the utilities $g_b \cdot d$ in the sense of alpha-fairness.

    With d the result: $w > 0$ and $G w = w^{-1/\alpha}$ elementwise; 1 is proportional fairness
    (Nash's bargain), larger is nearer to max-min fairness.
    A *sum* at gradients of length 1; at lengths c the weights are $c^{-2 \alpha / (\alpha + 1)}$
    times as large: its own scale. It conflicts with no gradient.
    Neutral at alpha = 0: the mean, bit for bit.

    Where 0 is in the gradients' convex hull there is no such w; what comes out is then short.

    Args:
      alpha: the fairness, 0 or from 0.1; may be traced.

    Source: Ban and Ji 2024 (arXiv 2402.15638), equation 4 and algorithm 1, as TorchJD's FairGrad
    (whose alpha has no default); solved by Newton's method instead of bounded least squares.

    >>> gram = jnp.array([[4.0, 0.0], [0.0, 1.0]])
    >>> jax.jit(fairgrad(alpha=1.0).update)(gram, ())[0].round(3).tolist()
    [0.5, 1.0]
    """

    def weigh(gram):
        size = len(gram)
        power = 1 / jnp.where(alpha == 0, jnp.float32(1), alpha)
        square = jnp.trace(gram) / size
        square = jnp.where(square > 0, square, 1)
        weights = bargain(gram / square, power) * square ** (-1 / (1 + power))
        return jnp.where(alpha == 0, 1 / size, weights)

    return stateless(weigh)


def bargain(gram: Float[Array, "B B"], power: Scalar) -> Float[Array, " B"]:
    r"""Return the $w > 0$ with $G w = w^{-p}$ elementwise.

    It is where $\tfrac12 w^\top G w - \sum_b \int w_b^{-p}$ is least, which is strictly convex:
    damped Newton steps from the solution for orthogonal gradients, short enough to stay positive.
    A zero gradient gets the weight that it would have alone, at length 1.

    Source: Nesterov 2004, section 4.1.5 for the damping (exact at p = 1).

    >>> jax.jit(bargain)(jnp.array([[4.0, 0.0], [0.0, 1.0]]), 1.0).round(3).tolist()
    [0.5, 1.0]
    """
    squares = jnp.diagonal(gram)
    gram = gram + jnp.diag(jnp.where(squares > 0, RIDGE * squares, 1))
    squares = jnp.diagonal(gram)

    def unsolved(carry):
        _, change, rounds = carry
        return (change > CONVERGED) & (rounds < ROUNDS)

    def newton(carry):
        w, _, rounds = carry
        slope = gram @ w - w**-power
        curvature = gram + jnp.diag(power * w ** (-power - 1))
        scale = jax.lax.rsqrt(jnp.diagonal(curvature))  # to 1 on the diagonal: lengths may differ
        even = curvature * scale[:, None] * scale[None, :]
        factor = cho_factor(even + STIFF * jnp.eye(len(gram), dtype=gram.dtype))
        step = -scale * cho_solve(factor, scale * slope)
        change = jnp.max(jnp.abs(step) / w)
        damping = 1 / (1 + jnp.maximum((power + 1) / 2, 1) * change)
        return w + jnp.where(change < 0.25, 1, damping) * step, change, rounds + 1

    first = (squares ** (-1 / (1 + power)), jnp.float32(jnp.inf), jnp.int32(0))
    return jax.lax.while_loop(unsolved, newton, first)[0]
