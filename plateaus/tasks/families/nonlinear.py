"""Families of one nonlinearity: of w.x with w ~ N(0, I), or of a small net."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from plateaus.tasks.families.family import Family, Sizes
from plateaus.tasks.families.inputs import InputLaw
from plateaus.tasks.families.linear import dots, linear, zeros
from plateaus.types import EXACT, Array


def _of_dot(
    sizes: Sizes,
    law: InputLaw,
    shape: Callable[..., Array],
    no_context: Callable[..., Array],
    loss: float,
) -> Family:
    """Return y = shape(w.x)."""

    def signal(theta, x):
        return shape(dots(theta, x))

    return linear(sizes, law)._replace(
        signal=signal,
        no_context=no_context,
        no_context_loss=loss,
        in_context=None,
    )


def leaky_relu(sizes: Sizes, law: InputLaw) -> Family:
    r"""y = max(t, a t) for t = w.x, with slope a = `leak` < 1 below 0.

    Given x, t ~ N(0, |x|^2): without context $(1 - a) |x| / \sqrt{2 \pi}$, with loss
    $\mathbb{E}|x|^2 ((1 + a^2) / 2 - (1 - a)^2 / 2 \pi)$.

    Source: paper 2, its task "leaky ReLU regression", with a = 0.5.

    >>> from plateaus.tasks.families.inputs import gaussian
    >>> round(leaky_relu(Sizes(), gaussian(10)).no_context_loss, 3)
    5.852
    """
    a = sizes.leak
    mean = (1 - a) / math.sqrt(2 * math.pi)

    def shape(t):
        return jnp.where(t > 0, t, a * t)

    def no_context(x):
        return mean * jnp.sqrt(jnp.sum(jnp.square(x), axis=1))

    return _of_dot(sizes, law, shape, no_context, law.moments[0] * ((1 + a * a) / 2 - mean**2))


def relu(sizes: Sizes, law: InputLaw) -> Family:
    r"""y = max(0, w.x); without context $|x| / \sqrt{2 \pi}$, with loss E|x|^2 (1/2 - 1/2 pi).

    Source: paper 2, its task "ReLU regression".

    >>> from plateaus.tasks.families.inputs import gaussian
    >>> round(relu(Sizes(), gaussian(10)).no_context_loss, 3)
    3.408
    """
    return leaky_relu(dataclasses.replace(sizes, leak=0.0), law)


def relu_net(sizes: Sizes, law: InputLaw) -> Family:
    r"""$y = \sqrt{2 / h} \sum_j a_j \max(0, w_j^T x)$, a ~ N(0, I_h), w_j ~ N(0, I), h = `hidden`.

    Without context 0, with loss E|x|^2.

    Source: Garg et al. 2022, two-layer ReLU networks.

    >>> from plateaus.tasks.families.inputs import gaussian
    >>> relu_net(Sizes(), gaussian(10)).no_context_loss
    10.0
    """

    def parameters(key):
        key_in, key_out = jax.random.split(key)
        w = jax.random.normal(key_in, (sizes.dimension, sizes.hidden))
        return w, jax.random.normal(key_out, (sizes.hidden,))

    def signal(theta, x):
        w, a = theta
        hidden = jax.nn.relu(jnp.dot(x, w, precision=EXACT))
        return math.sqrt(2 / sizes.hidden) * jnp.dot(hidden, a, precision=EXACT)

    return linear(sizes, law)._replace(parameters=parameters, signal=signal, in_context=None)


def sine(sizes: Sizes, law: InputLaw) -> Family:
    r"""y = sin(w.x); without context 0, with loss $(1 - \mathbb{E}[e^{-2 |x|^2}]) / 2$.

    >>> from plateaus.tasks.families.inputs import gaussian
    >>> round(sine(Sizes(dimension=2), gaussian(2)).no_context_loss, 4)  # (1 - 1/5) / 2
    0.4
    """
    return _of_dot(sizes, law, jnp.sin, zeros, (1 - law.laplace(2.0)) / 2)


def sigmoid_variance(dimension: int) -> float:
    r"""Return E[(sigmoid(t) - 1/2)^2] for t = w.x, w and x ~ N(0, I_d).

    By trapezoidal sums, exact to rounding: t = |x| z, over z and over v = log |x|^2.

    >>> round(sigmoid_variance(10), 6)
    0.134616
    """
    v = np.arange(-160.0, 10.0, 0.02)
    log_density = dimension / 2 * (v - math.log(2)) - np.exp(v) / 2 - math.lgamma(dimension / 2)
    kept = log_density > -50
    v, density = v[kept], np.exp(log_density[kept])
    z = np.arange(-9.0, 9.0, 0.01)
    weight = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    inner = [float(np.sum(weight * np.tanh(0.5 * math.exp(s / 2) * z) ** 2)) for s in v]
    return float(np.sum(density * np.array(inner))) * 0.02 * 0.01 / 4


def sigmoid(sizes: Sizes, law: InputLaw) -> Family:
    """y = sigmoid(w.x), between 0 and 1; without context 1/2, with loss `sigmoid_variance`.

    >>> from plateaus.tasks.families.inputs import gaussian
    >>> sigmoid(Sizes(), gaussian(10)).no_context(jnp.ones((1, 10))).tolist()
    [0.5]
    """
    if law.name != "Gaussian":
        raise ValueError(f"sigmoid: its loss without context is not known for {law.name} inputs")

    def no_context(x):
        return jnp.full_like(x[:, 0], 0.5)

    return _of_dot(sizes, law, jax.nn.sigmoid, no_context, sigmoid_variance(sizes.dimension))
