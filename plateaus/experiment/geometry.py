"""The parts of a run that look at gradients and curvature: built where something asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from plateaus.models import gram
from plateaus.optim.optimiser import Spec, aggregator
from plateaus.probes import gradients, sharpness
from plateaus.recipe import BatchProbe, Gradients, Surgery
from plateaus.types import Array, Example, Key, Model, PyTree, Task

TRAINING, PROBED = "train_", "gradient_"  # begin the names of what is recorded


def gradients_of(model: Model, task: Task) -> Gradients:
    """Return how the gradients of a batch's examples are captured."""

    def one(params: PyTree, example: Example) -> tuple[Array, Array]:
        alone = jax.tree.map(lambda x: x[None], example)
        prediction = model.apply(params, alone.inputs)[0][0]
        return task.loss(prediction, example), prediction

    def capture(params: PyTree, batch: Example) -> tuple[Array, Array, gram.Captured]:
        (losses, predictions), captured = gram.capture(one, params, batch, has_aux=True)
        return losses, predictions, captured

    return Gradients(capture, gram.combine)


def surgery(spec: Spec) -> Surgery | None:
    """Return training on what an aggregator makes of the examples' gradients; None without one."""
    made = aggregator(spec)
    if made is None:
        return None

    def summarise(means: dict[str, Array]) -> dict[str, Array]:
        return _prefixed(TRAINING, gradients.over_steps(means))

    return Surgery(
        gram=gram.gram,
        aggregator=made,
        measure=gradients.of_examples,
        summarise=summarise,
    )


def batch_probe(batches: int, model: Model, task: Task) -> BatchProbe | None:
    """Return what measures the gradients of so many batches; None of 0."""
    if not batches:
        return None
    loss = _mean_loss(model, task)

    def measure(key: Key, params: PyTree, many: Example) -> dict[str, Array]:
        batch = jax.tree.leaves(many)[0].shape[1]
        _, captured = gram.capture(loss, params, many)
        return _prefixed(PROBED, gradients.of_batches(gram.layer_grams(captured), batch))

    return BatchProbe(batches, measure)


def curvature_probe(batches: int, steps: int, model: Model, task: Task) -> BatchProbe | None:
    """Return what measures the curvature of the training loss in so many steps; None of 0."""
    if not steps:
        return None
    loss = _mean_loss(model, task)

    def measure(key: Key, params: PyTree, many: Example) -> dict[str, Array]:
        return sharpness.of_batches(key, loss, params, many, steps)

    return BatchProbe(batches, measure)


def _mean_loss(model: Model, task: Task) -> Callable[[PyTree, Example], Array]:
    losses = _losses(task)
    return lambda params, batch: jnp.mean(losses(model.apply(params, batch.inputs)[0], batch))


def _losses(task: Task) -> Callable[[Array, Example], Array]:
    return lambda predictions, batch: jax.vmap(task.loss)(predictions, batch)


def _prefixed(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    return {prefix + name: value for name, value in values.items()}
