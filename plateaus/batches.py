"""The examples of a step, and measurements on batches that are not trained on."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from plateaus.recipe import Recipe
from plateaus.types import Array, Draw, Example, Key, Knobs, PyTree, Streams

NO_STEP = 2**31 - 1  # above the number of any step


def examples(
    recipe: Recipe, world: PyTree, key: Array, draw: Draw, knobs: Knobs, t: Array | int
) -> Example:
    """Return the examples of a draw under the training law of step t."""
    noise = jax.random.split(key, jnp.shape(draw.group)[0])
    law = recipe.task.at(knobs.task, t)
    return jax.vmap(recipe.task.emit, (0, None, 0, None))(noise, world, draw, law)


def probed(
    recipe: Recipe,
    params: PyTree,
    source: PyTree,
    keys: Streams,
    world: PyTree,
    plan: PyTree,
    knobs: Knobs,
    t: Array | int,
) -> dict[str, Array]:
    """Return the probes' measurements on a few batches drawn like those of step t.

    All probes see the same batches.
    """

    def batch_of(key: Array) -> Example:
        key_draw, key_noise = jax.random.split(key)
        draw = recipe.source.draw(key_draw, source, plan, t)
        return examples(recipe, world, key_noise, draw, knobs, t)

    measured: dict[str, Array] = {}
    for number, probe in enumerate(recipe.batch_probes, len(recipe.probes)):
        keys_batch = jax.random.split(jax.random.fold_in(keys.probe, t), probe.batches)
        key = jax.random.fold_in(probe_key(keys, t), number)
        measured |= probe.measure(key, params, jax.vmap(batch_of)(keys_batch))
    return measured


def probe_key(keys: Streams, t: Array | int) -> Key:
    """Return the key of the probes' random draws at step t, other than batches."""
    return jax.random.fold_in(jax.random.fold_in(keys.probe, NO_STEP), t)
