"""What an instrument is: its fields in a config, what it measures, and what it records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from plateaus.recipe import BatchProbe
from plateaus.recipe import Probe as Probe
from plateaus.types import Model, Task
from plateaus.variables import Variable

Values = Mapping[str, Any]
"""One complete setting: the flat config, under dotted names."""


class Parts(NamedTuple):
    """What an instrument may look at."""

    task: Task
    model: Model
    everywhere: Model  # the model, read at all positions of a sequence


class Instrument(NamedTuple):
    """One thing that can be measured beside the losses; off where its fields are at their defaults.

    Fields:
      spec: frozen dataclass of its fields, declared as those of any component. None of them is part
        of what a run is, or swept.
      variables: (task, layers of the model) -> all that it may record, by name: a family of names,
        one for each layer, say, is listed in full.
      probe: (values, parts) -> what measures the parameters on the samples of the laws, or None
        where it is off.
      batch_probe: (values, parts) -> what measures a few training batches, likewise.
      check: (values, task, tokens of a prompt) -> (field, message) of what cannot be measured.
      labels: (values, groups) -> the names along its axes, where they have names.
    """

    spec: type
    variables: Callable[[Task, Sequence[str]], Mapping[str, Variable]]
    probe: Callable[[Values, Parts], Probe | None] | None = None
    batch_probe: Callable[[Values, Parts], BatchProbe | None] | None = None
    check: Callable[[Values, Task, int], Iterator[tuple[str, str]]] = lambda values, task, tokens: (
        iter(())
    )
    labels: Callable[[Values, tuple[str, ...]], Mapping[str, Sequence[str]]] = (
        lambda values, groups: {}
    )
