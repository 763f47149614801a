"""Components: buildable things, with the fields and checks that they declare; no jax."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from plateaus.config.shapes import kind
from plateaus.config.values import shown
from plateaus.fields import Field

INPUTS = ("vector", "tokens", "image_text")
Check = Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]]


class Component(NamedTuple):
    """One buildable thing, with its fields and checks.

    `spec` is a frozen dataclass (static fields), `knobs` a NamedTuple class (traced numbers), both
    with `Annotated[T, Field(...)]` fields that have defaults. `make` builds the thing. `check`
    receives one complete setting, under the section's own field names and under all dotted names,
    and yields (field name, message) for fields that do not fit one another. `inputs` is what a
    task emits and what a model takes, "vector", "tokens" or "image_text"; `layers`: spec -> a
    model's layers; `groups`: spec -> the names of a task's groups, which follow from the field
    `groups_from`.

    `borrows`: field -> its name in a config, for fields that belong to another section; `derive`:
    spec -> the values of its derived fields; `says`: spec -> lines to print before a run. `groups`
    and `derive` raise ValueError where a spec has none.
    """

    spec: type
    knobs: type
    make: Callable
    check: Check | None = None
    inputs: str = ""
    layers: Callable[[Any], tuple[str, ...]] | None = None
    groups: Callable[[Any], tuple[str, ...]] | None = None
    groups_from: str = "task.families"
    borrows: Mapping[str, str] = MappingProxyType({})
    derive: Callable[[Any], Mapping[str, Any]] | None = None
    says: Callable[[Any], Iterable[str]] | None = None

    def dotted(self, section: str, key: str) -> str:
        """Return the name in a config of one of the component's fields."""
        return self.borrows.get(key, f"{section}.{key}" if section else key)

    def config_names(self, section: str, names: Iterable[str]) -> dict[str, str]:
        """Map the component's field names to their names in a config, for those among `names`.

        >>> component = Component(object, tuple, dict, borrows={"b": "data.b"})
        >>> component.config_names("task", ["task.a", "data.b"])
        {'a': 'task.a', 'b': 'data.b'}
        """
        names, prefix = tuple(names), f"{section}." if section else ""
        inside = {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}
        return inside | {key: name for key, name in self.borrows.items() if name in names}

    def spec_of(self, section: str, config: Mapping[str, Any]) -> Any:
        """Return the spec with the values of a complete config."""
        spec_fields = {field.name for field in dataclasses.fields(self.spec)}
        names = self.config_names(section, config)
        return self.spec(**{key: config[names[key]] for key in names if key in spec_fields})


def faults(component: Any, section: str) -> Iterator[str]:
    """Yield what is wrong with what a registry holds for a section, in the words of its author.

    >>> list(faults(len, "task"))
    ['is registered as the function len; must be a Component']
    """
    if not isinstance(component, Component):
        yield f"is registered as {kind(component)}; must be a Component"
        return
    spec, knobs = component.spec, component.knobs
    frozen = getattr(getattr(spec, "__dataclass_params__", None), "frozen", False)
    if not (isinstance(spec, type) and frozen):
        yield f"`spec` of its Component must be a frozen dataclass, is {kind(spec)}"
    if not (isinstance(knobs, type) and issubclass(knobs, tuple) and hasattr(knobs, "_fields")):
        yield f"`knobs` of its Component must be a NamedTuple class, is {kind(knobs)}"
    if component.inputs not in INPUTS:
        wanted = f"{' | '.join(INPUTS)}, is {shown(component.inputs)}"
        yield f"`inputs` of its Component must be {wanted}"
    for name in ("make", "check", "layers", "groups", "derive", "says"):
        part = getattr(component, name)
        needed = name == "make" or (name == "layers" and section == "model")
        if not callable(part) and (part is not None or needed):
            yield f"`{name}` of its Component must be a function, is {kind(part)}"


class Entry(NamedTuple):
    """One row of the schema; `kind` is bool, int, float or str, `knob` whether it is traced."""

    name: str
    kind: type
    field: Field
    knob: bool
    default: Any

    @property
    def idle(self) -> Any:
        """The value at which the field does nothing; None where every value does something."""
        return self.default if self.field.observes else self.field.neutral


class Resolved(NamedTuple):
    """A complete config, typed and checked, with the sections that it names.

    `config` is flat; `schema` has the fields that the sections declare, by dotted name.
    """

    config: dict[str, Any]
    sections: Mapping[str, Component]
    schema: Mapping[str, Entry]

    def spec(self, section: str) -> Any:
        """Return the static fields of a section."""
        return self.sections[section].spec_of(section, self.config)


def derive(sections: Mapping[str, Component], config: dict[str, Any]) -> list[str]:
    """Fill the derived fields of a config; return a line for each section that cannot."""
    problems = []
    for section, component in sections.items():
        if component.derive is None:
            continue
        try:
            derived = component.derive(component.spec_of(section, config))
        except ValueError as error:
            name = component.groups_from
            problems.append(f"{name} = {shown(config[name])}: {error}")
        else:
            config.update({component.dotted(section, key): v for key, v in derived.items()})
    return problems
