"""Declarations of configurable quantities, which stand beside every spec and knob.

A field is declared once, in the file that uses it, by `typing.Annotated`. The schema
(`plateaus.config.schema`) reads the declaration; nothing else repeats a range or a default.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints

INFINITE = 2**31 - 2
"""The size of a lazy pool that stands for infinity: items are hashes of an int32 index."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """Meaning, range and neutral value of one configurable quantity.

    Args:
      help: one line, without a full stop.
      low, high: bounds of a number, inclusive unless `low_open` / `high_open`.
      choices: the allowed values of a string.
      neutral: the value at which the intervention does nothing, bit for bit; None if it has none.
      units: the unit for axes ("steps", "1/step"); empty for a pure number.
      derived: whether it follows from other fields and from files, and cannot be set.
      observes: whether it only selects what is recorded, so that it is no part of a run's identity.
      switch: for an observing field that only sets how, the field that switches the recording on.
      sweepable: whether its values may be compared within one set of results. Lengths, counts and
        names are not sweepable, nor are fields that are derived or observe.

    >>> Field(help="fraction of the data set", low=0.0, low_open=True, high=1.0).allowed()
    '(0.0, 1.0]'
    """

    help: str
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    choices: tuple[str, ...] = ()
    neutral: Any = None
    units: str = ""
    derived: bool = False
    observes: bool = False
    switch: str = ""
    sweepable: bool = True

    def __post_init__(self) -> None:
        if self.derived or self.observes:
            object.__setattr__(self, "sweepable", False)

    def allowed(self) -> str:
        """Return the allowed values as a reader would write them: an interval or a list."""
        if self.choices:
            return " | ".join(self.choices)
        opening = "(" if self.low is None or self.low_open else "["
        closing = ")" if self.high is None or self.high_open else "]"
        low = "-inf" if self.low is None else f"{self.low}"
        high = "inf" if self.high is None else f"{self.high}"
        infinity = " or inf" if self.high == INFINITE else ""
        return f"{opening}{low}, {high}{closing}{infinity}"

    def contains(self, value: Any) -> bool:
        """Return whether `value`, already of the right type, is allowed (NaN never is)."""
        if self.choices:
            return value in self.choices
        if isinstance(value, str | bool):
            return True
        above = self.low is None or (value > self.low if self.low_open else value >= self.low)
        below = self.high is None or (value < self.high if self.high_open else value <= self.high)
        finite = value == value and value not in (float("inf"), float("-inf"))
        return bool(above and below and finite)


Declared = Mapping[str, tuple[Any, Any]]
"""Fields by name: (declared type, default); the default is None where there is none."""


def declared(owner: Any) -> dict[str, tuple[Any, Any]]:
    """Return the fields of a dataclass or of a NamedTuple class, in order."""
    if dataclasses.is_dataclass(owner):
        defaults = {field.name: field.default for field in dataclasses.fields(owner)}
    else:
        defaults = dict.fromkeys(owner._fields, dataclasses.MISSING) | owner._field_defaults
    hints = get_type_hints(owner, include_extras=True)
    return {
        name: (hints[name], None if default is dataclasses.MISSING else default)
        for name, default in defaults.items()
    }


def joined(base: type, fields: Declared) -> Any:
    """Return a class like `base`, a frozen dataclass or a NamedTuple class, with further fields.

    These are fields that follow from a registry or from a config: those of every instrument, a rate
    for each layer, a weight for each family.

    >>> from typing import NamedTuple
    >>> class Knobs(NamedTuple):
    ...     a: float = 1.0
    >>> joined(Knobs, {"b": (float, 2.0)})(a=0.5)
    Knobs(a=0.5, b=2.0)

    Raises TypeError for a field that `base` has already.
    """
    base_fields = declared(base)
    if twice := ", ".join(name for name in fields if name in base_fields):
        raise TypeError(f"{base.__module__}.{base.__name__}: declared twice: {twice}")
    if dataclasses.is_dataclass(base):
        namespace = {"__module__": base.__module__, "__doc__": base.__doc__}
        name = base.__name__.removeprefix("_")
        return dataclasses.make_dataclass(
            name,
            [(field, kind, default) for field, (kind, default) in fields.items()],
            bases=(base,),
            frozen=True,
            kw_only=True,
            namespace=namespace,
        )
    all_fields = {**base_fields, **fields}
    made: Any = collections.namedtuple(  # type: ignore[misc] # its fields are known at run time
        base.__name__,
        all_fields,
        defaults=[*(default for _, default in all_fields.values())],
        module=base.__module__,
    )
    made.__annotations__ = {name: kind for name, (kind, _) in all_fields.items()}
    return made
