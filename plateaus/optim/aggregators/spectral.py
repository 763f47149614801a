"""Balanced by the spectrum of the Gram matrix: IMTL-G and Aligned-MTL."""

from __future__ import annotations

import jax.numpy as jnp

from plateaus.optim.aggregators.guard import stateless
from plateaus.types import Aggregator, Array

SCALES = ("min", "median", "rmse")
VANISHING = 1e-6  # a sum below this share of its terms is none, in float32


def imtl_g() -> Aggregator:
    r"""Combine the gradients so that all of them have the same projection on the result.

    With $d_b = \lVert g_b \rVert$ and the pseudo-inverse: $w = G^+ d / (1^\top G^+ d)$.
    A *mean* (the weights sum to 1; some may be negative, and large near the zero of the
    denominator, at which all are 0). Weights do not change with the gradients' common scale.
    Neutral: none; orthogonal equal lengths give the mean.

    Source: Liu et al. 2021b (ICLR, "Towards impartial multi-task learning"), equation 5, in the
    form of Quinton and Rey 2024 (arXiv 2406.16232), as TorchJD's IMTLG; eigenvalues below
    max(B, 8) eps times the largest count as 0 (TorchJD: B eps): in float32, gradients a thousand
    times shorter than the longest.

    >>> import jax
    >>> weights, _ = jax.jit(imtl_g().update)(jnp.array([[1.0, 0.0], [0.0, 9.0]]), ())
    >>> [round(float(w), 3) for w in weights]
    [0.75, 0.25]
    """

    def weigh(gram):
        values, vectors, nonzero = _spectrum(gram)
        inverse = jnp.where(nonzero, 1 / jnp.where(nonzero, values, 1), 0)
        v = vectors @ (inverse * (vectors.T @ jnp.sqrt(jnp.diagonal(gram))))
        total = jnp.sum(v)
        defined = jnp.abs(total) > VANISHING * jnp.sum(jnp.abs(v))
        return jnp.where(defined, v / jnp.where(defined, total, 1), 0)

    return stateless(weigh)


def aligned_mtl(scale: str = "min") -> Aggregator:
    r"""Replace all singular values of the stacked gradients by one, and average.

    With $G = V \Lambda V^\top$, of rank R, over the eigenvalues that are not 0:
    $$w = \sqrt{s} \, V \Lambda^{-1/2} V^\top 1 / B, \qquad s = \lambda_R$$
    A *mean*. Weights do not change with the gradients' common scale. Neutral where the gradients
    are orthogonal and of one length: it is the mean.

    Args:
      scale: s is the "min", the "median" or, for "rmse", the mean of the nonzero eigenvalues.

    Raises ValueError for another `scale`.

    Source: Senushkin et al. 2023 (CVPR), algorithm 1 ("min"; its code has "rmse"). As TorchJD's
    AlignedMTL; eigenvalues below max(B, 8) eps times the largest count as 0 (TorchJD: B
    eps): in float32, gradients a thousand times shorter than the longest.

    >>> import jax
    >>> update = jax.jit(aligned_mtl().update)
    >>> update(jnp.array([[1.0, 0.0], [0.0, 4.0]]), ())[0].round(3).tolist()
    [0.5, 0.25]
    """
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {SCALES}, not {scale!r}")

    def weigh(gram):
        size = len(gram)
        values, vectors, nonzero = _spectrum(gram)
        rank = jnp.sum(nonzero)
        if scale == "min":
            s = jnp.min(jnp.where(nonzero, values, jnp.inf))
        elif scale == "median":  # ascending, the nonzero last; the lower of two middle ones
            s = values[size - rank + (rank - 1) // 2]
        else:
            s = jnp.sum(jnp.where(nonzero, values, 0)) / jnp.maximum(rank, 1)
        factors = jnp.where(nonzero, jnp.sqrt(s / jnp.where(nonzero, values, 1)), 0)
        return vectors @ (factors * jnp.mean(vectors, axis=0))

    return stateless(weigh)


def _spectrum(gram: Array) -> tuple[Array, Array, Array]:
    """Return eigenvalues, ascending, eigenvectors, and which eigenvalues are above rounding."""
    values, vectors = jnp.linalg.eigh(gram)
    least = max(len(gram), 8) * jnp.finfo(gram.dtype).eps * values[-1]
    return values, vectors, values > least
