"""Chances of y = +1 that depend on x through its number of +1 signs, by counting."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from plateaus.tasks.families.family import LOGIT
from plateaus.types import Array, Float


def binary_entropy(p: np.ndarray | float) -> np.ndarray:
    """Return the entropy of P(y = +1) = p, in nats.

    >>> binary_entropy(np.array([0.0, 0.5])).round(4).tolist()
    [0.0, 0.6931]
    """
    p = np.asarray(p, np.float64)
    inner = np.clip(p, 1e-300, 1 - 1e-16)
    return np.where((p > 0) & (p < 1), -p * np.log(inner) - (1 - p) * np.log1p(-inner), 0.0)


def subset_law(dimension: int, size: int, rule: Callable[..., Array]) -> np.ndarray:
    """Return P(y = +1 | m of the d signs are +1), m = 0 .. d, for a uniform subset of `size` signs.

    The number of minuses in the subset is hypergeometric.

    >>> subset_law(2, 1, lambda score, size: score).tolist()  # one random sign
    [0.0, 0.5, 1.0]
    """
    ways = math.comb(dimension, size)
    minuses = [j for j in range(size + 1) if rule(size - 2 * j, size) > 0]
    return np.array(
        [
            sum(math.comb(dimension - m, j) * math.comb(m, size - j) for j in minuses) / ways
            for m in range(dimension + 1)
        ]
    )


def logits(p: np.ndarray) -> np.ndarray:
    """Return log(p / (1 - p)), clipped at +-`LOGIT`, in float32.

    >>> logits(np.array([0.0, 0.5, 1.0])).tolist()
    [-20.0, 0.0, 20.0]
    """
    with np.errstate(divide="ignore"):
        return np.clip(np.log(p) - np.log1p(-p), -LOGIT, LOGIT).astype(np.float32)


def plus_signs(x: Float[Array, "n d"]) -> Array:
    """Return how many of each point's signs are +1.

    >>> plus_signs(jnp.array([[1.0, -1.0, 1.0]])).tolist()
    [2]
    """
    return jnp.sum(x > 0, axis=1, dtype=jnp.int32)


def binomial(dimension: int) -> np.ndarray:
    """Return P(m of d uniform signs are +1), m = 0 .. d.

    >>> binomial(2).tolist()
    [0.25, 0.5, 0.25]
    """
    return np.array([math.comb(dimension, m) / 2**dimension for m in range(dimension + 1)])
