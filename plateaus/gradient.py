"""The gradient that a step trains on, and what else the examples of its batch tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus import groups
from plateaus.recipe import Recipe
from plateaus.types import Array, Example, Knobs, PyTree


class Told(NamedTuple):
    """What a step tells beside its loss."""

    surgery: dict[str, Array]
    groups: groups.Sums | None  # None of a task without groups
    gradient: PyTree  # [G, ...], sums of the examples' gradients; None where nobody asks
    losses: Any  # [B]


Weigh = Callable[[Example, Array], Array]  # (batch, losses [B]) -> the losses, emphasised


def _mean_loss(
    recipe: Recipe, params: PyTree, batch: Example, weigh: Weigh
) -> tuple[Array, tuple[Array, groups.Sums | None]]:
    predictions, _ = recipe.model.apply(params, batch.inputs)
    losses = jax.vmap(recipe.task.loss)(predictions, batch)
    by_group = groups.sums(recipe.task, batch, losses, predictions) if recipe.task.groups else None
    return jnp.mean(weigh(batch, losses)), (losses, by_group)


def gradient(
    recipe: Recipe,
    params: PyTree,
    batch: Example,
    state: PyTree,
    knobs: Knobs,
    key: Array,
    weigh: Weigh,
) -> tuple[Array, PyTree, PyTree, Told]:
    """Return (mean loss, gradient to train on, aggregator's state, what was measured)."""
    if recipe.gradients is None:
        loss_of = jax.value_and_grad(lambda p: _mean_loss(recipe, p, batch, weigh), has_aux=True)
        (loss, (losses, by_group)), grads = loss_of(params)
        return loss, grads, state, Told({}, by_group, None, losses)
    losses, predictions, captured = recipe.gradients.capture(params, batch)
    weights, measured = jnp.full_like(losses, 1 / losses.shape[0]), {}
    if recipe.surgery is not None:
        gram = recipe.surgery.gram(captured)
        weights, state = recipe.surgery.aggregator(knobs.optim).update(gram, state, key=key)
        measured = recipe.surgery.measure(gram)
    by_group, sums = None, None
    if recipe.task.groups:
        by_group = groups.sums(recipe.task, batch, losses, predictions)
        if recipe.feedback is not None and recipe.feedback.sums is not None:
            sums = recipe.feedback.sums(captured, groups.members(recipe.task, batch))
    grads = recipe.gradients.combine(captured, weigh(batch, weights))
    return jnp.mean(losses), grads, state, Told(measured, by_group, sums, losses)
