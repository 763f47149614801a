"""Gradients of random batches, compared at evaluations."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from plateaus.gram import engine as gram
from plateaus.measures.gradients import probe as gradients
from plateaus.recipe import BatchProbe
from plateaus.types import Array, Example, Key, Model, PyTree, Task

PROBED = "gradient_"  # begins the names of what is recorded


def batch_probe(batches: int, model: Model, task: Task) -> BatchProbe | None:
    """Return what measures the gradients of so many batches; None of 0."""
    if not batches:
        return None
    loss = mean_loss(model, task)

    def measure(key: Key, params: PyTree, many: Example) -> dict[str, Array]:
        batch = jax.tree.leaves(many)[0].shape[1]
        _, captured = gram.capture(loss, params, many)
        return {
            PROBED + name: x
            for name, x in gradients.of_batches(gram.layer_grams(captured), batch).items()
        }

    return BatchProbe(batches, measure)


def mean_loss(model: Model, task: Task) -> Callable[[PyTree, Example], Array]:
    """Return (params, batch) -> the mean training loss."""

    def loss(params: PyTree, batch: Example) -> Array:
        predictions = model.apply(params, batch.inputs)[0]
        return jnp.mean(jax.vmap(task.loss)(predictions, batch))

    return loss
