"""How far a network has come, where one knows what its task depends on. See `Task.relevant`."""

from __future__ import annotations

import jax.numpy as jnp

from plateaus.types import Array, Float


def weight_on(kernel: Float[Array, "d w"], relevant: tuple[int, ...]) -> Float[Array, ""]:
    r"""Return $\sum_{i \in S} \lVert W_i \rVert^2 / \sum_i \lVert W_i \rVert^2$.

    The share of the squared first-layer weights (biases left out) that read the coordinates S:
    about |S| / d at the initialisation.

    >>> float(weight_on(jnp.array([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]]), (0,)))
    0.5
    """
    power = jnp.sum(jnp.square(kernel), axis=1)
    return jnp.sum(power[jnp.array(relevant)]) / jnp.sum(power)


def on_target(
    outputs: Float[Array, " n"], targets: Float[Array, " n"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""Return the coefficient c of the target y in the output f, and its share of f's power.

    $c = \frac1n \sum_j f(x_j) y_j$ and $c^2 / \frac1n \sum_j f(x_j)^2$, over a sample, of targets
    of square 1. Where y is a parity $\chi_S$ and x is uniform, c is an unbiased estimate of the
    Fourier coefficient $E[f \chi_S]$, with a standard error of at most $\sqrt{E f^2 / n}$. The
    share lies in [0, 1]; of an f without any $\chi_S$ its mean is 1 / n, not 0.

    >>> f, y = jnp.array([0.5, 0.5, -0.5, 0.5]), jnp.array([1.0, 1.0, -1.0, -1.0])
    >>> [float(x) for x in on_target(f, y)]
    [0.25, 0.25]
    """
    coefficient = jnp.mean(outputs * targets)
    power = jnp.mean(jnp.square(outputs))
    there = power > 0
    return coefficient, jnp.where(there, coefficient**2 / jnp.where(there, power, 1.0), 0.0)


def attention_to(weights: Float[Array, "L B H T T"], relevant: tuple[int, ...]) -> Float[Array, ""]:
    """Return how much of the last token's attention goes to some positions, of the best head.

    The mean over prompts, then the largest over layers and heads; the number of those positions
    over T where attention is uniform. What another layer has moved elsewhere is not counted.

    >>> weights = jnp.zeros((1, 1, 2, 3, 3)).at[0, 0, 1, 2, 0].set(0.75)
    >>> float(attention_to(weights, (0,)))
    0.75
    """
    seen = jnp.sum(weights[..., -1, jnp.array(relevant)], axis=-1)  # [L, B, H]
    return jnp.max(jnp.mean(seen, axis=1))
