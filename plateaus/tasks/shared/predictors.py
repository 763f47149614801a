"""The ideal predictors of in-context linear regression, at every prefix length at once."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plateaus.types import EXACT, Array, Float, Scalar

_LEAST_NOISE = 1e-6  # a smaller sigma reads as this one, so that sigma = 0 stays finite


def ridge(
    x: Float[Array, "n d"], y: Float[Array, " n"], sigma: Scalar, prior_root: Float[Array, "d d"]
) -> Float[Array, " n"]:
    r"""Predict every y_i from the points before it, when w ~ N(0, S S^T) with S = `prior_root`.

    $\hat y_i = x_i^T \mathbb{E}[w \mid X_{<i}, y_{<i}]$; with S = tau I the posterior mean is
    $(X^T X + (\sigma^2 / \tau^2) I)^{-1} X^T y$.

    One pass: each point updates a square root S of the posterior covariance. A square root keeps
    twice the digits: in float32 a Cholesky factor of the points' covariance, or an update of the
    covariance itself, breaks down near sigma = 0.001 tau. It also allows singular priors.

    Args:
      x, y: one prompt; the value at n does not affect any prediction.
      sigma: standard deviation of the noise; 0 is allowed.
      prior_root: any S with S S^T the covariance of w.

    Source: paper 1, section 2.1, equation 3; the square-root update is Potter's (Kaminski, Bryson
    and Schmidt, "Discrete square root filtering", 1971).

    >>> x, y = jnp.ones((3, 1)), jnp.array([3.0, 3.0, 0.0])
    >>> [round(float(p), 4) for p in jax.jit(ridge)(x, y, 1.0, jnp.ones((1, 1)))]
    [0.0, 1.5, 2.0]
    """
    return ridge_evidence(x, y, sigma, prior_root)[0]


def ridge_evidence(
    x: Float[Array, "n d"], y: Float[Array, " n"], sigma: Scalar, prior_root: Float[Array, "d d"]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    r"""Return the predictions of `ridge` and, before each point, how likely the earlier ones were.

    The second result is $\log p(y_{<i} \mid X_{<i}) + (i - 1) \log(\sigma \sqrt{2 \pi})$: on the
    scale on which a task w has $-\sum_{j<i} (y_j - x_j^T w)^2 / 2 \sigma^2$.

    >>> x, y = jnp.ones((2, 1)), jnp.ones(2)
    >>> predictions, log_evidence = jax.jit(ridge_evidence)(x, y, 1.0, jnp.ones((1, 1)))
    >>> [round(float(p), 4) for p in log_evidence]  # -1/4 - log(2) / 2
    [0.0, -0.5966]
    """
    noise = jnp.maximum(sigma, _LEAST_NOISE)

    def step(posterior: tuple[Array, Array, Array], point: tuple[Array, Array]):
        mean, root, log_evidence = posterior
        x_i, y_i = point
        prediction = jnp.dot(mean, x_i, precision=EXACT)
        spread = jnp.dot(x_i, root, precision=EXACT)
        variance = jnp.square(noise) + jnp.dot(spread, spread, precision=EXACT)  # of y_i
        gain = jnp.dot(root, spread, precision=EXACT) / variance
        shrink = gain / (1.0 + noise / jnp.sqrt(variance))
        surprise = jnp.square(y_i - prediction) / variance + jnp.log(variance / jnp.square(noise))
        after = (
            mean + gain * (y_i - prediction),
            root - jnp.outer(shrink, spread),
            log_evidence - 0.5 * surprise,
        )
        return after, (prediction, log_evidence)

    start = (jnp.zeros(x.shape[1], x.dtype), prior_root, jnp.zeros((), x.dtype))
    return jax.lax.scan(step, start, (x, y))[1]


def dmmse(
    x: Float[Array, "n d"],
    y: Float[Array, " n"],
    tasks: Float[Array, "k d"],
    log_weights: Float[Array, " k"],
    sigma: Scalar,
    *,
    rest: tuple[Scalar | Array, Float[Array, "d d"]] | None = None,
    block: int = 64,
) -> Float[Array, " n"]:
    r"""Predict every y_i from the points before it, when w is one of finitely many tasks.

    $\hat y_i = \sum_k p_k x_i^T w_k \, / \sum_k p_k$ with
    $\log p_k = \log \pi_k - \sum_{j<i} (y_j - x_j^T w_k)^2 / 2 \sigma^2$: the posterior mean, in
    the log domain. Tasks stream through a running maximum and running sums, `block` at a time:
    under vmap over B prompts no array is larger than [B, n, block].

    Args:
      x, y: one prompt; the value at n does not affect any prediction.
      tasks: the task vectors w_k, up to a static maximum number.
      log_weights: log pi_k, up to a constant; -inf leaves a task out; at least one is finite.
      sigma: standard deviation of the noise; 0 is allowed.
      rest: (log mass, prior root) of all the tasks that are not in `tasks`, taken together as one
        Gaussian component: exact for none (-inf) and in the limit of infinitely many.
      block: tasks at a time, a static number.

    Source: paper 1, section 4.1, equation 6 (there with equal pi_k).

    >>> x, tasks = jnp.ones((2, 1)), jnp.array([[1.0], [-1.0]])
    >>> predictions = jax.jit(dmmse)(x, jnp.ones(2), tasks, jnp.zeros(2), 1.0)
    >>> [round(float(p), 4) for p in predictions]
    [0.0, 0.7616]
    """
    noise = jnp.maximum(sigma, _LEAST_NOISE)
    block = min(block, tasks.shape[0])
    missing = -tasks.shape[0] % block
    tasks = jnp.pad(tasks, ((0, missing), (0, 0))).reshape(-1, block, tasks.shape[1])
    log_weights = jnp.pad(log_weights, (0, missing), constant_values=-jnp.inf)

    def step(sums: tuple[Array, Array, Array], block_of_tasks: tuple[Array, Array]):
        peak, mass, moment = sums
        w, log_weight = block_of_tasks
        predictions = jnp.einsum("nd,kd->nk", x, w, precision=EXACT)
        surprise = jnp.cumsum(0.5 * jnp.square((y[:, None] - predictions) / noise), axis=0)
        before = jnp.concatenate([jnp.zeros_like(surprise[:1]), surprise[:-1]])
        log_odds = log_weight[None, :] - before
        higher = jnp.maximum(peak, jnp.max(log_odds, axis=1))
        odds, kept = jnp.exp(log_odds - higher[:, None]), jnp.exp(peak - higher)
        mass = kept * mass + jnp.sum(odds, axis=1)
        return (higher, mass, kept * moment + jnp.sum(odds * predictions, axis=1)), None

    # The first peak is finite: -inf would make NaN of a first block that is left out entirely.
    nothing = jnp.zeros_like(y)
    start = (jnp.full_like(y, jnp.finfo(y.dtype).min), nothing, nothing)
    if rest is not None:
        log_mass, prior_root = rest
        predictions, log_evidence = ridge_evidence(x, y, sigma, prior_root)
        any_mass = log_mass > -jnp.inf
        mass = jnp.where(any_mass, 1.0, nothing)
        start = (jnp.where(any_mass, log_mass + log_evidence, start[0]), mass, mass * predictions)
    (_, mass, moment), _ = jax.lax.scan(step, start, (tasks, log_weights.reshape(-1, block)))
    return moment / mass


def log_rest(log_weights: Float[Array, " k"], log_next: Float[Array, ""]) -> Float[Array, ""]:
    """Return the log-probability of all tasks beyond the first k: -inf where task k has none.

    Not simply what is missing to 1, whose rounding would leave a spurious 1e-7.

    >>> float(jax.jit(log_rest)(jnp.log(jnp.array([0.5, 0.5])), jnp.float32(-jnp.inf)))
    -inf
    >>> rest = jax.jit(log_rest)(jnp.log(jnp.array([0.25, 0.5])), jnp.log(0.125))
    >>> round(float(jnp.exp(rest)), 6)
    0.25
    """
    held = jnp.minimum(jnp.exp(jax.nn.logsumexp(log_weights)), 1.0)
    # at least the probability of the next task remains
    remainder = jnp.maximum(jnp.log1p(-jnp.minimum(held, 1.0 - 1e-7)), log_next)
    return jnp.where(log_next > -jnp.inf, remainder, -jnp.inf)
