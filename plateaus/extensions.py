"""What installed packages offer to configs: tasks, models and mixers, as entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any, TypeVar

from plateaus.config.schema import ConfigError
from plateaus.config.shapes import kind
from plateaus.information import failure

T = TypeVar("T")


def offered(group: str, wanted: type[T], own: Mapping[str, Any]) -> dict[str, T]:
    """Return what the entry points of a group name, each a `wanted`, by name.

    An entry point is written in a package's pyproject.toml as

        [project.entry-points."plateaus.tasks"]
        majority = "my_package.majority:COMPONENT"

    Its module is imported when the registries are, so it must not import them.

    Raises ConfigError for one that cannot be imported, is something else, or has the name of one
    of `own` or of another package's.

    >>> offered("plateaus.nothing_of_the_kind", dict, {})
    {}
    """
    found: dict[str, T] = {}
    for point in metadata.entry_points(group=group):
        package = point.dist.name if point.dist is not None else "an installed package"
        place = f"{package}: entry point {group}: {point.name} = {point.value}"
        if point.name in own or point.name in found:
            raise ConfigError(f"{place}: there is another of this name")
        try:
            value = point.load()
        except Exception as error:
            raise ConfigError(f"{place}: cannot be imported: {failure(error)}") from error
        if not isinstance(value, wanted):
            raise ConfigError(f"{place}: must be a {wanted.__name__}, is {kind(value)}")
        found[point.name] = value
    return found
