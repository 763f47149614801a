"""Normalised sums of Hermite polynomials of t = w.x: the function classes of paper 3."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from plateaus.tasks.families.family import Family, Sizes
from plateaus.tasks.families.inputs import InputLaw
from plateaus.tasks.families.linear import dots, linear

_HERMITE = np.array([[0, 1, 0, 0], [-1, 0, 1, 0], [0, -3, 0, 1]])  # He_1 to He_3, by powers of t
_NORMAL = (1, 1, 3, 15)  # E[z^(2m)] of a standard normal


def coefficients(degree: int) -> np.ndarray:
    r"""Return the coefficients of $\sum_{k \le K} He_k(t) / \sqrt{k!} / \sqrt K$, by powers of t.

    >>> coefficients(2).round(4).tolist()
    [-0.5, 0.7071, 0.5, 0.0]
    """
    scale = np.sqrt([1.0, 2.0, 6.0][:degree])
    return np.sum(_HERMITE[:degree] / scale[:, None], axis=0) / np.sqrt(degree)


def _mean_given_square(powers: np.ndarray) -> np.ndarray:
    """Return E[sum_k powers_k t^k | s], t ~ N(0, s), by powers of s: odd ones vanish."""
    return powers[::2] * np.array(_NORMAL)[: len(powers[::2])]


def _expected(powers: np.ndarray, moments: tuple[float, ...]) -> float:
    """Return E[sum_m powers_m s^m] from E[s], E[s^2], .."""
    return float(powers[0] + sum(p * m for p, m in zip(powers[1:], moments, strict=False) if p))


def no_context_loss(degree: int, law: InputLaw) -> float:
    """Return E[Var(y | x)].

    >>> from plateaus.tasks.families.inputs import gaussian
    >>> round(no_context_loss(1, gaussian(20)), 4)
    20.0
    """
    c = coefficients(degree)
    mean = _mean_given_square(c)
    variance = _mean_given_square(np.convolve(c, c))
    variance[: 2 * len(mean) - 1] -= np.convolve(mean, mean)
    return _expected(variance, law.moments)


def hermite(degree: int, sizes: Sizes, law: InputLaw) -> Family:
    r"""$y = \sum_{k \le K} He_k(w^T x) / \sqrt{k!} / \sqrt K$ with w ~ N(0, I), not normalised.

    Without context: 0 for K = 1, $(|x|^2 - 1) / 2$ for K = 2, $(|x|^2 - 1) / \sqrt 6$ for K = 3.

    Source: paper 3, its function classes.

    >>> from plateaus.tasks.families.inputs import gaussian
    >>> hermite(2, Sizes(dimension=2), gaussian(2)).no_context(jnp.ones((1, 2))).tolist()
    [0.5]
    """
    c = [float(power) for power in coefficients(degree)]
    base, slope = (float(power) for power in _mean_given_square(coefficients(degree)))

    def signal(theta, x):
        t = dots(theta, x)
        return c[0] + t * (c[1] + t * (c[2] + t * c[3]))

    def no_context(x):
        return base + slope * jnp.sum(jnp.square(x), axis=1)

    straight = linear(sizes, law)
    return straight._replace(
        signal=signal,
        no_context=no_context,
        no_context_loss=no_context_loss(degree, law),
        in_context=straight.in_context if degree == 1 else None,
    )
