"""Training as pure functions: one run's start, one phase of its steps, its evaluation.

All functions here speak of a single run; whoever calls them maps them over the runs of a chunk and
compiles the result: `jit(vmap(phase))`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from plateaus.types import (
    Array,
    Example,
    Float,
    Int,
    Knobs,
    Model,
    PyTree,
    Signals,
    Source,
    Streams,
    Task,
    streams,
)

NEVER = -1  # `RunState.diverged_at` of a run that has not diverged


class Recipe(NamedTuple):
    """Everything static about a run: compiled once, shared by all runs of a program."""

    task: Task
    source: Source
    model: Model
    optimiser: Callable[..., optax.GradientTransformation]
    phase_steps: int  # optimiser steps between two evaluations
    log_every: int  # steps whose training losses are averaged into one number
    eval_points: int


class RunState(NamedTuple):
    """What a run carries from step to step, and what a checkpoint holds."""

    params: PyTree
    optimiser: PyTree
    source: PyTree
    diverged_at: Array  # the first step with a loss that is not finite, or NEVER


class Phase(NamedTuple):
    """What one phase of a run has measured."""

    train_loss: Array  # [windows]
    evaluation: dict[str, Array]


def _mean_loss(recipe: Recipe, params: PyTree, batch: Example) -> Array:
    predictions, _ = recipe.model.apply(params, batch.inputs)
    return jnp.mean(jax.vmap(recipe.task.loss)(predictions, batch))


def _test_batch(recipe: Recipe, keys: Streams, world: PyTree) -> Example:
    test_keys = jax.random.split(keys.test, recipe.eval_points)
    return jax.vmap(recipe.task.emit_test, (0, None))(test_keys, world)


def evaluate(recipe: Recipe, params: PyTree, keys: Streams) -> dict[str, Float[Array, ""]]:
    """Return the test loss and the task's metrics on the run's own, fixed, test sample."""
    batch = _test_batch(recipe, keys, recipe.task.init(keys.world))
    predictions, _ = recipe.model.apply(params, batch.inputs)
    measures = {"loss": recipe.task.loss, **recipe.task.metrics}
    return {
        f"test_{name}": jnp.mean(jax.vmap(f)(predictions, batch)) for name, f in measures.items()
    }


def references(recipe: Recipe, seed: Array | int, knobs: Knobs) -> dict[str, Float[Array, ""]]:
    """Return the test losses of the uninformed and of the best predictor."""
    keys = streams(seed)
    world = recipe.task.init(keys.world)
    batch = _test_batch(recipe, keys, world)
    said = recipe.task.predictors(world, batch, knobs.task)
    names = {"uninformed_loss": recipe.task.uninformed, "best_loss": recipe.task.best}
    return {k: jnp.mean(jax.vmap(recipe.task.loss)(said[name], batch)) for k, name in names.items()}


def init(recipe: Recipe, seed: Array | int, knobs: Knobs) -> tuple[RunState, dict[str, Array]]:
    """Return a run's state before the first step, and its evaluation there."""
    keys = streams(seed)
    params = recipe.model.init(keys.params)
    state = RunState(
        params=params,
        optimiser=recipe.optimiser(knobs.optim).init(params),
        source=recipe.source.init(keys.data),
        diverged_at=jnp.int32(NEVER),
    )
    return state, evaluate(recipe, params, keys)


def phase(
    recipe: Recipe, state: RunState, seed: Array | int, knobs: Knobs, start: Int[Array, ""]
) -> tuple[RunState, Phase]:
    """Take `recipe.phase_steps` steps from step `start` on, then evaluate.

    `start` must not be batched under vmap: it is the same for all runs of a chunk, so that what
    happens every so many steps stays a branch. A run whose loss stops being finite keeps the state
    it had when the phase began, for good, and reports NaN from that step on.
    """
    keys = streams(seed)
    world = recipe.task.init(keys.world)
    plan = recipe.source.prepare(knobs.data, recipe.task.size)
    optimiser = recipe.optimiser(knobs.optim)

    def step(state: RunState, t: Array) -> tuple[RunState, Array]:
        draw = recipe.source.draw(keys.data, state.source, plan, t)
        noise = jax.random.split(jax.random.fold_in(keys.noise, t), draw.index.shape[0])
        batch = jax.vmap(recipe.task.emit, (0, None, 0, None))(noise, world, draw.index, knobs.task)
        loss, grads = jax.value_and_grad(lambda p: _mean_loss(recipe, p, batch))(state.params)
        updates, optimiser_state = optimiser.update(grads, state.optimiser, state.params)
        diverges = (state.diverged_at == NEVER) & ~jnp.isfinite(loss)
        return RunState(
            params=optax.apply_updates(state.params, updates),
            optimiser=optimiser_state,
            source=recipe.source.observe(state.source, Signals(loss[None], None), knobs.data, t),
            diverged_at=jnp.where(diverges, t, state.diverged_at),
        ), loss

    def window(state: RunState, first: Array) -> tuple[RunState, Array]:
        state, losses = jax.lax.scan(step, state, first + jnp.arange(recipe.log_every))
        return state, jnp.mean(losses)

    firsts = start + jnp.arange(0, recipe.phase_steps, recipe.log_every)
    new, train_loss = jax.lax.scan(window, state, firsts)
    evaluation = evaluate(recipe, new.params, keys)

    end = start + recipe.phase_steps
    blown_up = (new.diverged_at == NEVER) & ~jnp.isfinite(evaluation["test_loss"])
    diverged_at = jnp.where(blown_up, end, new.diverged_at)
    fine = diverged_at == NEVER
    kept = jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, state)
    before = fine | (firsts + recipe.log_every <= diverged_at)
    return kept._replace(diverged_at=diverged_at), Phase(
        train_loss=jnp.where(before, train_loss, jnp.nan),
        evaluation={name: jnp.where(fine, x, jnp.nan) for name, x in evaluation.items()},
    )
