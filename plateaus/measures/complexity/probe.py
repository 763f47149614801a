r"""The local learning coefficient of a loss, by stochastic gradient Langevin dynamics.

How fast the volume of weights with a loss below $L(w^*) + \epsilon$ vanishes, $\epsilon^\lambda$:
half the number of directions where each is a parabola, less where some are flatter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from plateaus.types import Array, Float, Key, PyTree


class Chains(NamedTuple):
    r"""How the weights about $w^*$ are drawn.

    Fields:
      chains: independent chains, all from $w^*$.
      burn_in: steps of a chain whose losses are left out.
      draws: steps whose losses are averaged.
      step_size: $\epsilon$ of the dynamics.
      localisation: $\gamma$, the strength of the spring to $w^*$.
    """

    chains: int
    burn_in: int
    draws: int
    step_size: float
    localisation: float


def inverse_temperature(examples: int) -> float:
    r"""Return $n \beta = n / \log n$ of so many examples, at which the estimate is unbiased.

    To leading order in n. Source: Watanabe 2013 (WBIC).

    >>> round(inverse_temperature(100), 2)
    21.71
    """
    return examples / math.log(examples)


def langevin_step(
    weights: Float[Array, " p"],
    centre: Float[Array, " p"],
    gradient: Float[Array, " p"],
    noise: Float[Array, " p"],
    n_beta: float,
    how: Chains,
) -> Float[Array, " p"]:
    r"""Return the weights after a step of stochastic gradient Langevin dynamics.

    $w' = w - \frac\epsilon2 (n \beta \nabla L(w) + \gamma (w - w^*)) + \sqrt\epsilon\, \xi$,
    `noise` being $\xi \sim N(0, 1)$.

    Source: Welling and Teh 2011; with the spring: Lau et al. 2023 (arXiv 2308.12108), section 4.

    >>> how = Chains(1, 0, 1, step_size=0.25, localisation=2.0)
    >>> one = jnp.ones(1)
    >>> float(langevin_step(2 * one, one, 3 * one, one, 4.0, how)[0])  # 2 - (12 + 2) / 8 + 1 / 2
    0.75
    """
    pull = n_beta * gradient + how.localisation * (weights - centre)
    return weights - how.step_size / 2 * pull + math.sqrt(how.step_size) * noise


def of_batches(
    key: Key,
    loss: Callable[[PyTree, PyTree], Array],
    params: PyTree,
    many: PyTree,
    n_beta: float,
    how: Chains,
) -> dict[str, Float[Array, ""]]:
    r"""Return the local learning coefficient of the mean loss over N batches at the parameters.

    $\hat\lambda = n \beta\, (E[L_b(w)] - E[L_b(w^*)])$, w being the draws of all chains. `many` has
    an axis N on every leaf; step t of a chain takes its gradient on batch t mod N, and its loss
    there is compared with that of $w^*$ on the same batch, so that the noise of batches cancels.
    `llc` is the mean over chains, `llc_spread` their standard deviation (0 of one chain).

    Where $w^*$ is no minimum the estimate is still the rise of the loss about it, and may be
    negative: the weights then run down a slope. It is biased down by a strong spring.

    Source: Lau et al. 2023 (arXiv 2308.12108), equation 8 and algorithm 1.

    >>> def parabola(w, x):
    ...     return x * jnp.sum(w**2)
    >>> how = Chains(chains=2, burn_in=50, draws=8000, step_size=1e-3, localisation=0.0)
    >>> run = jax.jit(lambda key, x: of_batches(key, parabola, jnp.zeros(4), x, 100.0, how))
    >>> found = run(jax.random.key(0), jnp.ones(1))
    >>> abs(float(found["llc"]) - 4 / 2 / 0.95) < 0.2  # 4 / 2, but for the length of the steps
    True
    """
    centre, unravel = ravel_pytree(params)
    batches = jax.tree.leaves(many)[0].shape[0]
    value_and_gradient = jax.value_and_grad(lambda w, batch: loss(unravel(w), batch))

    def batch_of(number: Array) -> PyTree:
        return jax.tree.map(lambda x: x[number], many)

    at_centre = jax.lax.map(lambda batch: loss(params, batch), many)

    def step(carry: tuple[Array, Key], t: Array) -> tuple[tuple[Array, Key], Array]:
        weights, key = carry
        value, gradient = value_and_gradient(weights, batch_of(t % batches))
        noise = jax.random.normal(jax.random.fold_in(key, t), centre.shape, centre.dtype)
        weights = langevin_step(weights, centre, gradient, noise, n_beta, how)
        return (weights, key), value - at_centre[t % batches]

    def chain(key: Key) -> Array:
        _, rises = jax.lax.scan(step, (centre, key), jnp.arange(how.burn_in + how.draws))
        return n_beta * jnp.mean(rises[how.burn_in :])

    estimates = jax.vmap(chain)(jax.random.split(key, how.chains))
    ddof = int(how.chains > 1)
    return {"llc": jnp.mean(estimates), "llc_spread": jnp.std(estimates, ddof=ddof)}
