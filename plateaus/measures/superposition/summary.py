"""Whether prompts of several tasks are answered by several at once, or by one at a time.

Of N prompts, `log_p` [N, K] holds the log-probabilities of the K answers (different outputs, each
the product over its tokens) and `order` [N, m] of int which of the K tasks each example is of.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plateaus.types import Array, Float, Int

BINS = 20  # of a histogram of probabilities
SAME = 1e-4  # nats: closer log-probabilities are equal, up to rounding


def shares(order: Int[Array, "N m"], tasks: int) -> Float[Array, "N K"]:
    """Return D, the share of each of the K tasks among a prompt's examples.

    >>> shares(jnp.array([[0, 1, 1, 1]]), 2).tolist()
    [[0.25, 0.75]]
    """
    return jnp.mean(jax.nn.one_hot(order, tasks), axis=1)


def entropy(log_p: Float[Array, "*n K"]) -> Float[Array, "*n"]:
    r"""Return $-\sum_k P_k \log P_k - R \log R$ in nats, R the rest: all other outputs as one.

    >>> float(jax.jit(entropy)(jnp.log(jnp.array([0.5, 0.25])))) / float(jnp.log(2))
    1.5
    """
    p = jnp.exp(log_p)
    rest = jnp.clip(1 - jnp.sum(p, axis=-1), 0.0, 1.0)
    return -jnp.sum(jax.scipy.special.xlogy(p, p), axis=-1) - jax.scipy.special.xlogy(rest, rest)


def saturation(log_p: Float[Array, "N K"]) -> Float[Array, " K"]:
    r"""Return $\mathrm{var}(P_k) / (\bar P_k (1 - \bar P_k))$ over prompts: 1 if every P is 0 or 1.

    0 if it is the same in all prompts; NaN where the mean is 0 or 1. A mean near the share of task
    k with a saturation near 1 is switching between tasks, not superposition.

    Source: paper 5, released results, digest.

    >>> jax.jit(saturation)(jnp.log(jnp.array([[1.0, 0.4], [0.0, 0.4]]))).tolist()
    [1.0, 0.0]
    """
    p = jnp.exp(log_p)
    mean = jnp.mean(p, axis=0)
    room = mean * (1 - mean)
    varies = room > 1e-12
    variance = jnp.mean(jnp.square(p - mean[None, :]), axis=0)
    return jnp.where(varies, variance / jnp.where(varies, room, 1.0), jnp.nan)


def divergence(log_p: Float[Array, "N K"], share: Float[Array, "N K"]) -> Float[Array, " N"]:
    r"""Return $\sum_k D_k \log (D_k / P_k)$ in nats, P not renormalised.

    Source: paper 5, calibration.

    >>> log_p, share = jnp.log(jnp.array([[0.5, 0.25]])), jnp.array([[1.0, 0.0]])
    >>> round(float(jax.jit(divergence)(log_p, share)[0]), 4)
    0.6931
    """
    terms = jax.scipy.special.xlogy(share, share) - jnp.where(share > 0, share * log_p, 0.0)
    return jnp.sum(terms, axis=-1)


def completed(log_p: Float[Array, "N K"], outputs: Float[Array, "N W"]) -> Float[Array, " N"]:
    """Return how many of the K answers are among the K most probable outputs.

    `outputs`: log-probabilities of the most probable outputs, at least K, answers among them.

    Source: paper 5, tasks completed.

    >>> log = lambda *p: jnp.log(jnp.array([p]))
    >>> jax.jit(completed)(log(0.5, 0.1), log(0.5, 0.3, 0.1)).tolist()
    [1.0]
    """
    better = jnp.sum(outputs[:, None, :] > log_p[:, :, None] + SAME, axis=-1)
    return jnp.sum((better < log_p.shape[-1]).astype(jnp.float32), axis=-1)


def recency(
    log_p: Float[Array, "N K"], order: Int[Array, "N m"], back: int
) -> tuple[Float[Array, "J K"], Float[Array, "J K"]]:
    """Return the means of P_k where the example j back is of task k, and where it is of another.

    j = 1 (the last example) .. `back`; NaN where no prompt is of that kind.

    Source: paper 5, digest.

    >>> log_p, order = jnp.log(jnp.array([[0.9], [0.1]])), jnp.array([[1, 0], [0, 1]])
    >>> same, other = jax.jit(recency, static_argnums=2)(log_p, order, 2)
    >>> (100 * same[:, 0]).round().tolist(), (100 * other[:, 0]).round().tolist()
    ([90.0, 10.0], [10.0, 90.0])
    """
    last = order[:, ::-1][:, :back]
    same = last[:, :, None] == jnp.arange(log_p.shape[-1])[None, None, :]  # [N, J, K]
    p = jnp.broadcast_to(jnp.exp(log_p)[:, None, :], same.shape)
    return jnp.mean(p, axis=0, where=same), jnp.mean(p, axis=0, where=~same)


def histogram(log_p: Float[Array, "N K"]) -> Float[Array, "K bins"]:
    """Return the share of prompts whose P_k is in each of `BINS` equal parts of [0, 1].

    >>> jax.jit(histogram)(jnp.log(jnp.array([[1.0], [0.0]])))[0].tolist()[:: BINS - 1]
    [0.5, 0.5]
    """
    place = jnp.clip((jnp.exp(log_p) * BINS).astype(jnp.int32), 0, BINS - 1)
    return jnp.mean(jax.nn.one_hot(place, BINS), axis=0)


def summary(
    log_p: Float[Array, "N K"],
    order: Int[Array, "N m"],
    outputs: Float[Array, "N W"],
    back: int,
) -> dict[str, Array]:
    """Return all that is reported of N prompts: measured on each, then averaged.

    Names begin with "mixed_": probability, share, saturation [K]; entropy and entropy_of_mean (of
    the mean distribution: what is left between them is switching), kl, completed; recency_same,
    recency_other [J, K]; histogram [K, bins].
    """
    share = shares(order, log_p.shape[-1])
    same, other = recency(log_p, order, back)
    mean = jax.nn.logsumexp(log_p, axis=0) - jnp.log(log_p.shape[0])
    measures = {
        "probability": jnp.exp(mean),
        "share": jnp.mean(share, axis=0),
        "saturation": saturation(log_p),
        "entropy": jnp.mean(entropy(log_p)),
        "entropy_of_mean": entropy(mean),
        "kl": jnp.mean(divergence(log_p, share)),
        "completed": jnp.mean(completed(log_p, outputs)),
        "recency_same": same,
        "recency_other": other,
        "histogram": histogram(log_p),
    }
    return {f"mixed_{name}": value for name, value in measures.items()}
