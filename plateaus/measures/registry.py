"""Every instrument that a config can turn on, one line each, and what they do together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, get_args

from plateaus.fields import Field, declared
from plateaus.measures import weights
from plateaus.measures.attention import instrument as attention
from plateaus.measures.complexity import instrument as complexity
from plateaus.measures.curvature import instrument as curvature
from plateaus.measures.gradients import instrument as gradients
from plateaus.measures.instrument import Instrument, Parts, Probe, Values
from plateaus.measures.progress import instrument as progress
from plateaus.measures.superposition import instrument as superposition
from plateaus.measures.task_vectors import instrument as task_vectors
from plateaus.recipe import BatchProbe
from plateaus.types import Task
from plateaus.variables import Variable

INSTRUMENTS: dict[str, Instrument] = {  # a probe's random stream is by its place: add at the end
    "gradients": gradients.INSTRUMENT,
    "weights": weights.INSTRUMENT,
    "curvature": curvature.INSTRUMENT,
    "attention": attention.INSTRUMENT,
    "superposition": superposition.INSTRUMENT,
    "task_vectors": task_vectors.INSTRUMENT,
    "progress": progress.INSTRUMENT,
    "complexity": complexity.INSTRUMENT,
}


def _observing(hint: Any) -> Any:
    """Return a declared type whose Field observes, as those of instruments do."""
    for note in get_args(hint):
        if isinstance(note, Field):
            return Annotated[get_args(hint)[0], dataclasses.replace(note, observes=True)]
    return hint  # the schema refuses it


def fields(instruments: Iterable[Instrument]) -> dict[str, tuple[Any, Any]]:
    """Return the fields of instruments: name -> (declared type, default)."""
    return {
        name: (_observing(hint), default)
        for instrument in instruments
        for name, (hint, default) in declared(instrument.spec).items()
    }


FIELDS = fields(INSTRUMENTS.values())  # without those that config files add


def check(values: Values, task: Task, tokens: int) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for what cannot be measured of this model on this task."""
    for instrument in INSTRUMENTS.values():
        yield from instrument.check(values, task, tokens)


def variables(task: Task, layers: Sequence[str]) -> dict[str, Variable]:
    """Return all that instruments may record, by name."""
    return {
        name: variable
        for instrument in INSTRUMENTS.values()
        for name, variable in instrument.variables(task, layers).items()
    }


def labels(values: Values, groups: tuple[str, ...]) -> dict[str, Sequence[str]]:
    """Return the names along dimensions of what is measured, where they have names."""
    return {
        axis: names
        for instrument in INSTRUMENTS.values()
        for axis, names in instrument.labels(values, groups).items()
    }


def probes(values: Values, parts: Parts) -> tuple[Probe, ...]:
    """Return what is measured on the parameters and the samples of the laws."""
    made = (each.probe(values, parts) for each in INSTRUMENTS.values() if each.probe)
    return tuple(probe for probe in made if probe is not None)


def batch_probes(values: Values, parts: Parts) -> tuple[BatchProbe, ...]:
    """Return what is measured on training batches."""
    made = (each.batch_probe(values, parts) for each in INSTRUMENTS.values() if each.batch_probe)
    return tuple(probe for probe in made if probe is not None)
