"""The gradient that a step trains on, and the other measurements on its batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus import groups
from plateaus.recipe import Recipe
from plateaus.types import Array, Example, Knobs, PyTree


class StepReport(NamedTuple):
    """The measurements of a step besides its loss."""

    surgery: dict[str, Array]
    groups: groups.Sums | None  # None for a task without groups
    gradient: PyTree  # [G, ...], sums of the examples' gradients; None where no mixer needs them
    losses: Any  # [B]


Weigh = Callable[[Example, Array], Array]  # (batch, values [B]) -> the values, emphasised


def gradient(
    recipe: Recipe,
    params: PyTree,
    batch: Example,
    state: PyTree,
    knobs: Knobs,
    key: Array,
    weigh: Weigh,
) -> tuple[Array, PyTree, PyTree, StepReport]:
    """Return (mean loss, gradient to train on, aggregator's state, report).

    The mean is of the plain losses, the gradient of the losses as `weigh` emphasises them. All
    gradients are weighted sums of the examples' gradients, which come from the pullback of the
    losses or from captured factors.
    """
    measured: dict[str, Array] = {}
    if recipe.gradients is None:

        def losses_of(params: PyTree) -> tuple[Array, Array]:
            predictions, _ = recipe.model.apply(params, batch.inputs)
            return jax.vmap(recipe.task.loss)(predictions, batch), predictions

        losses, pull, predictions = jax.vjp(losses_of, params, has_aux=True)
        captured = None
    else:
        losses, predictions, captured = recipe.gradients.capture(params, batch)

    def weighted(weights: Array) -> PyTree:
        if recipe.gradients is None:
            return pull(weights)[0]
        return recipe.gradients.combine(captured, weights)

    weights = jnp.full_like(losses, 1 / losses.shape[0])
    if recipe.surgery is not None:
        gram = recipe.surgery.gram(captured)
        aggregator = recipe.surgery.aggregator(knobs.optim)
        weights, state = aggregator.update(gram, state, key=key)
        measured = recipe.surgery.measure(gram)
    by_group, sums = None, None
    if recipe.task.groups:
        by_group = groups.sums(recipe.task, batch, losses, predictions)
        if recipe.feedback is not None and recipe.feedback.sums is not None:
            sums = recipe.feedback.sums(weighted, groups.members(recipe.task, batch))
    grads = weighted(weigh(batch, weights))
    return jnp.mean(losses), grads, state, StepReport(measured, by_group, sums, losses)
