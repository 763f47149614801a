"""Gradients of random batches, compared at evaluations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

import jax
import jax.numpy as jnp

from plateaus.fields import Field
from plateaus.gram import engine as gram
from plateaus.measures.gradients import probe as gradients
from plateaus.measures.instrument import Instrument, Parts, Values
from plateaus.recipe import BatchProbe
from plateaus.types import Array, Example, Key, Model, PyTree, Task
from plateaus.variables import Variable

PROBED = "gradient_"  # begins the names of what is recorded


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """How many batches' gradients are compared."""

    gradient_batches: Annotated[
        int,
        Field(help="random batches whose gradients are compared at evaluations", low=0, high=1024),
    ] = 0


def _variables(task: Task, layers: Sequence[str]) -> dict[str, Variable]:
    declared = {
        "cosine": Variable("cosine of the gradients of two random batches, mean over pairs").of(
            averaged="over evaluations"
        ),
        **{name: Variable(gradients.MEANINGS[name]) for name in ("signal", "noise")},
    }
    for layer in layers:
        for part, meaning in (
            ("cosine", f"part of {layer} in the cosine of two gradients"),
            ("noise", f"share of {layer} in the noise of the gradient"),
        ):
            family = f"{PROBED}{part}"
            averaged = {"averaged": "over evaluations"} if part == "noise" else {}
            variable = Variable(meaning).of(family=family, layer=layer, **averaged)
            declared[f"{part}_in_{layer}"] = variable
    return {PROBED + name: variable for name, variable in declared.items()}


def _check(values: Values, task: Task, tokens: int) -> Iterator[tuple[str, str]]:
    if values["gradient_batches"] == 1:
        yield "gradient_batches", "must be 0, or at least 2 to compare"


def batch_probe(values: Values, parts: Parts) -> BatchProbe | None:
    """Return what measures the gradients of some batches; None of 0."""
    if not (size := values["gradient_batches"]):
        return None
    loss = mean_loss(parts.model, parts.task)

    def measure(key: Key, params: PyTree, batches: Example) -> dict[str, Array]:
        batch = jax.tree.leaves(batches)[0].shape[1]
        _, captured = gram.capture(loss, params, batches)
        return {
            PROBED + name: x
            for name, x in gradients.of_batches(gram.layer_grams(captured), batch).items()
        }

    return BatchProbe(size, measure)


def mean_loss(model: Model, task: Task) -> Callable[[PyTree, Example], Array]:
    """Return (params, batch) -> the mean training loss."""

    def loss(params: PyTree, batch: Example) -> Array:
        predictions = model.apply(params, batch.inputs)[0]
        return jnp.mean(jax.vmap(task.loss)(predictions, batch))

    return loss


INSTRUMENT = Instrument(Spec, _variables, batch_probe=batch_probe, check=_check)
