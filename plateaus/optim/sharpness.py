"""Sharpness-aware minimisation: each update by the gradient a little way uphill."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from plateaus.trees import norm
from plateaus.types import Scalar


@optax.stateless
def _to_the_sphere(updates, _):
    """Divide by the norm over all layers; a gradient of zero stays zero (optax's gives NaN)."""
    size = norm(updates)
    length = jnp.where(size == 0, 1.0, size)
    return jax.tree.map(lambda g: (g / length).astype(g.dtype), updates)


def sharpness_aware(
    optimiser: optax.GradientTransformation, radius: Scalar
) -> optax.GradientTransformationExtraArgs:
    r"""Give an optimiser the gradient at $\theta + \rho\, g / \lVert g \rVert$ in place of g.

    Put it around everything: whatever is done with gradients is done with those. `update` needs
    `grad_fn`: (params, number of the inner step) -> gradients of the same batch, and calls it
    once, so that a step costs two gradients. rho may be traced.
    Neutral at rho = 0: the gradient is computed again, where it was.

    Raises ValueError where `update` is given no `grad_fn`.

    Source: Foret et al. 2021, arXiv 2010.01412, algorithm 1; optax's `contrib.sam`.

    >>> optimiser = sharpness_aware(optax.sgd(1.0), radius=0.5)
    >>> p, gradient = jnp.float32(3.0), lambda p, number: 2 * p  # of p^2
    >>> update = jax.jit(optimiser.update, static_argnames="grad_fn")
    >>> updates, _ = update(gradient(p, 0), optimiser.init(p), p, grad_fn=gradient)
    >>> float(updates)  # -2 * (3 + 0.5)
    -7.0
    """
    uphill = optax.chain(_to_the_sphere, optax.sgd(radius))
    return optax.contrib.sam(optimiser, uphill, sync_period=2, opaque_mode=True)
