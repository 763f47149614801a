"""The shape of a config file: a line for each of its names that has the wrong shape.

Every line states the shape that is needed and the one found, and comes with its place in the file.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

from plateaus.config.source import Place
from plateaus.config.values import shown
from plateaus.names import nearest

NEEDED = ("get_config", "PRESETS", "SCALES", "smoke")
_PRESETS = "PRESETS must be a list of functions, preset(config) -> None"
_SCALES = 'SCALES must be a dict, {"small": f, "paper": f}, f(config) -> None, or None for f'
_NAMEABLE = re.compile(r"\w[\w.+-]*")  # after FILE: on a command line, and in a folder's name


def kind(value: Any) -> str:
    """Return the kind of a value in words, for a message.

    >>> kind(None), kind("zipf"), kind({}), kind(3), kind(len), kind(lambda: 0)
    ('None', "the text 'zipf'", 'a dict', 'an int', 'the function len', 'a lambda')
    """
    if value is None:
        return "None"
    if isinstance(value, str):
        return f"the text {shown(value)}"
    if inspect.isroutine(value) or inspect.isclass(value):
        name = getattr(value, "__name__", "")
        noun = "class" if inspect.isclass(value) else "function"
        return "a lambda" if name == "<lambda>" else f"the {noun} {name}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def problems(names: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Yield the problems with the names that a config file defines, as (place, line)."""
    missing = [name for name in NEEDED if name not in names]
    others = [name for name in names if name not in NEEDED and not name.startswith("_")]
    close = {name: other for name in missing if (other := nearest(name, others))}
    for name, other in close.items():
        yield Place(other), f"a config file must define {name}; is that {other}?"
    if rest := [name for name in missing if name not in close]:
        yield Place(), f"a config file must define {', '.join(rest)}"
    if "get_config" not in missing:
        yield from _callable("get_config", names["get_config"], Place("get_config"), 0)
    if "PRESETS" not in missing:
        yield from _presets(names["PRESETS"])
    if "SCALES" not in missing:
        yield from _scales(names["SCALES"])
    if "smoke" not in missing:
        yield from _callable("smoke", names["smoke"], Place("smoke"), 1)


def _callable(
    label: str, function: Any, place: Place, arguments: int
) -> Iterator[tuple[Place, str]]:
    """Yield a problem where `function` cannot be called with so many arguments, 0 or 1.

    A function of the config may also have a parameter `scale`.
    """
    if not callable(function):
        form = f"{label}(config) -> None" if arguments else f"{label}() -> ConfigDict"
        yield place, f"{label} must be a function, {form}; it is {kind(function)}"
        return
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of some built-in functions nothing is known
        return
    try:
        signature.bind(*range(arguments), **scale_for(function, "") if arguments else {})
    except TypeError:
        wanted = "the config, and scale if it needs it" if arguments else "no argument"
        parameters = ", ".join(signature.parameters)
        where = place._replace(function=function)
        yield where, f"{label} must take {wanted}; it is {label}({parameters})"


def scale_for(function: Any, scale: str) -> dict[str, str]:
    """Return {"scale": scale} for a function that has a parameter of that name, else nothing.

    >>> scale_for(lambda config: None, "paper"), scale_for(lambda config, scale: None, "paper")
    ({}, {'scale': 'paper'})
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}
    return {"scale": scale} if "scale" in parameters else {}


def _presets(presets: Any) -> Iterator[tuple[Place, str]]:
    if not isinstance(presets, list | tuple) or not presets:
        empty = isinstance(presets, list | tuple)
        hint = "; a preset goes by its function's name" if isinstance(presets, Mapping) else ""
        hint = f"; write [{presets.__name__}]" if inspect.isfunction(presets) else hint
        yield Place("PRESETS"), f"{_PRESETS}; it is {'empty' if empty else kind(presets)}{hint}"
        return
    names: dict[str, Any] = {}
    for i, preset in enumerate(presets):
        place, name = Place("PRESETS", i), getattr(preset, "__name__", None)
        if isinstance(preset, str):
            hint = "the function itself, without quotes"
            yield place, f"{_PRESETS}; PRESETS[{i}] is {kind(preset)}: write {hint}"
        elif not callable(preset):
            yield place, f"{_PRESETS}; PRESETS[{i}] is {kind(preset)}"
        elif not isinstance(name, str) or not _NAMEABLE.fullmatch(name):
            named = isinstance(name, str) and name != "<lambda>"
            what = f"named {shown(name)}" if named else kind(preset)
            hint = "a preset goes by its name: define it by `def NAME(config)`"
            yield place, f"{_PRESETS}; PRESETS[{i}] is {what}, and {hint}"
        elif name in names:
            same = f"lists {name} twice" if preset is names[name] else f"has two presets {name}"
            yield place, f"PRESETS {same}; each needs a name of its own"
        else:
            names[name] = preset
            yield from _callable(name, preset, place, 1)


def _scales(scales: Any) -> Iterator[tuple[Place, str]]:
    if not isinstance(scales, Mapping) or not scales:
        what = "empty" if isinstance(scales, Mapping) else kind(scales)
        yield Place("SCALES"), f"{_SCALES}; it is {what}"
        return
    for name, scale in scales.items():
        place, label = Place("SCALES", name), f"SCALES[{shown(name)}]"
        if not isinstance(name, str):
            yield place, f"{_SCALES}; its key {shown(name)} is {kind(name)}"
        elif scale is not None and not callable(scale):
            yield place, f"{_SCALES}; {label} is {kind(scale)}"
        elif scale is not None:
            yield from _callable(label, scale, place, 1)


def shape_problems(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Yield the problems with the shape of a config's sweep and of its variants.

    Each is (field, key at fault or None for the whole field, line).
    """
    sweep, variants = tree.get("sweep", {}), tree.get("variants", {})
    for key, problem in _dotted("config.sweep", sweep, '{"dotted.name": [value, ...]}'):
        yield "sweep", key, problem
    for name, values in sweep.items() if isinstance(sweep, Mapping) else ():
        if not _is_list(values):
            label = f"config.sweep[{shown(name)}]"
            yield "sweep", name, f"{label} must be a list of values; it is {kind(values)}"
    for key, problem in _dotted("config.variants", variants, '{"name": {"dotted.name": value}}'):
        yield "variants", key, problem
    for name, overrides in variants.items() if isinstance(variants, Mapping) else ():
        label = f"config.variants[{shown(name)}]"
        for _, problem in _dotted(label, overrides, '{"dotted.name": value}'):
            yield "variants", name, problem


def _dotted(label: str, value: Any, form: str) -> Iterator[tuple[Any, str]]:
    """Yield problems where a value is no dict with text keys, each with the key at fault."""
    if not isinstance(value, Mapping):
        yield None, f"{label} must be a dict, {form}; it is {kind(value)}"
        return
    for key in value:
        if not isinstance(key, str):
            yield key, f"{label} must be a dict, {form}; its key {shown(key)} is {kind(key)}"


def _is_list(values: Any) -> bool:
    """Return whether values have an order, and can be iterated over twice."""
    if isinstance(values, str | bytes | Mapping | Set | Iterator):
        return False
    try:
        iter(values)
    except TypeError:  # a NumPy array of no dimension says that it is iterable
        return False
    return isinstance(values, Iterable)


def returned(label: str, value: Any, config: Any) -> str | None:
    """Return the problem with the value that a preset, a scale or smoke returned, or None."""
    if value is None:
        return None
    what = "the config itself" if value is config else f"{kind(value)}, which nothing would use"
    return f"{label}(config) must change config in place and return nothing; it returned {what}"
