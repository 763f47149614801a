"""Measures of inner products of gradients: agreement, conflict, noise, rank.

All take Gram matrices. Of a single gradient, which has no pair, means over pairs are NaN.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp

from plateaus.trees import cosine
from plateaus.types import Array, Float

MEANINGS = {  # of the gradients of a batch's examples
    "conflict_fraction": "fraction of pairs of examples whose gradients are opposed",
    "effective_rank": "participation ratio of the Gram matrix of the examples' gradients",
    "signal": "unbiased estimate of the squared norm of the mean gradient",
    "noise": "trace of the covariance of an example's gradient",
    "noise_scale": "noise over signal: the batch at which they are equal",
}


def mean_cosine(gram: Float[Array, "B B"]) -> Float[Array, ""]:
    r"""Return the cosine of two gradients, mean over all pairs.

    With gradients of whole random batches this is the curve of the source.

    Source: paper 1, appendix C.1 and figure 8.

    >>> import jax
    >>> float(jax.jit(mean_cosine)(jnp.array([[4.0, 1.0], [1.0, 1.0]])))
    0.5
    """
    return _mean_of_pairs(cosine(gram))


def cosine_by_layer(grams: Mapping[str, Float[Array, "B B"]]) -> dict[str, Float[Array, ""]]:
    r"""Return what each layer l adds to `mean_cosine`: mean of $G^l_{ab} / \sqrt{G_{aa} G_{bb}}$.

    The values sum to the cosine of the whole gradients: a layer whose gradients are large but do
    not agree adds little.

    >>> parts = {"a": jnp.array([[3.0, 1.0], [1.0, 0.0]]), "b": jnp.array([[1.0, 0.0], [0.0, 1.0]])}
    >>> import jax
    >>> {name: float(part) for name, part in jax.jit(cosine_by_layer)(parts).items()}
    {'a': 0.5, 'b': 0.0}
    """
    total = sum(grams.values(), start=jnp.float32(0.0))
    square = jnp.diagonal(total)
    norms = jnp.sqrt(square[:, None]) * jnp.sqrt(square[None, :])
    scale = jnp.where(norms == 0, 0.0, 1 / jnp.where(norms == 0, 1.0, norms))
    return {layer: _mean_of_pairs(gram * scale) for layer, gram in grams.items()}


def conflict_fraction(gram: Float[Array, "B B"]) -> Float[Array, ""]:
    r"""Return the fraction of pairs with $g_a \cdot g_b < 0$.

    Source: Yu et al. 2020 (arXiv 2001.06782), definition 1.

    >>> import jax
    >>> float(jax.jit(conflict_fraction)(jnp.array([[1.0, -0.1], [-0.1, 1.0]])))
    1.0
    """
    return _mean_of_pairs(jnp.where(jnp.isnan(gram), gram, gram < 0))


def signal(gram: Float[Array, "B B"]) -> Float[Array, ""]:
    r"""Return an unbiased estimate of $|E g|^2$: the mean inner product of two gradients.

    It may be negative where noise is all there is.
    """
    return _mean_of_pairs(gram)


def noise(gram: Float[Array, "B B"]) -> Float[Array, ""]:
    r"""Return an unbiased estimate of $\mathrm{tr}\,\mathrm{Cov}(g)$, of one gradient."""
    return jnp.trace(gram) / gram.shape[0] - signal(gram)


def noise_scale(noise: Array, signal: Array) -> Array:
    r"""Return $B_{simple} = \mathrm{tr}\,\mathrm{Cov}(g) / |E g|^2$, in gradients.

    The batch at which noise and signal are equal. Average noise and signal first, then divide: the
    ratio of one step's estimates is far off. NaN where the signal is not positive.

    Source: McCandlish et al. 2018 (arXiv 1812.06162), equation 2.9 and appendix A.1.

    >>> float(noise_scale(jnp.float32(6.0), jnp.float32(2.0)))
    3.0
    """
    return jnp.where(signal > 0, noise / jnp.where(signal > 0, signal, 1.0), jnp.nan)


def effective_rank(gram: Float[Array, "B B"]) -> Float[Array, ""]:
    r"""Return $(\sum_i \lambda_i)^2 / \sum_i \lambda_i^2$ of the eigenvalues: from 1 to B.

    The participation ratio: no eigenvalue has to be computed. 0 where all gradients are zero.

    >>> import jax
    >>> float(jax.jit(effective_rank)(jnp.eye(3)))
    3.0
    """
    largest = jnp.max(jnp.abs(gram))
    scaled = gram / jnp.where(largest == 0, 1.0, largest)  # squares of small numbers vanish
    square = jnp.sum(scaled**2)
    return jnp.where(square == 0, 0.0, jnp.trace(scaled) ** 2 / jnp.where(square == 0, 1.0, square))


def of_examples(gram: Float[Array, "B B"]) -> dict[str, Float[Array, ""]]:
    """Return the measures of one step's Gram matrix of examples, to be averaged over steps."""
    return {
        "conflict_fraction": conflict_fraction(gram),
        "effective_rank": effective_rank(gram),
        "signal": signal(gram),
        "noise": noise(gram),
    }


def over_steps(means: Mapping[str, Array]) -> dict[str, Array]:
    """Return the means of `of_examples` over some steps with the `noise_scale` they give."""
    return {**means, "noise_scale": noise_scale(means["noise"], means["signal"])}


def of_batches(grams: Mapping[str, Float[Array, "N N"]], batch: int) -> dict[str, Float[Array, ""]]:
    """Return the measures of the gradients of N random batches of B examples, and by layer L.

    `cosine`, and `cosine_in_L` (`cosine_by_layer`); `signal` and `noise`, of one example;
    `noise_in_L`, the share of the layer in the noise: the shares sum to 1.
    """
    total = sum(grams.values(), start=jnp.float32(0.0))
    whole = noise(total)
    measured = {"cosine": mean_cosine(total), "signal": signal(total), "noise": batch * whole}
    for layer, part in cosine_by_layer(grams).items():
        measured[f"cosine_in_{layer}"] = part
        measured[f"noise_in_{layer}"] = noise(grams[layer]) / whole
    return measured


def _mean_of_pairs(matrix: Array) -> Array:
    size = matrix.shape[0]
    pairs = size * (size - 1)
    return (jnp.sum(matrix) - jnp.trace(matrix)) / pairs if pairs else jnp.float32(jnp.nan)
