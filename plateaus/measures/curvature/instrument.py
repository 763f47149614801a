"""Curvature of the training loss, measured at evaluations."""

from __future__ import annotations

from plateaus.measures.curvature import probe as sharpness
from plateaus.measures.gradients.instrument import mean_loss
from plateaus.recipe import BatchProbe
from plateaus.types import Array, Example, Key, Model, PyTree, Task


def curvature_probe(batches: int, steps: int, model: Model, task: Task) -> BatchProbe | None:
    """Return what measures the curvature of the training loss in so many steps; None of 0."""
    if not steps:
        return None
    loss = mean_loss(model, task)

    def measure(key: Key, params: PyTree, many: Example) -> dict[str, Array]:
        return sharpness.of_batches(key, loss, params, many, steps)

    return BatchProbe(batches, measure)
