"""Gradients of a batch's examples: how they are captured, and combined by an aggregator."""

from __future__ import annotations

import jax

from plateaus.gram import engine as gram
from plateaus.measures.gradients import probe as gradients
from plateaus.optim.optimisers import Spec, aggregator
from plateaus.recipe import Gradients, Surgery
from plateaus.types import Array, Example, Model, PyTree, Task
from plateaus.variables import WINDOWS, Variable

TRAINING = "train_"  # begins the names of what is recorded
VARIABLES = {
    TRAINING + name: Variable(meaning, time=WINDOWS) for name, meaning in gradients.MEANINGS.items()
}


def gradients_of(model: Model, task: Task) -> Gradients:
    """Return the functions that capture and combine the gradients of a batch's examples."""

    def loss_of_example(params: PyTree, example: Example) -> tuple[Array, Array]:
        batch_of_one = jax.tree.map(lambda x: x[None], example)
        prediction = model.apply(params, batch_of_one.inputs)[0][0]
        return task.loss(prediction, example), prediction

    def capture(params: PyTree, batch: Example) -> tuple[Array, Array, gram.Captured]:
        (losses, predictions), captured = gram.capture(loss_of_example, params, batch, has_aux=True)
        return losses, predictions, captured

    return Gradients(capture, gram.combine)


def surgery(spec: Spec) -> Surgery | None:
    """Return training on a combination of the examples' gradients; None without an aggregator."""
    made = aggregator(spec)
    if made is None:
        return None

    def summarise(means: dict[str, Array]) -> dict[str, Array]:
        return {TRAINING + name: x for name, x in gradients.over_steps(means).items()}

    return Surgery(
        gram=gram.gram,
        aggregator=made,
        measure=gradients.of_examples,
        summarise=summarise,
    )
