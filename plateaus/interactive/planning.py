"""What is asked for from Python, as the options of a command, and the plan that they make."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from plateaus.config import pairs, presets, ranges
from plateaus.config.arguments import Arguments, parse
from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.interactive import display
from plateaus.interactive.names import dotted
from plateaus.report.kept_runs import value_text

Fields = Mapping[str, Any]


class Asked(NamedTuple):
    """What was asked for, as the options of a command say it."""

    config: str  # a file with its whole path, and a preset
    overrides: Fields = MappingProxyType({})
    sweep: Fields = MappingProxyType({})  # none: the preset's own
    seeds: str = ""
    scale: str = ""
    smoke: bool = False


def words(name: str, asked: Asked) -> list[str]:
    """Return the options of the command that asks for the same, of a config by its `name`."""
    fields = [f"--config.{n}={display.as_option(value)}" for n, value in asked.overrides.items()]
    swept = [f"--sweep={n}={display.as_option(values)}" for n, values in asked.sweep.items()]
    return [f"--config={name}", *fields, *swept, *_choices(asked)]


def _choices(asked: Asked) -> list[str]:
    words = [f"--seeds={asked.seeds}"] * bool(asked.seeds)
    words += [f"--scale={asked.scale}"] * bool(asked.scale)
    return words + ["--smoke"] * asked.smoke


def planned(asked: Asked) -> tuple[Plan, tuple[str, ...]]:
    """Return the checked plan, and notes on how it was read; raises ConfigError."""
    from plateaus.jobs import cli

    arguments = parsed([f"--config={asked.config}", *_choices(asked)])
    fields, swept = dict(asked.overrides), dict(asked.sweep)
    plan, notes = cli.planned(arguments._replace(overrides=fields, sweep=swept))
    return plan, tuple(notes)


def parsed(words: Sequence[str]) -> Arguments:
    """Return options taken apart; raises ConfigError for bad ones."""
    arguments = parse(words)
    if arguments.problems:
        raise ConfigError(*arguments.problems)
    return arguments


def found(name: str) -> tuple[str, Path, str | None]:
    """Return how the command names a config, its file and its preset."""
    file, colon, preset = name.partition(":")
    for other in (name, f"configs/{name}", f"configs/{file}.py{colon}{preset}"):
        with contextlib.suppress(ConfigError):
            return other, *presets.find(other)
    return name, *presets.find(name if "/" in name else f"configs/{name}")  # raises


def named(fields: Mapping[Any, Any], known: Iterable[str]) -> dict[str, Any]:
    """Return fields by their dotted names; those that change together by a joined key.

    >>> named({("data_subset", "steps"): [(1, 2)]}, ["data.subset", "steps"])
    {'data.subset,steps': [(1, 2)]}
    """
    known, result = [*known], {}
    for name, value in fields.items():
        parts = pairs.fields(pairs.key(name)) if isinstance(name, str) else name
        result[pairs.key(tuple(dotted(str(part), known) for part in parts))] = value
    return result


def listed(name: str, values: Any) -> Any:
    """Return the values of a sweep, which may be written as after --sweep; raises ConfigError."""
    if not isinstance(values, str):
        return values
    try:
        return pairs.entries(name, values) if "," in name else ranges.listed(values)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None


def seeds(given: int | str | Iterable[int]) -> str:
    """Return seeds as the option has them: of one alone, `5` would be the first five.

    >>> seeds(8), seeds(range(2, 4)), seeds([5])
    ('8', '2,3', '5:6')
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        return str(given)
    numbers = [value_text(seed) for seed in given]
    with contextlib.suppress(ValueError):
        if len(numbers) == 1:
            return f"{numbers[0]}:{int(numbers[0]) + 1}"
    return ",".join(numbers)
