"""The parts of a run that look at single gradients: built where something asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from plateaus.models import gram
from plateaus.optim.optimiser import Spec, aggregator
from plateaus.probes import gradients
from plateaus.types import Array, BatchProbe, Example, Model, PyTree, Surgery, Task

TRAINING, PROBED = "train_", "gradient_"  # begin the names of what is recorded


def surgery(spec: Spec, model: Model, task: Task) -> Surgery | None:
    """Return training on what an aggregator makes of the examples' gradients; None without one."""
    made = aggregator(spec)
    if made is None:
        return None

    def summarise(means: dict[str, Array]) -> dict[str, Array]:
        return _prefixed(TRAINING, gradients.over_steps(means))

    return Surgery(
        engine=gram.per_example_gram(model, _losses(task)),
        combine=gram.combine,
        aggregator=made,
        measure=gradients.of_examples,
        summarise=summarise,
    )


def batch_probe(batches: int, model: Model, task: Task) -> BatchProbe | None:
    """Return what measures the gradients of so many batches; None of 0."""
    if not batches:
        return None
    losses = _losses(task)

    def loss(params: PyTree, batch: Example) -> Array:
        return jnp.mean(losses(model.apply(params, batch.inputs)[0], batch))

    def measure(params: PyTree, many: Example) -> dict[str, Array]:
        batch = jax.tree.leaves(many)[0].shape[1]
        _, captured = gram.capture(loss, params, many)
        return _prefixed(PROBED, gradients.of_batches(gram.layer_grams(captured), batch))

    return BatchProbe(batches, measure)


def _losses(task: Task) -> Callable[[Array, Example], Array]:
    return lambda predictions, batch: jax.vmap(task.loss)(predictions, batch)


def _prefixed(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    return {prefix + name: value for name, value in values.items()}
