"""The fields of a config as records, for whoever prints them or makes a page of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from plateaus.config.component import Entry
from plateaus.config.values import NOUNS, shown, unknown
from plateaus.fields import INFINITE


class Record(NamedTuple):
    """What a reader needs to know of one field; values are texts, as in a config.

    Fields:
      name: the dotted name.
      value: the value in a config, or the declared default; "" where it must be given.
      kind: "true or false", "an integer", "a number" or "text".
      allowed: the interval or the choices; "" where every value of the kind is allowed.
      neutral: the value at which the field does nothing; "" where there is none.
      units: the unit; "" for a pure number, and for a text.
      help: the meaning, without a full stop.
      role: "knob" (traced: swept within one program), "spec" (one program a value), "observes"
        (selects what is recorded, no part of what a run is) or "derived" (follows, cannot be set).
      swept: the values of the config's sweep; () where it is not swept.
    """

    name: str
    value: str
    kind: str
    allowed: str
    neutral: str
    units: str
    help: str
    role: str
    swept: tuple[str, ...] = ()


def records(
    schema: Mapping[str, Entry],
    prefix: str = "",
    config: Mapping[str, Any] | None = None,
    sweep: Mapping[str, Sequence[Any]] | None = None,
) -> list[Record]:
    """Return the records of the fields whose name begins with `prefix`, in the schema's order.

    Args:
      schema: the fields, as `plateaus.config.schema.entries` returns them.
      prefix: how a name must begin: "data.", "data.zipf_exponent", or "" for all.
      config: a flat config, whose values stand in place of the declared defaults.
      sweep: the swept values, by field.

    >>> from plateaus.fields import Field
    >>> rate = Field(help="learning rate", low=0.0, units="1/step")
    >>> row, = records({"optim.rate": Entry("optim.rate", float, rate, True, 0.1)}, "optim.")
    >>> row.name, row.value, row.allowed, row.role
    ('optim.rate', '0.1', '[0.0, inf)', 'knob')
    """
    config, sweep = config or {}, sweep or {}
    return [
        _record(entry, config.get(name, entry.default), sweep.get(name, ()))
        for name, entry in schema.items()
        if name.startswith(prefix)
    ]


def _record(entry: Entry, value: Any, swept: Sequence[Any]) -> Record:
    field = entry.field
    ranged = bool(field.choices) or field.low is not None or field.high is not None
    role = "knob" if entry.knob else "spec"
    role = "derived" if field.derived else "observes" if field.observes else role
    return Record(
        name=entry.name,
        value="" if value is None else _text(value),
        kind=NOUNS[entry.kind],
        allowed=_allowed(field.allowed()) if ranged else "",
        neutral="" if field.neutral is None else _text(field.neutral),
        units=field.units,
        help=field.help,
        role=role,
        swept=tuple(map(_text, swept)),
    )


def _text(value: Any) -> str:
    """Return a value as one writes it in a config or on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return "inf" if value == INFINITE else shown(value)


def _allowed(text: str) -> str:
    return text.replace(f", {INFINITE}] or inf", ", inf]")


def lines(rows: Iterable[Record]) -> Iterator[str]:
    """Yield two lines a field: its name and value, then its meaning and what is allowed.

    >>> row = Record("a.b", "1", "an integer", "[1, 9]", "1", "steps", "length", "knob")
    >>> print(*lines([row]), sep="\\n")
    a.b = 1
        length; an integer in [1, 9], steps; neutral 1
    """
    for row in rows:
        value = f" = {row.value}" if row.value else ", must be given"
        swept = f"   (swept: {', '.join(row.swept)})" if row.swept else ""
        yield f"{row.name}{value}{swept}"
        kind = f"{row.kind} in {row.allowed}" if row.allowed else row.kind
        kind = row.allowed if row.allowed and row.kind == NOUNS[str] else kind
        units = f", {row.units}" if row.units else ""
        neutral = f"; neutral {row.neutral}" if row.neutral else ""
        also = {"derived": "; follows from others", "observes": "; only recorded"}.get(row.role, "")
        yield f"    {row.help}; {kind}{units}{neutral}{also}"


def absent(prefix: str, names: Iterable[str]) -> str:
    """Return why no field begins with a prefix, with the nearest that there is.

    >>> absent("dta.", ["data.subset", "steps"])
    '--fields dta.: no field begins so; there are data., and fields without a dot'
    """
    names = list(names)
    sections = dict.fromkeys(f"{name.partition('.')[0]}." for name in names if "." in name)
    reason = unknown(prefix.rstrip("."), names).removeprefix("no such field; ")
    close = reason if "did you mean" in reason else f"there are {', '.join(sections)}"
    also = "" if "did you mean" in reason else ", and fields without a dot"
    return f"--fields {prefix}: no field begins so; {close}{also}"
