"""Exact Bayes over finitely many boolean functions, without noise, at every prefix at once."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from plateaus.tasks.families.family import LOGIT
from plateaus.types import EXACT, Array, Float


def bayes_logits(
    x: Float[Array, "n d"],
    y: Float[Array, " n"],
    thetas: Float[Array, "k d"],
    log_prior: Float[Array, " k"],
    rule: Callable[..., Array],
    block: int = 512,
) -> Float[Array, " n"]:
    r"""Return the logit of P(y_i = +1 | x_i, the points before it), clipped at +-`LOGIT`.

    $P \propto \sum_k \pi_k [f_k(x_j) = y_j \forall j < i] [f_k(x_i) = +1]$ for
    $f_k(x)$ = rule(theta_k.x, |theta_k|_1). Functions stream through, `block` at a time: under vmap
    over B prompts no array is larger than [B, n, block]. Where none agrees with what came before,
    the logit is 0.

    Args:
      x, y: one prompt of signs; the value at n does not affect any prediction.
      log_prior: log pi_k, up to a constant.

    >>> x, thetas = jnp.array([[1.0, -1.0]] * 2), jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> predict = lambda x, y: bayes_logits(x, y, thetas, jnp.zeros(2), lambda s, size: s)
    >>> [float(v) for v in jax.jit(predict)(x, jnp.ones(2))]
    [0.0, 20.0]
    """
    block = min(block, thetas.shape[0])
    missing = -thetas.shape[0] % block
    thetas = jnp.pad(thetas, ((0, missing), (0, 0))).reshape(-1, block, thetas.shape[1])
    log_prior = jnp.pad(log_prior, (0, missing), constant_values=-jnp.inf).reshape(-1, block)

    def step(odds: tuple[Array, Array], block: tuple[Array, Array]):
        theta, log_weight = block
        labels = rule(
            jnp.einsum("nd,kd->nk", x, theta, precision=EXACT),
            jnp.sum(jnp.abs(theta), axis=1)[None, :],
        )
        wrong = jnp.cumsum((labels != y[:, None]).astype(jnp.int32), axis=0)
        before = jnp.concatenate([jnp.zeros_like(wrong[:1]), wrong[:-1]])
        alive = jnp.where(before == 0, log_weight[None, :], -jnp.inf)
        plus, minus = (
            jax.nn.logsumexp(jnp.where(labels * sign > 0, alive, -jnp.inf), axis=1)
            for sign in (1, -1)
        )
        return (jnp.logaddexp(odds[0], plus), jnp.logaddexp(odds[1], minus)), None

    nothing = jnp.full_like(y, -jnp.inf)
    (plus, minus), _ = jax.lax.scan(step, (nothing, nothing), (thetas, log_prior))
    none_left = jnp.maximum(plus, minus) == -jnp.inf
    # 0 in place of -inf on both sides: their difference would be NaN
    logit = jnp.where(none_left, 0.0, plus) - jnp.where(none_left, 0.0, minus)
    return jnp.clip(logit, -LOGIT, LOGIT)
