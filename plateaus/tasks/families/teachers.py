"""Teachers of what is best without context: targets which no context helps with.

A family's plateau is where a model has learned its best prediction from x alone. These controls ask
for just that: one function, the same in every prompt. Here `no_context` is the best *constant*,
with the exact variance or entropy as its loss, so that a loss of 1 again means "nothing learned",
and `in_context` the teacher, which is best with or without the points before.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from plateaus.tasks.families import chances
from plateaus.tasks.families.boolean import product, sparse_parity
from plateaus.tasks.families.family import Family, Sizes, require
from plateaus.tasks.families.hermite import hermite
from plateaus.tasks.families.inputs import boolean_inputs, gaussian, signs
from plateaus.tasks.families.nonlinear import leaky_relu


def mean_length(dimension: int) -> float:
    """Return E|x| for x ~ N(0, I_d).

    >>> round(mean_length(1), 4)  # sqrt(2 / pi)
    0.7979
    """
    return math.sqrt(2) * math.exp(math.lgamma((dimension + 1) / 2) - math.lgamma(dimension / 2))


def _continuous(of: Family, sizes: Sizes, mean: float, variance: float) -> Family:
    """Return the teacher of E[y | x], given the mean and variance of that."""
    return Family(
        parameters=lambda key: (),  # there is one function
        signal=lambda theta, x: of.no_context(x),
        inputs=gaussian(sizes.dimension).inputs,
        no_context=lambda x: jnp.full_like(x[:, 0], mean),
        no_context_loss=variance,
        in_context=lambda x, y: of.no_context(x),
    )


def _of_length(of: Family, sizes: Sizes, slope: float) -> Family:
    """Return the teacher of slope |x|, whose variance is slope^2 (d - (E|x|)^2)."""
    mean = slope * mean_length(sizes.dimension)
    return _continuous(of, sizes, mean, slope**2 * sizes.dimension - mean**2)


def leaky_relu_teacher(sizes: Sizes) -> Family:
    r"""Teach $y = (1 - a) |x| / \sqrt{2 \pi}$, which is best without context for leaky ReLUs.

    >>> teacher = leaky_relu_teacher(Sizes(dimension=1, leak=0.0))
    >>> round(teacher.no_context_loss * 2 * math.pi, 4)  # the variance of |x|, 1 - 2 / pi
    0.3634
    """
    require(sizes.leak < 1, "leak", sizes.leak, "must be below 1, or the teacher says 0")
    family = leaky_relu(sizes, gaussian(sizes.dimension))
    return _of_length(family, sizes, (1 - sizes.leak) / math.sqrt(2 * math.pi))


def relu_teacher(sizes: Sizes) -> Family:
    r"""Teach $y = |x| / \sqrt{2 \pi}$, which is best without context for ReLUs.

    >>> round(relu_teacher(Sizes(dimension=1)).no_context_loss * 2 * math.pi, 4)
    0.3634
    """
    return leaky_relu_teacher(dataclasses.replace(sizes, leak=0.0))


def hermite_quadratic_teacher(sizes: Sizes) -> Family:
    """Teach y = (|x|^2 - 1) / 2, which is best without context for `hermite_quadratic`.

    Its mean is (d - 1) / 2, its variance d / 2.

    >>> hermite_quadratic_teacher(Sizes(dimension=10)).no_context_loss
    5.0
    """
    d = sizes.dimension
    return _continuous(hermite(2, sizes, gaussian(d)), sizes, (d - 1) / 2, d / 2)


def sparse_parity_teacher(bits: int, sizes: Sizes) -> Family:
    """Draw y from P(y | x) of sparse parities, afresh at every point: noise about one function.

    `signal` is the likelier label (+1 at even odds). The best accuracy is that of parities without
    context: it is learned with a tenth of what the error can fall by to go.

    >>> teacher = sparse_parity_teacher(2, Sizes())
    >>> round(teacher.no_context_loss, 4), round(teacher.learned_below, 4)
    (0.6931, 0.4508)
    """
    of, d = sparse_parity(bits, sizes), sizes.dimension
    law = chances.subset_law(d, bits, product)
    base = float(np.sum(chances.binomial(d) * law))  # P(y = +1) at a random x
    constant = float(chances.logits(np.array([base]))[0])
    accuracy = max(base, 1 - base)
    assert of.no_context_accuracy is not None
    floor = 1 - of.no_context_accuracy

    def noisy(key, theta, x):
        p = jnp.asarray(law, jnp.float32)[chances.plus_signs(x)]
        return 2.0 * (jax.random.uniform(key, p.shape) < p) - 1.0

    return Family(
        parameters=lambda key: (),
        noisy=noisy,
        signal=lambda theta, x: signs(of.no_context(x)[:, None])[:, 0],
        inputs=boolean_inputs,
        no_context=lambda x: jnp.full_like(x[:, 0], constant),
        no_context_loss=float(chances.binary_entropy(base)),
        no_context_accuracy=accuracy,
        boolean=True,
        in_context=lambda x, y: of.no_context(x),
        best=lambda theta, x: of.no_context(x),
        learned_below=floor + 0.1 * (1 - accuracy - floor),
    )
