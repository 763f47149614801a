"""The schema of a config: the fields of all components in one table, and the check of a config.

A component declares its fields beside its code (`plateaus.fields.Field`); this module puts them
into one flat table of dotted names, against which a config file, a preset and the command line are
read. It does not import jax, so that a bad field is refused at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plateaus.config import ranges
from plateaus.config import variants as axis
from plateaus.config.component import Component, Entry, Resolved, derive
from plateaus.config.cross_checks import NAMED, cross_checked
from plateaus.config.values import convert, shown, unknown
from plateaus.config.variants import Variants
from plateaus.fields import Field, declared


class ConfigError(Exception):
    """A configuration is refused; `problems` holds one line for each reason."""

    def __init__(self, *problems: str):
        super().__init__("\n".join(problems))
        self.problems = list(problems)


class Undeclared(ConfigError, TypeError):
    """A component's field has no complete declaration, or two."""


def entries(sections: Mapping[str, Component]) -> dict[str, Entry]:
    """Return every field of the sections under its dotted name; section "" gives undotted names.

    Sections "task" and "model" also get a `name`, which has no default.

    Raises Undeclared for a field without a default or without a `Field`, or declared twice.
    """
    table: dict[str, Entry] = {}
    for section, component in sections.items():
        prefix = f"{section}." if section else ""
        if section in NAMED:
            name = f"{prefix}name"
            field = Field(help=f"which {section}", sweepable=False)
            table[name] = Entry(name, str, field, False, None)
        for owner, knob in ((component.spec, False), (component.knobs, True)):
            for key, (hint, default) in declared(owner).items():
                declarations = [m for m in getattr(hint, "__metadata__", ()) if type(m) is Field]
                name, kind = component.dotted(section, key), type(default)
                if not declarations or kind not in (bool, int, float, str):
                    raise Undeclared(f"{_place(owner)}.{key} needs a Field and a plain default")
                if name in table:
                    raise Undeclared(f"{_place(owner)}.{key}: {name} is declared twice")
                table[name] = Entry(name, kind, declarations[0], knob, default)
    return table


def _place(owner: type) -> str:
    return f"{owner.__module__}.{owner.__qualname__}"


def lenient_spec(component: Component, section: str, config: Mapping[str, Any]) -> Any:
    """Return a component's spec, where a field whose value in the config is bad has its default."""
    values = {}
    table = entries({section: component})
    for key, name in component.config_names(section, table).items():
        entry = table[name]
        if name in config and name != f"{section}.name" and not entry.knob:
            try:
                values[key] = convert(entry.kind, entry.field, config[name])
            except ValueError:
                continue  # refused when the fields are checked
    return component.spec(**values)


def resolve(
    schema: Mapping[str, Entry],
    sections: Mapping[str, Component],
    fields: Mapping[str, Any],
    sweep: Mapping[str, Sequence[Any]],
    variants: Variants | None = None,
) -> tuple[Resolved, dict[str, tuple[Any, ...]], dict[str, dict[str, Any]]]:
    """Return the config, the sweep and the variants, typed and checked.

    The config has the values of `fields`, and the default of every other field; swept fields keep
    their base value in it. The cross-field checks see the settings of the sweep, and run only when
    each field is sound by itself.

    Raises ConfigError with every problem found.
    """
    config = {name: entry.default for name, entry in schema.items()}
    problems = []
    for name, value in fields.items():
        if name not in schema:
            problems.append(f"{name} = {shown(value)}: {unknown(name, schema)}")
            continue
        if schema[name].field.derived:
            problems.append(f"{name} = {shown(value)}: follows from other fields; leave it out")
            continue
        try:
            config[name] = convert(schema[name].kind, schema[name].field, value)
        except ValueError as error:
            problems.append(f"{name} = {shown(value, schema[name].kind)}: {error}")
    problems += [
        f"{name}: must be given"
        for name, value in config.items()
        if value is None and name not in fields
    ]
    typed, refused = axis.typed(schema, variants or {}, convert)
    values, bad = _swept_values(schema, sweep, variants or {})
    problems += [*refused, *bad]
    resolved = Resolved(config, sections, schema)
    if not problems:
        problems = derive(sections, config)
    if not problems:
        problems = cross_checked(resolved, values, typed)
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
    return resolved, values, typed


def _swept_values(
    schema: Mapping[str, Entry], sweep: Mapping[str, Sequence[Any]], variants: Variants
) -> tuple[dict[str, tuple[Any, ...]], list[str]]:
    """Return the typed values of every swept field, in order, and a line for each refusal.

    It refuses a field that cannot be swept, an empty sweep, a bad or repeated value, an unknown
    variant, and a field that a variant of the sweep also sets.
    """
    typed: dict[str, tuple[Any, ...]] = {}
    problems = []
    for name, values in sweep.items():
        if name == axis.AXIS:
            typed[name], refused = axis.chosen(variants, values)
            problems += refused
        elif name not in schema:
            problems.append(f"{name}: {unknown(name, schema)}")
        elif not schema[name].field.sweepable:
            hint = "--seeds N" if name == "seeds" else f"--config.{name}=VALUE"
            problems.append(f"{name}: cannot be swept; use {hint}")
        elif isinstance(values, str) or not isinstance(values, Iterable):
            problems.append(f"{name} = {shown(values)}: a sweep must be a list of values")
        else:
            typed[name], refused = _typed_values(schema[name], tuple(values))
            problems += refused
    return typed, [*problems, *axis.clashes(variants, typed)]


def _typed_values(entry: Entry, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[str]]:
    """Return the sound values of one swept field and a line for each of the others."""
    kept: list[Any] = []
    problems = [] if values else [f"{entry.name}: the sweep is empty; give at least one value"]
    for value in values:
        try:
            typed = convert(entry.kind, entry.field, value)
        except ValueError as error:
            problems.append(
                f"{entry.name} = {shown(value, entry.kind)}: {error}{ranges.hint(value)}"
            )
        else:
            if typed in kept:
                problems.append(f"{entry.name} = {shown(typed)}: given twice in the sweep")
            kept.append(typed)
    return tuple(kept), problems
