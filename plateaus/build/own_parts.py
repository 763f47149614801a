"""What config files add to a run that has no component of its own, checked before it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plateaus.config.shapes import kind
from plateaus.data.designs import INTERVENTIONS, Intervention
from plateaus.measures.instrument import Instrument
from plateaus.measures.registry import INSTRUMENTS
from plateaus.optim.optimisers import TRANSFORMATIONS, Transformation

_PARTS: tuple[tuple[str, Mapping[str, Any], type], ...] = (
    ("INTERVENTIONS", INTERVENTIONS, Intervention),
    ("TRANSFORMATIONS", TRANSFORMATIONS, Transformation),
    ("INSTRUMENTS", INSTRUMENTS, Instrument),
)


def faults() -> Iterator[str]:
    """Yield a line for each entry of these registries that is something else.

    >>> list(faults())
    []
    """
    for registry, entries, wanted in _PARTS:
        for name, entry in entries.items():
            if not isinstance(entry, wanted):
                yield f"{registry}[{name!r}]: must be of {wanted.__name__}, is {kind(entry)}"
