"""Steps in JAX: plain, with every example's gradient made (stacked), and ours from factors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks.gradient_geometry.jobs import (
    OURS,
    PLAIN_JAX,
    STACKED,
    Parity,
    Shape,
)
from experiments.benchmarks.timing import Trained, stopwatch
from experiments.benchmarks.transformer import ours as transformer_ours
from experiments.benchmarks.transformer.shapes import BATCHES
from plateaus.gram.engine import combine, per_example_gram
from plateaus.models.networks import mlp
from plateaus.optim.aggregators.pcgrad import pcgrad
from plateaus.types import Example, Model, streams

Gradient = Callable[[Any, Example], tuple[jax.Array, Any]]


class Setting(NamedTuple):
    """A model, the loss of each example, an optimiser, and what it starts from, by seed."""

    model: Model
    loss: Callable[[jax.Array, Example], jax.Array]
    optimiser: optax.GradientTransformation
    make: Callable[[Any], tuple[Any, Example]]  # seed -> first weights, batches laid end to end


def setting(job: Shape | Parity) -> Setting:
    """Return a job's; the loss of an example is the mean over the positions that are read."""
    if isinstance(job, Shape):
        made = transformer_ours.recipe(job)

        def transformer(seed):
            keys = streams(seed)
            return made.model.init(keys.params), made.task.init(keys.world)

        return Setting(
            made.model,
            lambda y, x: jnp.mean((y - x.targets) ** 2, 1),
            optax.adam(1e-4),
            transformer,
        )
    model = mlp.mlp(mlp.Spec(width=job.width), job.dimension)

    def parity(seed):
        keys = streams(seed)
        shape = (BATCHES * job.batch, job.dimension)
        x = jax.random.rademacher(keys.data, shape, jnp.float32)
        return model.init(keys.params), Example(x, jnp.prod(x[:, :6], axis=1))

    return Setting(model, lambda y, x: (y - x.targets) ** 2, optax.sgd(0.1), parity)


def gradients(kind: str, model: Model, loss: Callable[..., jax.Array]) -> Gradient:
    """Return (params, batch) -> (losses [B], gradient): of the mean, or PCGrad's sum over B."""
    if kind == PLAIN_JAX:

        def plain(params, batch):
            def mean(params):
                losses = loss(model.apply(params, batch.inputs)[0], batch)
                return jnp.mean(losses), losses

            (_, losses), gradient = jax.value_and_grad(mean, has_aux=True)(params)
            return losses, gradient

        return plain
    if kind == STACKED:

        def stacked(params, batch):
            def one(params, example):
                example = jax.tree.map(lambda x: x[None], example)
                return loss(model.apply(params, example.inputs)[0], example)[0]

            losses, each = jax.vmap(jax.value_and_grad(one), (None, 0))(params, batch)
            rows = [x.reshape(len(losses), -1) for x in jax.tree.leaves(each)]
            weights = surgery(sum(x @ x.T for x in rows))
            return losses, jax.tree.map(lambda x: jnp.tensordot(weights, x, 1), each)

        return stacked
    assert kind == OURS
    engine = per_example_gram(model, loss)

    def ours(params, batch):
        losses, gram, captured = engine(params, batch)
        return losses, combine(captured, surgery(gram))

    return ours


def surgery(gram: jax.Array) -> jax.Array:
    """Return PCGrad's weights, over B: without a conflict those of the mean."""
    return pcgrad().update(gram, ())[0] / len(gram)


class Trainer:
    """Training one way, in scans of the job's steps as `plateaus.train.phase` takes them."""

    def __init__(self, kind: str, job: Shape | Parity) -> None:
        """Compile it."""
        self.job, self.setting = job, setting(job)
        self.gradient = gradients(kind, self.setting.model, self.setting.loss)
        self.start = jax.jit(self.mapped(self._start))
        self.seeds = jnp.arange(job.runs, dtype=jnp.uint32) if isinstance(job, Parity) else 0
        shapes = jax.eval_shape(self.start, self.seeds)
        scan = jax.jit(self.mapped(self._scan), donate_argnums=0)
        self.program = scan.lower(*shapes).compile()

    def mapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return jax.vmap(function) if isinstance(self.job, Parity) else function

    def _start(self, seed):
        params, batches = self.setting.make(seed)
        return (params, self.setting.optimiser.init(params)), batches

    def batch(self, batches: Example, t: Any) -> Example:
        """Return the batch of step t."""
        first = t % BATCHES * self.job.batch
        cut = functools.partial(jax.lax.dynamic_slice_in_dim, slice_size=self.job.batch)
        return jax.tree.map(lambda x: cut(x, first), batches)

    def _scan(self, state, batches):
        def step(state, t):
            params, inner = state
            losses, gradient = self.gradient(params, self.batch(batches, t))
            updates, inner = self.setting.optimiser.update(gradient, inner, params)
            return (optax.apply_updates(params, updates), inner), jnp.mean(losses)

        return jax.lax.scan(step, state, jnp.arange(self.job.steps))

    def prepare(self, place: str) -> None:
        """Make the first weights and the batches; write those of the first run, for PyTorch."""
        state, self.batches = self.start(self.seeds)
        self.given = jax.device_get(state)
        params, batches = self._alone()
        named: dict[str, Any] = transformer_ours.named(params)
        if not Path(place).exists():
            np.savez(place, inputs=batches.inputs, targets=batches.targets, **named)
        self.train(1)  # what JAX itself keeps from a first run on is not a step's

    def _alone(self) -> tuple[Any, Example]:
        both = self.given[0], self.batches
        return jax.tree.map(lambda x: x[0], both) if isinstance(self.job, Parity) else both

    def planned_mib(self) -> float:
        """Return what the compiled program plans to hold: arguments, results, what is between."""
        plan: Any = self.program.memory_analysis()
        held = plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes
        return (held - plan.alias_size_in_bytes) / 2**20

    def train(self, steps: int) -> Trained:
        """Train from the first weights by whole scans; return the losses [runs, steps]."""
        state, losses = jax.tree.map(jnp.array, self.given), []
        jax.block_until_ready(state)
        took = stopwatch()
        for _ in range(-(-steps // self.job.steps)):
            state, found = self.program(state, self.batches)
            losses.append(found)
        jax.block_until_ready(state)
        return Trained(took(), np.atleast_2d(np.concatenate(losses, axis=-1))[:, :steps])

    def first(self) -> dict[str, np.ndarray]:
        """Return the gradient of the first step, of the first run, by name."""
        first = jax.jit(lambda params, batches: self.gradient(params, self.batch(batches, 0))[1])
        return transformer_ours.named(first(*self._alone()))
