"""Curvature of the training loss, measured at evaluations."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from plateaus.fields import Field
from plateaus.measures.curvature import probe as sharpness
from plateaus.measures.gradients.instrument import mean_loss
from plateaus.measures.instrument import Instrument, Parts, Values
from plateaus.recipe import BatchProbe
from plateaus.types import Array, Example, Key, PyTree
from plateaus.variables import Variable

VARIABLES = {
    "sharpness": Variable("largest eigenvalue of the training loss's Hessian", "loss"),
    "sharpness_lowest": Variable("smallest eigenvalue of the training loss's Hessian", "loss"),
    "gradient_norm": Variable("norm of the training loss's gradient", "loss"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """How the curvature is measured."""

    sharpness_steps: Annotated[
        int,
        Field(help="Lanczos steps to the Hessian's extreme eigenvalues; 0: none", low=0, high=1024),
    ] = 0
    sharpness_batches: Annotated[
        int,
        Field(
            help="random batches whose mean loss the Hessian is of",
            low=1,
            high=1024,
            switch="sharpness_steps",
        ),
    ] = 1


def batch_probe(values: Values, parts: Parts) -> BatchProbe | None:
    """Return what measures the curvature of the training loss; None of 0 steps."""
    if not (steps := values["sharpness_steps"]):
        return None
    loss = mean_loss(parts.model, parts.task)

    def measure(key: Key, params: PyTree, batches: Example) -> dict[str, Array]:
        return sharpness.of_batches(key, loss, params, batches, steps)

    return BatchProbe(values["sharpness_batches"], measure)


INSTRUMENT = Instrument(Spec, lambda task, layers: VARIABLES, batch_probe=batch_probe)
