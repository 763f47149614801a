"""The functions of a program: mapped over runs, traced for their shapes, compiled for a device."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import numpy as np

from plateaus import evaluation, train
from plateaus.batches import probe_key
from plateaus.build import mixing_cost
from plateaus.build.recipes import make_recipe, stack_knobs
from plateaus.build.soundness import shapes_of
from plateaus.config.plan import Plan
from plateaus.jobs import memory
from plateaus.jobs.records import Facts, variables
from plateaus.jobs.sweep import Chunk, Program, setting
from plateaus.recipe import Recipe
from plateaus.types import streams


class Compiled(NamedTuple):
    """The programs of a recipe, mapped over the runs of a chunk. The only jit there is."""

    recipe: Recipe
    laws: Any  # (seeds, knobs) -> (laws, constants)
    start: Any  # (seeds, knobs, laws) -> (state, evaluation)
    phase: Any  # (state, seeds, knobs, laws, first step) -> (state, Phase)
    facts: Facts


class Held(NamedTuple):
    """The shapes of the arrays that one run holds from phase to phase."""

    seed: Any
    knobs: Any
    laws: Any
    constants: Any
    state: train.RunState

    @property
    def parameters(self) -> int:
        """The number of the model's weights."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.state.params))


def compiled(program: Program) -> Compiled:
    """Return the program's functions, jitted and mapped; the first call compiles."""
    resolved = program.resolved
    recipe = make_recipe(resolved, program.used)
    _, example = shapes_of(resolved.sections["task"], resolved.spec("task"))
    groups = recipe.task.groups
    facts = Facts(
        variables(resolved),
        groups.learned.below if groups and groups.learned else (),
        mixing_cost.of_gradients(recipe, example.inputs),
    )
    return mapped(recipe, facts)


def mapped(recipe: Recipe, facts: Facts) -> Compiled:
    """Return the pieces of `train.run` as programs of their own, since checkpoints come between."""
    phase = jax.vmap(functools.partial(train.phase, recipe), in_axes=(0, 0, 0, 0, None))
    return Compiled(
        recipe,
        laws=laws_of(recipe),
        start=jax.jit(jax.vmap(functools.partial(train.init, recipe))),
        phase=jax.jit(phase, donate_argnums=0),
        facts=facts,
    )


def laws_of(recipe: Recipe) -> Any:
    """Return the function (seeds, knobs) -> (laws, constants) of a recipe, for many runs."""
    return jax.jit(jax.vmap(functools.partial(evaluation.laws, recipe)))


def evaluate_of(recipe: Recipe) -> Any:
    """Return (seeds, knobs, params, laws, step) -> evaluation after a step, for many runs."""

    def evaluated(seed: Any, knobs: Any, params: Any, laws: Any, t: Any) -> dict[str, Any]:
        source = recipe.source.prepare(knobs.data, recipe.task.size)
        return evaluation.evaluate(recipe, params, laws, source, t, probe_key(streams(seed), t))

    return jax.jit(jax.vmap(evaluated, in_axes=(0, 0, 0, 0, None)))


def held(program: Program, recipe: Recipe, samples: dict[Any, Any] | None = None) -> Held:
    """Return the shapes of the arrays that a run of a program holds; nothing is computed.

    `samples` caches the shapes of the laws between programs: no design or optimiser changes them.
    """
    resolved, config = program.resolved, program.config
    seed, knobs = np.uint32(0), stack_knobs(resolved, [config])
    knobs = jax.tree.map(lambda x: x[0], knobs)
    samples = {} if samples is None else samples
    of = resolved.spec("task"), config["eval_points"], config["pool_points"]
    if of not in samples:
        samples[of] = jax.eval_shape(functools.partial(evaluation.laws, recipe), seed, knobs)
    laws, constants = samples[of]
    state = jax.eval_shape(functools.partial(train.begin, recipe), seed, knobs)
    return Held(seed, knobs, laws, constants, state)


def traced(compiled: Compiled, held: Held, width: int | None = None) -> train.Phase:
    """Return the shapes of a phase's measurements on one run; nothing is computed.

    With `width` the phase is traced for so many runs at once, and compiling it later needs no
    second trace; without, it is traced for one run, in less time.
    """
    run = (held.state, held.seed, held.knobs, held.laws)
    if width is None:
        phase = functools.partial(train.phase, compiled.recipe)
        return jax.eval_shape(phase, *run, np.int32(0))[1]
    runs = jax.tree.map(lambda x: jax.ShapeDtypeStruct((width, *x.shape), x.dtype), run)
    _, measured = jax.eval_shape(compiled.phase, *runs, np.int32(0))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), measured)


def arguments(plan: Plan, chunk: Chunk, width: int) -> tuple:
    """Return (seeds, knobs) of a chunk, its last member repeated up to the width."""
    assert 0 < len(chunk.members) <= width, f"{len(chunk.members)} runs in a chunk of {width}"
    members = [*chunk.members, *[chunk.members[-1]] * (width - len(chunk.members))]
    knobs = stack_knobs(plan.resolved, [setting(plan, member) for member in members])
    return np.asarray([member.seed for member in members], np.uint32), knobs


def compile_on(device: jax.Device, plan: Plan, chunk: Chunk, programs: Compiled, width: int) -> int:
    """Compile a chunk's programs for a device; return the bytes that the largest needs there.

    Later calls compile nothing more. Raises ValueError where the platform reports no bytes.
    """

    def placed(shapes: Any) -> Any:
        where = jax.sharding.SingleDeviceSharding(device)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), shapes
        )

    first = chunk._replace(members=chunk.members[:1])  # repeated up to the width
    seeds, knobs = jax.device_put(arguments(plan, first, width), device)
    laws = placed(jax.eval_shape(programs.laws, seeds, knobs)[0])
    state = placed(jax.eval_shape(programs.start, seeds, knobs, laws)[0])
    lowered = (
        programs.laws.lower(seeds, knobs),
        programs.phase.lower(state, seeds, knobs, laws, np.int32(0)),
    )  # `start` evaluates as `phase` does, and needs less
    return max([memory.program_bytes(program.compile()) for program in lowered])
