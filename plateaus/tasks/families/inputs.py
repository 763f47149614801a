"""Laws of the inputs x, made of standard normal z, and the moments of |x|^2 that losses need."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from plateaus.types import EXACT, Array, Float, PyTree


class InputLaw(NamedTuple):
    r"""How x is drawn, and what is exactly known of s = |x|^2.

    Fields:
      name: as messages call it.
      inputs, init: as in `Family`.
      moments: E[s], E[s^2], E[s^3]; inf where infinite.
      laplace: u -> $\mathbb{E}[e^{-u s}]$.
    """

    name: str
    inputs: Callable[..., Array]
    moments: tuple[float, float, float]
    laplace: Callable[[float], float]
    init: Callable[..., PyTree] = lambda key: ()


def signs(z: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Return the signs of z; that of 0 is +1.

    >>> signs(jnp.array([[-2.0, 0.0, 3.0]])).tolist()
    [[-1.0, 1.0, 1.0]]
    """
    return jnp.where(z >= 0, 1.0, -1.0).astype(z.dtype)


def boolean_inputs(key, world, z):
    """Return x uniform on {-1, +1}^d: the `inputs` of boolean families."""
    return signs(z)


def _normal(name: str, variances: np.ndarray) -> InputLaw:
    """Return the identity on z, with the moments of normal x with these variances along its axes.

    The cumulants of s are k_j = 2^(j-1) (j-1)! sum lambda^j.
    """
    k1, k2, k3 = (2 ** (j - 1) * math.factorial(j - 1) * np.sum(variances**j) for j in (1, 2, 3))
    moments = (float(k1), float(k2 + k1**2), float(k3 + 3 * k2 * k1 + k1**3))

    def inputs(key, world, z):
        return z

    def laplace(u):
        return float(np.prod(1 / np.sqrt(1 + 2 * u * variances)))

    return InputLaw(name, inputs, moments, laplace)


def gaussian(dimension: int) -> InputLaw:
    """Return x ~ N(0, I).

    >>> gaussian(10).moments
    (10.0, 120.0, 1680.0)
    """
    return _normal("Gaussian", np.ones(dimension))


def skewed(dimension: int) -> InputLaw:
    r"""Return $x \sim N(0, Q \Lambda Q^T)$: a world's rotation Q, uniform, and falling variances.

    The variances are proportional to 1 / i, i = 1 .. d, of sum d. The world is the root
    $Q \Lambda^{1/2}$, [d, d].

    Source: paper 3, the skewed Gaussian of its curricula over input distributions.

    >>> world = jax.jit(skewed(3).init)(jax.random.key(0))
    >>> round(float(jnp.sum(world**2)), 4)
    3.0
    """
    falling = 1 / np.arange(1, dimension + 1)
    variances = dimension * falling / falling.sum()

    def init(key):
        q, r = jnp.linalg.qr(jax.random.normal(key, (dimension, dimension)))
        q = q * jnp.where(jnp.diag(r) < 0, -1.0, 1.0)[None, :]  # else not uniform
        return q * jnp.asarray(np.sqrt(variances), jnp.float32)[None, :]

    def inputs(key, world, z):
        return jnp.dot(z, world.T, precision=EXACT)

    return _normal("skewed Gaussian", variances)._replace(inputs=inputs, init=init)


def student(dimension: int) -> InputLaw:
    r"""Return independent x_j of Student's t with 4 degrees of freedom: variance 2, no 4th moment.

    $x = z \sqrt{4 / \chi^2_4}$, with the chi-square twice a sum of two exponentials.

    Source: paper 3, the Student-t of its curricula over input distributions.

    >>> student(10).moments
    (20.0, inf, inf)
    """

    def inputs(key, world, z):
        halved = jnp.sum(jax.random.exponential(key, (2, *z.shape)), axis=0)
        return z * jnp.sqrt(2.0 / jnp.maximum(halved, 1e-12))

    def laplace(u):
        # x = sinh v: the trapezoidal rule is exact to rounding for a density 0.375 (1 + x^2/4)^-5/2
        v = np.arange(-40.0, 40.0, 0.005)
        x = np.sinh(v)
        density = 0.375 * (1 + x**2 / 4) ** -2.5
        of_coordinate = np.sum(density * np.exp(-u * x**2) * np.cosh(v)) * 0.005
        return float(of_coordinate**dimension)

    return InputLaw("Student's t", inputs, (2.0 * dimension, math.inf, math.inf), laplace)
