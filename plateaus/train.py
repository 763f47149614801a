"""Training as pure functions: a whole run, and its parts, the start and a phase of steps.

All functions here are of a single run; their callers map them over many and compile the result:
`jit(vmap(run))`. The measurements are in `plateaus.evaluation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from plateaus import evaluation, feedback, groups
from plateaus.batches import examples, probe_key, probed
from plateaus.evaluation import Law, evaluate
from plateaus.gradient import StepReport, gradient
from plateaus.recipe import Recipe
from plateaus.threefry import quick
from plateaus.types import (
    Array,
    Example,
    Int,
    Knobs,
    PyTree,
    Signals,
    Streams,
    streams,
)

__all__ = ["NEVER", "Phase", "Recipe", "Run", "RunState", "begin", "init", "phase", "run"]

NEVER = -1  # `RunState.diverged_at` of a run that has not diverged


class RunState(NamedTuple):
    """The state that a run carries from step to step, and that a checkpoint holds."""

    params: PyTree
    optimiser: PyTree
    source: PyTree
    aggregator: PyTree  # () without surgery
    reference: PyTree  # the parameters of a model that was trained before; () without one
    diverged_at: Array  # the first step with a loss that is not finite, or NEVER


class Phase(NamedTuple):
    """The measurements of one phase of a run."""

    train_loss: Array  # [windows]
    training: dict[str, Array]  # [windows]: measures of the examples' gradients, under surgery;
    # [windows, G]: losses and errors by group, and each group's share of the batches
    evaluation: dict[str, Array]

    @property
    def windows(self) -> dict[str, Array]:
        """The measurements of every window of `log_every` steps."""
        return {"train_loss": self.train_loss, **self.training}


class Run(NamedTuple):
    """The results of a whole run.

    Fields:
      state: the state after the last step, or before the phase in which the run diverged.
      curves: name -> [1 + phases, ...], the results of `evaluate` before the first step and after
        every phase; and [steps / log_every, ...], "train_loss" and the other means over steps.
      levels: name -> constant of the run: the plateau's height, its floor, the predictors' losses.
    """

    state: RunState
    curves: dict[str, Array]
    levels: dict[str, Array]


def _aggregator(recipe: Recipe, keys: Streams, plan: PyTree, knobs: Knobs) -> PyTree:
    """Return the state of the aggregator before a first step; () without surgery."""
    source = recipe.source
    if recipe.surgery is None:
        return ()
    draw = jax.eval_shape(lambda: source.draw(keys.data, source.init(keys.data), plan, 0))
    return recipe.surgery.aggregator(knobs.optim).init(draw.group.shape[0])


def _begun(recipe: Recipe, keys: Streams, knobs: Knobs) -> tuple[RunState, PyTree]:
    """Return a run's state before the first step, and the plan of its source."""
    params = recipe.model.init(keys.params)
    source = recipe.source
    plan = source.prepare(knobs.data, recipe.task.size)
    return RunState(
        params=params,
        optimiser=recipe.optimiser(knobs.optim).init(params),
        source=source.init(keys.data),
        aggregator=_aggregator(recipe, keys, plan, knobs),
        reference=params if feedback.compares(recipe) else (),
        diverged_at=jnp.int32(NEVER),
    ), plan


def begin(recipe: Recipe, seed: Array | int, knobs: Knobs) -> RunState:
    """Return a run's state before the first step, without its evaluation there."""
    return _begun(recipe, streams(seed), knobs)[0]


def init(
    recipe: Recipe, seed: Array | int, knobs: Knobs, laws: Mapping[str, Law]
) -> tuple[RunState, dict[str, Array]]:
    """Return a run's state before the first step, and its evaluation there."""
    keys = streams(seed)
    state, plan = _begun(recipe, keys, knobs)
    evaluation = evaluate(recipe, state.params, laws, plan, 0, probe_key(keys, 0))
    if recipe.batch_probes:
        world = recipe.task.init(keys.world)
        evaluation |= probed(recipe, state.params, state.source, keys, world, plan, knobs, 0)
    return state, evaluation


def phase(
    recipe: Recipe,
    state: RunState,
    seed: Array | int,
    knobs: Knobs,
    laws: Mapping[str, Law],
    start: Int[Array, ""],
) -> tuple[RunState, Phase]:
    """Take `recipe.phase_steps` steps from step `start` on, then evaluate on the run's `laws`.

    `start` must not be batched under vmap: it is the same for all runs of a chunk, so that the
    work of every so many steps stays a branch. A run whose loss stops being finite keeps the state
    from the beginning of that phase for good, and reports NaN from that step on.
    """
    keys = jax.tree.map(quick, streams(seed))
    world = recipe.task.init(keys.world)
    plan = recipe.source.prepare(knobs.data, recipe.task.size)
    optimiser = optax.with_extra_args_support(recipe.optimiser(knobs.optim))

    def taken(
        state: RunState, key_data: Array, key_noise: Array, key_order: Array, t: Array
    ) -> tuple[RunState, Array, Example, StepReport]:
        """Take one optimiser step, without updating the state of the source."""
        draw = recipe.source.draw(key_data, state.source, plan, t)
        batch = examples(recipe, world, key_noise, draw, knobs, t)
        weigh = feedback.weigh(recipe, state.source, plan, t)

        def at(params: PyTree, number: int) -> tuple:  # 0, or of an inner step from 1
            order = jax.random.fold_in(key_order, number)
            return gradient(recipe, params, batch, state.aggregator, knobs, order, weigh)

        loss, grads, aggregator, report = at(state.params, 0)
        updates, optimiser_state = optimiser.update(
            grads,
            state.optimiser,
            state.params,
            grad_fn=lambda params, i: at(params, i + 1)[1],
        )
        new = state._replace(
            params=optax.apply_updates(state.params, updates),
            optimiser=optimiser_state,
            aggregator=aggregator,
        )
        return new, loss, batch, report

    def short(state: RunState, key: Array, t: Array) -> RunState:
        """Take a step of a short run, on draws from a separate key."""
        data, noise, order = jax.random.split(jax.random.fold_in(key, t), 3)
        return taken(state, data, noise, order, t)[0]

    def fresh(state: RunState) -> RunState:
        params = recipe.model.init(keys.params)
        return state._replace(
            params=params,
            optimiser=optimiser.init(params),
            aggregator=_aggregator(recipe, keys, plan, knobs),
        )

    complete = feedback.completion(recipe, keys, world, short) if recipe.feedback else None

    def step(state: RunState, t: Array) -> tuple[RunState, tuple[Array, StepReport]]:
        state = feedback.staged(recipe, state, fresh, t)
        noise, order = (jax.random.fold_in(key, t) for key in (keys.noise, keys.order))
        new, loss, batch, report = taken(state, keys.data, noise, order, t)
        by_group = loss[None] if report.groups is None else groups.mean_loss(report.groups)
        signals = Signals(by_group)
        if complete is not None:
            signals = complete(new, signals, batch, report, t)
        diverges = (state.diverged_at == NEVER) & ~jnp.isfinite(loss)
        return new._replace(
            source=recipe.source.observe(state.source, signals, plan, t),
            diverged_at=jnp.where(diverges, t, state.diverged_at),
        ), (loss, report._replace(gradient=None, losses=()))

    def window(state: RunState, first: Array) -> tuple[RunState, tuple[Array, dict[str, Array]]]:
        state, steps = jax.lax.scan(step, state, first + jnp.arange(recipe.log_every))
        loss, report = jax.tree.map(lambda x: jnp.mean(x, axis=0), steps)
        measured = {} if report.groups is None else groups.over_steps(report.groups)
        if recipe.surgery:
            measured |= recipe.surgery.summarise(report.surgery)
        last = recipe.source.measures(state.source, plan, first + recipe.log_every - 1)
        measured |= {f"train_{name}{groups.SUFFIX}": value for name, value in last.items()}
        return state, (loss, measured)

    firsts = start + jnp.arange(0, recipe.phase_steps, recipe.log_every)
    new, (train_loss, measured) = jax.lax.scan(window, state, firsts)
    end = start + recipe.phase_steps
    key = probe_key(keys, end - 1)
    evaluation = evaluate(recipe, new.params, laws, plan, end - 1, key)  # as trained until now
    if recipe.batch_probes:
        evaluation |= probed(recipe, new.params, new.source, keys, world, plan, knobs, end - 1)

    blown_up = (new.diverged_at == NEVER) & ~jnp.isfinite(evaluation["test_loss"])
    diverged_at = jnp.where(blown_up, end, new.diverged_at)
    fine = diverged_at == NEVER
    kept = jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, state)
    before = fine | (firsts + recipe.log_every <= diverged_at)
    return kept._replace(diverged_at=diverged_at), Phase(
        train_loss=jnp.where(before, train_loss, jnp.nan),
        training={
            name: jnp.where(before.reshape(-1, *[1] * (x.ndim - 1)), x, jnp.nan)
            for name, x in measured.items()
        },
        evaluation={name: jnp.where(fine, x, jnp.nan) for name, x in evaluation.items()},
    )


def run(recipe: Recipe, seed: Array | int, knobs: Knobs) -> Run:
    """Train one run, from its seed to its end.

    An ensemble is `jit(vmap(lambda seed: run(recipe, seed, knobs)))(seeds)`. A command trains by
    the same parts, as separate programs with checkpoints between them. Mapped over as many runs as
    a chunk of the command has, `run` gives the same bits of weights and of training and test
    losses. Means that training does not use (distances to predictors before the first step, cosines
    of gradients) may differ by up to 1e-5 of themselves: XLA fuses their sums with other code.
    """
    laws, levels = evaluation.laws(recipe, seed, knobs)
    state, first = init(recipe, seed, knobs, laws)

    def next_phase(state: RunState, start: Array) -> tuple[RunState, Phase]:
        return phase(recipe, state, seed, knobs, laws, start)

    starts = jnp.arange(0, recipe.steps, recipe.phase_steps)
    state, phases = jax.lax.scan(next_phase, state, starts)
    curves = {name: x.reshape(-1, *x.shape[2:]) for name, x in phases.windows.items()}
    for name, x in phases.evaluation.items():
        curves[name] = jnp.concatenate([first[name][None], x])
    return Run(state, curves, levels)
