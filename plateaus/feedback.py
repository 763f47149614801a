"""Feedback of training to an adaptive design: gradients, targets, a reference, short runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from plateaus import groups
from plateaus.recipe import Feedback, Recipe
from plateaus.types import Array, Example, Float, Key, PyTree, Signals, Streams


def compares(recipe: Recipe) -> bool:
    """Return whether a reference model is trained first."""
    return recipe.feedback is not None and recipe.feedback.reference_steps > 0


def weigh(recipe: Recipe, source: PyTree, plan: PyTree, t: Any) -> Callable[..., Array]:
    """Return (batch, values [B]) -> the values, times the design's emphasis of each group."""
    emphasis = recipe.source.emphasis
    if emphasis is None:
        return lambda batch, values: values
    factor = emphasis(source, plan, t)
    return lambda batch, values: values * factor[groups.numbers(recipe.task, batch)]


def staged(recipe: Recipe, state: Any, fresh: Callable[[Any], Any], t: Any) -> Any:
    """Return the state at the beginning of step t, with a fresh model where a stage begins."""
    feedback = recipe.feedback
    if feedback is None:
        return state

    def same(state: Any) -> Any:
        return state

    def keeping(state: Any) -> Any:
        return fresh(state._replace(reference=state.params))

    if feedback.reference_steps:
        state = jax.lax.cond(t == feedback.reference_steps, keeping, same, state)
    if feedback.proxy_steps:
        ends = feedback.reference_steps + feedback.proxy_steps
        state = jax.lax.cond(t == ends, fresh, same, state)
    return state


def completion(
    recipe: Recipe,
    keys: Streams,
    world: PyTree,
    short: Callable[[Any, Key, Any], Any],
) -> Callable[..., Signals]:
    """Return (state after a step, signals, batch, report, t) -> the signals that the mixer needs.

    `report` is a `plateaus.gradient.StepReport`, `short` one step of a short run: (state, key, t)
    -> state. Targets and short runs are evaluated in the last step of a round only, which is the
    same step in all runs of a chunk, and so a branch.
    """
    feedback, task = recipe.feedback, recipe.task
    assert feedback is not None
    sample = _target(recipe, keys, world)
    size, steer = len(task.group_names), recipe.source.steer

    def target_losses(params: PyTree) -> Float[Array, " G"]:
        predictions, _ = recipe.model.apply(params, sample.inputs)
        losses = jax.vmap(task.test_loss)(predictions, sample)
        return groups.mean_by_group(groups.members(task, sample), losses)

    def target_gradient(params: PyTree) -> PyTree:
        assert feedback.sums is not None

        def losses(params: PyTree) -> Array:
            predictions, _ = recipe.model.apply(params, sample.inputs)
            return jax.vmap(task.loss)(predictions, sample)

        _, pull = jax.vjp(losses, params)
        member = groups.members(task, sample)
        means = member / jnp.sum(member, axis=1, keepdims=True)
        return feedback.sums(lambda weights: pull(weights)[0], means)

    def affinity(state: Any, t: Any) -> Float[Array, "G G"]:
        assert steer is not None  # as of any source that adapts
        before = target_losses(state.params)
        key = jax.random.fold_in(keys.short, t)

        def after(shares: Array, number: Array) -> Array:
            key_run = jax.random.fold_in(key, number)
            begun = state._replace(source=steer(state.source, shares))

            def next_step(state: Any, s: Array) -> tuple[Any, None]:
                return short(state, key_run, t + 1 + s), None

            ended, _ = jax.lax.scan(next_step, begun, jnp.arange(feedback.short_steps))
            return target_losses(ended.params)

        shares = jnp.asarray(feedback.short_shares, jnp.float32)
        return before[None, :] - jax.vmap(after)(shares, jnp.arange(size))

    def excess(reference: PyTree, batch: Example, losses: Array) -> Float[Array, " G"]:
        predictions, _ = recipe.model.apply(reference, batch.inputs)
        above = losses - jax.vmap(task.loss)(predictions, batch)
        return groups.mean_by_group(groups.members(task, batch), jnp.maximum(above, 0.0))

    def at_the_end(state: Any, t: Any) -> dict[str, Any]:
        results: dict[str, Any] = {}
        if feedback.target_points:
            results["target_loss"] = target_losses(state.params)
        if feedback.target_gradient:
            results["target_gradient"] = target_gradient(state.params)
        if feedback.short_steps:
            number = (t + 1 - feedback.reference_steps) // feedback.round_steps  # from 1
            due = number == 1
            if feedback.short_every:
                due = (number - 1) % feedback.short_every == 0
            results["affinity"] = jax.lax.cond(
                due, affinity, lambda state, t: jnp.zeros((size, size)), state, t
            )
        return results

    def complete(state: Any, signals: Signals, batch: Example, report: Any, t: Any) -> Signals:
        signals = signals._replace(count=report.groups.count, gradient=report.gradient)
        if compares(recipe):
            signals = signals._replace(
                excess=jax.lax.cond(
                    _adapting(feedback, t),
                    lambda: excess(state.reference, batch, report.losses),
                    lambda: jnp.full(size, jnp.nan),
                )
            )
        ends = (t + 1) % feedback.round_steps == 0
        shapes = jax.eval_shape(at_the_end, state, t)
        if not shapes:
            return signals
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return signals._replace(
            **jax.lax.cond(ends, at_the_end, lambda state, t: nothing, state, t)
        )

    return complete


def _adapting(feedback: Feedback, t: Any) -> Any:
    """Return whether the mixture adapts on step t."""
    begun = t >= feedback.reference_steps
    if not feedback.proxy_steps:
        return begun
    return begun & (t < feedback.reference_steps + feedback.proxy_steps)


def _target(recipe: Recipe, keys: Streams, world: PyTree) -> Example:
    """Return a fixed sample of the test law, apart from the examples that are tested on.

    The compiler drops it where the mixer does not need it.
    """
    task = recipe.task
    assert recipe.feedback is not None and task.groups is not None
    emit = task.groups.emit_target or task.emit_test
    number = max(1, recipe.feedback.target_points) * len(task.groups.names)
    return jax.vmap(emit, (0, None, 0))(
        jax.random.split(keys.target, number), world, jnp.arange(number)
    )
