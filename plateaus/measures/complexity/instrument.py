"""The local learning coefficient of the training loss, measured at evaluations."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated

import jax

from plateaus.fields import Field
from plateaus.measures.complexity import probe as complexity
from plateaus.measures.gradients.instrument import mean_loss
from plateaus.measures.instrument import Instrument, Parts, Values
from plateaus.recipe import BatchProbe
from plateaus.types import Array, Example, Key, PyTree, Task
from plateaus.variables import Variable

VARIABLES = {
    "llc": Variable("local learning coefficient of the training loss").of(family="progress"),
    "llc_spread": Variable("standard deviation of the local learning coefficient over chains"),
}
SWITCH = "llc_draws"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """How weights about those of the run are drawn."""

    llc_draws: Annotated[
        int,
        Field(
            help="draws of each chain for the local learning coefficient; 0: none",
            low=0,
            high=2**20,
        ),
    ] = 0
    llc_burn_in: Annotated[
        int, Field(help="steps of a chain before its draws", low=0, high=2**20, switch=SWITCH)
    ] = 100
    llc_chains: Annotated[int, Field(help="chains of draws", low=1, high=1024, switch=SWITCH)] = 2
    llc_batches: Annotated[
        int,
        Field(help="random batches whose mean loss it is of", low=1, high=4096, switch=SWITCH),
    ] = 64
    llc_step_size: Annotated[
        float,
        Field(help="step size of the chains", low=0, low_open=True, high=1, switch=SWITCH),
    ] = 1e-4
    llc_localisation: Annotated[
        float,
        Field(help="strength of the spring to the weights", low=0, high=1e9, switch=SWITCH),
    ] = 1000.0


def check(values: Values, task: Task, tokens: int) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for a single example, of which n / log n is not defined."""
    if values[SWITCH] and values["batch"] * values["llc_batches"] < 2:
        yield "llc_batches", "must be at least 2 where a batch is one example"


def batch_probe(values: Values, parts: Parts) -> BatchProbe | None:
    """Return what estimates the coefficient; None of 0 draws."""
    if not values[SWITCH]:
        return None
    loss = mean_loss(parts.model, parts.task)
    how = complexity.Chains(
        values["llc_chains"],
        values["llc_burn_in"],
        values[SWITCH],
        values["llc_step_size"],
        values["llc_localisation"],
    )

    def measure(key: Key, params: PyTree, batches: Example) -> dict[str, Array]:
        number, size = jax.tree.leaves(batches)[0].shape[:2]
        n_beta = complexity.inverse_temperature(number * size)
        return complexity.of_batches(key, loss, params, batches, n_beta, how)

    return BatchProbe(values["llc_batches"], measure)


INSTRUMENT = Instrument(Spec, lambda task, layers: VARIABLES, batch_probe=batch_probe, check=check)
