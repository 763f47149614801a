"""The training that every peer has to reproduce before it is timed."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.parity import ours
from plateaus import train
from plateaus.jobs import sweep, tracing


class Problem(NamedTuple):
    """What a peer is given, and the losses it has to reproduce; all float32."""

    params: dict[str, np.ndarray]  # "hidden_0/kernel": [runs, 20, 40], ...
    inputs: np.ndarray  # [steps, runs, batch, dimension]
    targets: np.ndarray  # [steps, runs, batch]
    losses: np.ndarray  # [runs, steps]
    learning_rate: float


def problem(runs: int, steps: int) -> Problem:
    """Return first weights, batches drawn uniformly, and our losses with them step by step."""
    lengths = (f"--config.steps={steps}", f"--config.eval_every={steps}", "--config.log_every=1")
    group = ours.ensemble(*ours.UNIFORM, *ours.BARE, *lengths, "--seeds", str(runs))
    chunks = sweep.chunks(group.plan, group.program, group.width)
    device = jax.devices()[0]
    records = [ours.run(group, chunk, device, ours.start(group, chunk)) for chunk in chunks]
    recipe = group.compiled.recipe
    everyone = sweep.chunk(group.plan, group.program, group.program.members)
    seeds, knobs = tracing.arguments(group.plan, everyone, runs)

    def export(seed, knobs):
        keys = train.streams(seed)
        world = recipe.task.init(keys.world)
        plan = recipe.source.prepare(knobs.data, recipe.task.size)

        def batch(t):
            draw = recipe.source.draw(keys.data, (), plan, t)
            emit = jax.vmap(recipe.task.emit, (None, None, 0, None))
            return emit(keys.noise, world, draw, knobs.task)

        return recipe.model.init(keys.params), jax.vmap(batch)(jnp.arange(steps))

    params, batches = jax.device_get(jax.jit(jax.vmap(export))(seeds, knobs))
    named = {f"{layer}/{part}": x for layer, both in params.items() for part, x in both.items()}
    return Problem(
        params=named,
        inputs=np.ascontiguousarray(np.swapaxes(batches.inputs, 0, 1)),
        targets=np.ascontiguousarray(np.swapaxes(batches.targets, 0, 1)),
        losses=np.concatenate([record["train_loss"] for record in records]),
        learning_rate=group.program.config["optim.learning_rate"],
    )
