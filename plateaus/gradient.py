"""The gradient that a step trains on, and what else the examples of its batch tell."""

from __future__ import annotations

import functools
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


def _losses(
    recipe: Recipe, params: PyTree, batch: Example
) -> tuple[Array, tuple[Array, groups.Sums | None]]:
    """Return the losses [B], and them again with what is told by group."""
    predictions, _ = recipe.model.apply(params, batch.inputs)
    losses = jax.vmap(recipe.task.loss)(predictions, batch)
    by_group = groups.sums(recipe.task, batch, losses, predictions) if recipe.task.groups else None
    return losses, (losses, by_group)


def _mean_loss(
    recipe: Recipe, params: PyTree, batch: Example, weigh: Weigh
) -> tuple[Array, tuple[Array, groups.Sums | None]]:
    losses, told = _losses(recipe, params, batch)
    return jnp.mean(weigh(batch, losses)), told


def _group_sums(recipe: Recipe, weighted: Callable[[Array], PyTree], batch: Example) -> PyTree:
    """Return the sums of the groups' gradients that the design asks for, or None."""
    if recipe.feedback is None or recipe.feedback.sums is None:
        return None
    return recipe.feedback.sums(weighted, groups.members(recipe.task, batch))


def gradient(
    recipe: Recipe,
    params: PyTree,
    batch: Example,
    state: PyTree,
    knobs: Knobs,
    key: Array,
    weigh: Weigh,
) -> tuple[Array, PyTree, PyTree, Told]:
    """Return (mean loss, gradient to train on, aggregator's state, what was measured).

    The mean is of the losses as they are; the gradient is of them as weighed.
    """
    if recipe.gradients is None and recipe.feedback is not None and recipe.feedback.sums:
        losses, pull, (_, by_group) = jax.vjp(
            lambda p: _losses(recipe, p, batch), params, has_aux=True
        )

        def weighted(weights: Array) -> PyTree:
            return pull(weights)[0]

        grads = weighted(weigh(batch, jnp.full_like(losses, 1 / losses.shape[0])))
        sums = _group_sums(recipe, weighted, batch)
        return jnp.mean(losses), grads, state, Told({}, by_group, sums, losses)
    if recipe.gradients is None:
        loss_of = jax.value_and_grad(lambda p: _mean_loss(recipe, p, batch, weigh), has_aux=True)
        (_, (losses, by_group)), grads = loss_of(params)
        return jnp.mean(losses), grads, state, Told({}, by_group, None, losses)
    losses, predictions, captured = recipe.gradients.capture(params, batch)
    weights, measured = jnp.full_like(losses, 1 / losses.shape[0]), {}
    if recipe.surgery is not None:
        gram = recipe.surgery.gram(captured)
        weights, state = recipe.surgery.aggregator(knobs.optim).update(gram, state, key=key)
        measured = recipe.surgery.measure(gram)
    by_group, sums = None, None
    if recipe.task.groups:
        by_group = groups.sums(recipe.task, batch, losses, predictions)
        combine = functools.partial(recipe.gradients.combine, captured)
        sums = _group_sums(recipe, combine, batch)
    grads = recipe.gradients.combine(captured, weigh(batch, weights))
    return jnp.mean(losses), grads, state, Told(measured, by_group, sums, losses)
