"""Variants: named sets of overrides, compared along one axis of a sweep.

A preset's `config.variants = {"plain": {}, "nesterov": {"optim.name": "nesterov"}, ...}` compares
interventions that live in different fields, each at values of its own. The axis is called
"variant" and its values are the names, in order; the first is the baseline. The overrides of a
variant are part of the identity of its runs, and of no other runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from plateaus.config.values import shown, unknown
from plateaus.names import hint

AXIS = "variant"  # swept like a field, though no component declares it
FAMILIES = "task.families"  # names the groups, whose knobs of `data` begin like this
GROUP = re.compile(r"data\.(?:weight|from|until|then)_(\w+)")

Variants = Mapping[str, Mapping[str, Any]]


def place(variant: str, name: str) -> str:
    """Return how a message names a variant's field.

    >>> place("bias 0.03", "optim.gradient_bias")
    'variants["bias 0.03"].optim.gradient_bias'
    """
    return f'variants["{variant}"].{name}'


def typed(
    schema: Mapping[str, Any], variants: Variants, convert: Callable
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return every variant with typed values, and a line for each refused name or value.

    `convert`: (kind, Field, value) -> typed value.
    """
    checked: dict[str, dict[str, Any]] = {}
    problems = []
    absent: dict[str, None] = {}  # groups of a mixture
    for variant, overrides in variants.items():
        checked[variant] = {}
        if not _nameable(variant):
            problems.append(
                f"variants: {shown(variant)}: a name must be text on one line without commas"
            )
        for name, value in overrides.items():
            where = f"{place(variant, name)} = {shown(value)}"
            if name not in schema and FAMILIES in schema and (group := GROUP.fullmatch(name)):
                absent[group[1]] = None
            elif name not in schema:
                problems.append(f"{where}: {unknown(name, schema)}")
            elif not schema[name].field.sweepable:
                problems.append(f"{where}: is the same for a whole sweep; no variant can set it")
            else:
                entry = schema[name]
                try:
                    checked[variant][name] = convert(entry.kind, entry.field, value)
                except ValueError as error:
                    problems.append(f"{place(variant, name)} = {shown(value, entry.kind)}: {error}")
    if absent:
        problems.append(f"{FAMILIES}: the preset's variants need {', '.join(absent)}, too")
    return checked, problems


def _nameable(name: Any) -> bool:
    """Return whether `--sweep variant=NAME,NAME` can hold the name, and a legend show it."""
    if not isinstance(name, str) or name != name.strip():
        return False
    return bool(name) and name.isprintable() and "," not in name


def chosen(variants: Variants, names: Any) -> tuple[tuple[str, ...], list[str]]:
    """Return the variants that a sweep names, in its order, and a line for each refused one."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        return (), [f"{AXIS} = {shown(names)}: a sweep must be a list of values"]
    names = tuple(names)
    if not variants:
        return (), [f"{AXIS}: this preset has no variants"]
    problems = [] if names else [f"{AXIS}: the sweep is empty; give at least one value"]
    kept: list[str] = []
    for name in names:
        if not _is_key(name, variants):
            suggestion = hint(name if isinstance(name, str) else shown(name), variants)
            problems.append(f"{AXIS} = {shown(name)}: no such variant{suggestion}")
        elif name in kept:
            problems.append(f"{AXIS} = {shown(name)}: given twice in the sweep")
        else:
            kept.append(name)
    return tuple(kept), problems


def _is_key(name: Any, variants: Variants) -> bool:
    try:
        return name in variants
    except TypeError:  # a list, say
        return False


def clashes(variants: Variants, sweep: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Yield a line for each field that is swept and that a variant of the sweep sets as well."""
    for variant in sweep.get(AXIS, ()):
        for name, value in variants.get(variant, {}).items():
            if name in sweep:
                yield (
                    f"{place(variant, name)} = {shown(value)}: is swept as well; keep one, or leave"
                    f" the variant out (--sweep {AXIS}=...)"
                )


def settled(
    config: Mapping[str, Any], values: Mapping[str, Any], variants: Variants
) -> dict[str, Any]:
    """Return a flat config with the values of swept fields and its variant's overrides.

    >>> settled({"a": 1, "b": 2}, {"variant": "more", "b": 3}, {"more": {"a": 9}})
    {'a': 9, 'b': 3}
    """
    fields = {name: value for name, value in values.items() if name != AXIS}
    return {**config, **fields, **(variants[values[AXIS]] if AXIS in values else {})}


def with_axis(sweep: Mapping[str, Any], variants: Variants) -> dict[str, Any]:
    """Return the sweep with the axis of the variants, in front unless the sweep has it.

    >>> with_axis({"data.subset": (1.0,)}, {"plain": {}, "other": {"b": 1}})
    {'variant': ('plain', 'other'), 'data.subset': (1.0,)}
    """
    named = any(AXIS in name.split(",") for name in sweep)  # alone, or joined to fields
    return {**({AXIS: tuple(variants)} if variants and not named else {}), **sweep}
