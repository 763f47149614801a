"""The same training without sampling: one batch a run, made before its first step."""

from __future__ import annotations

from typing import Any, cast

import jax
import jax.numpy as jnp

from experiments.benchmarks.parity import ours
from plateaus import train
from plateaus.build import registry
from plateaus.jobs import tracing
from plateaus.types import Draw, Example


def ensemble(*words: str) -> ours.Ensemble:
    """Return the ensemble of a command line, its sampling taken out."""
    group = ours.ensemble(*words)
    recipe = constant_batch(group.compiled.recipe)
    return group._replace(compiled=tracing.mapped(recipe, group.compiled.facts))


def constant_batch(recipe: train.Recipe) -> train.Recipe:
    """Return the recipe with one batch a run, made before the first step: sampling for nothing.

    The batch travels in the source's state, so that each run has its own, and nothing is gathered.
    """
    knobs = registry.TASKS["sparse_parity"].knobs()

    def init(key):
        draw = Draw(jnp.arange(_batch(recipe)), jnp.zeros(_batch(recipe), int))
        world = recipe.task.init(key)
        return jax.vmap(recipe.task.emit, (None, None, 0, None))(key, world, draw, knobs)

    def emit(key, world, draw, knobs):
        return draw.index

    def draw(key, state, plan, t):
        return Draw(cast(Any, _Rows(*state)), jnp.zeros(_batch(recipe), int))

    source = recipe.source._replace(init=init, draw=draw, observe=lambda state, *_: state)
    return recipe._replace(source=source, task=recipe.task._replace(emit=emit))


class _Rows(Example):
    """A batch of examples in place of a batch of their indices."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.targets.shape


def _batch(recipe: train.Recipe) -> int:
    """Return how many examples the recipe's source draws a step."""

    def draw(key):
        plan = recipe.source.prepare(registry.DATA.knobs(), recipe.task.size)
        return recipe.source.draw(key, recipe.source.init(key), plan, 0).index

    return jax.eval_shape(draw, jax.eval_shape(jax.random.key, 0)).shape[0]
