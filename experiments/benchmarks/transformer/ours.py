"""Our training of the transformer: `plateaus.train.phase` on batches made beforehand."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.timing import Trained, side_by_side
from experiments.benchmarks.transformer.shapes import BATCHES, Job
from plateaus import train
from plateaus.evaluation import Law
from plateaus.models.networks.transformer import Spec, transformer
from plateaus.optim import optimisers
from plateaus.recipe import Recipe
from plateaus.tasks.laws import linear_regression
from plateaus.types import Draw, Knobs, Source, streams


def recipe(job: Job) -> Recipe:
    """Return ours, for `plateaus.train`: prompts of linear regression, in batches made beforehand.

    They are the world's, so that PyTorch can be given the same; drawing them is not timed.
    """
    spec = linear_regression.Spec(dimension=job.dimension, points=job.tokens // 2)
    task, size = linear_regression.linear_regression(spec), job.batch * BATCHES

    def world(key):
        law, numbers = task.init(key), jnp.arange(size)
        keys = jax.vmap(functools.partial(jax.random.fold_in, key))(numbers)
        knobs = linear_regression.Knobs()
        return jax.vmap(task.emit, (0, None, 0, None))(keys, law, Draw(numbers, 0 * numbers), knobs)

    def draw(key, state, plan, t):
        index = t % BATCHES * job.batch + jnp.arange(job.batch)
        return Draw(index, jnp.zeros_like(index))

    def emit(key, world, draw, knobs):
        return jax.tree.map(lambda x: x[draw.index], world)

    return Recipe(
        task=task._replace(init=world, emit=emit, size=size),
        source=Source(
            init=lambda key: (),
            prepare=lambda knobs, size: (),
            draw=draw,
            log_prob=lambda plan, index, t: jnp.zeros(index.shape),
            observe=lambda state, *_: state,
        ),
        model=transformer(
            Spec(
                width=job.width,
                depth=job.depth,
                heads=job.heads,
                max_positions=job.max_positions,
                compute=job.compute,
                initialisation="icl",
            ),
            inputs=job.dimension,
            read_at=task.reads.at,
        ),
        optimiser=optimisers.optimiser(optimisers.Spec(name="adam"), frozenset()),
        steps=job.steps,
        phase_steps=job.steps,
        log_every=1,
        eval_points=1,
    )


def trainer(job: Job, devices: Sequence[jax.Device]) -> Callable[[], Trained]:
    """Return training by `plateaus.train.phase`: `job.seeds` runs mapped in a program a device."""
    made = recipe(job)
    knobs = Knobs(linear_regression.Knobs(), (), optimisers.Knobs(learning_rate=1e-4))
    knobs = jax.tree.map(lambda x: jnp.full(job.seeds, x), knobs)

    def begin(seed, knobs):
        # One prompt is evaluated once a slice, and no predictor: evaluation is timed elsewhere.
        batch = jax.tree.map(lambda x: x[:1], made.task.init(streams(seed).world))
        laws = {"test": Law(batch, {})}
        return train.init(made, seed, knobs, laws)[0], laws

    start = jax.jit(jax.vmap(begin))
    mapped = jax.vmap(functools.partial(train.phase, made), in_axes=(0, 0, 0, 0, None))
    phase = jax.jit(mapped, donate_argnums=0)
    given = []
    for place, device in enumerate(devices):
        seeds = jnp.arange(job.seeds, dtype=jnp.uint32) + place * job.seeds
        arguments = jax.device_put((seeds, knobs), device)
        given.append((*arguments, *start(*arguments)))

    def slice_() -> Trained:
        states = [jax.block_until_ready(jax.tree.map(jnp.copy, state)) for *_, state, _ in given]
        losses: list[Any] = [None] * len(given)

        def work(place: int) -> None:
            seeds, knobs, _, laws = given[place]
            _, measured = phase(states[place], seeds, knobs, laws, np.int32(0))
            losses[place] = jax.block_until_ready(measured.train_loss)

        sample, _ = side_by_side(work, len(given))
        return Trained(sample, np.concatenate([np.asarray(x) for x in losses]))

    return slice_


def save(job: Job, place: str) -> None:
    """Write the first weights and the batches of seed 0."""
    made, keys = recipe(job), streams(0)
    params, batches = jax.jit(lambda: (made.model.init(keys.params), made.task.init(keys.world)))()
    arrays: dict[str, Any] = named(params)
    np.savez(place, inputs=batches.inputs, targets=batches.targets, **arrays)


def named(tree: Any) -> dict[str, np.ndarray]:
    """Return the leaves of a tree by path, "block_0/qkv/kernel", on the host."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(x)
        for path, x in jax.tree.leaves_with_path(tree)
    }
