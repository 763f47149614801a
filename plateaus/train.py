"""Training as pure functions: one run's start, one phase of its steps.

All functions here speak of a single run; whoever calls them maps them over the runs of a chunk and
compiles the result: `jit(vmap(phase))`. What is measured is in `plateaus.evaluation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from plateaus.evaluation import Law, evaluate
from plateaus.types import (
    Array,
    Example,
    Int,
    Knobs,
    PyTree,
    Recipe,
    Signals,
    streams,
)

__all__ = ["NEVER", "Phase", "Recipe", "RunState", "init", "phase"]

NEVER = -1  # `RunState.diverged_at` of a run that has not diverged


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


def init(
    recipe: Recipe, seed: Array | int, knobs: Knobs, laws: Mapping[str, Law]
) -> tuple[RunState, dict[str, Array]]:
    """Return a run's state before the first step, and its evaluation there."""
    keys = streams(seed)
    params = recipe.model.init(keys.params)
    state = RunState(
        params=params,
        optimiser=recipe.optimiser(knobs.optim).init(params),
        source=recipe.source.init(keys.data),
        diverged_at=jnp.int32(NEVER),
    )
    plan = recipe.source.prepare(knobs.data, recipe.task.size)
    return state, evaluate(recipe, params, laws, plan, 0)


def phase(
    recipe: Recipe,
    state: RunState,
    seed: Array | int,
    knobs: Knobs,
    laws: Mapping[str, Law],
    start: Int[Array, ""],
) -> tuple[RunState, Phase]:
    """Take `recipe.phase_steps` steps from step `start` on, then evaluate on the run's `laws`.

    `start` must not be batched under vmap: it is the same for all runs of a chunk, so that what
    happens every so many steps stays a branch. A run whose loss stops being finite keeps the state
    it had when the phase began, for good, and reports NaN from that step on.
    """
    keys = streams(seed)
    world = recipe.task.init(keys.world)
    plan = recipe.source.prepare(knobs.data, recipe.task.size)
    optimiser = optax.with_extra_args_support(recipe.optimiser(knobs.optim))

    def step(state: RunState, t: Array) -> tuple[RunState, Array]:
        draw = recipe.source.draw(keys.data, state.source, plan, t)
        noise = jax.random.split(jax.random.fold_in(keys.noise, t), draw.index.shape[0])
        law = recipe.task.at(knobs.task, t)
        batch = jax.vmap(recipe.task.emit, (0, None, 0, None))(noise, world, draw.index, law)

        def batch_loss(params: PyTree, number: int = 0) -> Array:  # the number of an inner step
            return _mean_loss(recipe, params, batch)

        loss, grads = jax.value_and_grad(batch_loss)(state.params)
        updates, optimiser_state = optimiser.update(
            grads, state.optimiser, state.params, grad_fn=jax.grad(batch_loss)
        )
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
    end = start + recipe.phase_steps
    evaluation = evaluate(recipe, new.params, laws, plan, end - 1)  # as trained until now

    blown_up = (new.diverged_at == NEVER) & ~jnp.isfinite(evaluation["test_loss"])
    diverged_at = jnp.where(blown_up, end, new.diverged_at)
    fine = diverged_at == NEVER
    kept = jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, state)
    before = fine | (firsts + recipe.log_every <= diverged_at)
    return kept._replace(diverged_at=diverged_at), Phase(
        train_loss=jnp.where(before, train_loss, jnp.nan),
        evaluation={name: jnp.where(fine, x, jnp.nan) for name, x in evaluation.items()},
    )
