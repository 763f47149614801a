"""The cross-field checks: what the sections say about the settings of a sweep, each as a whole."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from plateaus.experiment.values import shown
from plateaus.experiment.variants import AXIS, Variants, place, settled

if TYPE_CHECKING:
    from plateaus.experiment.schema import Component, Entry

MOST_SETTINGS = 10_000  # of a sweep that the checks visit


def cross_checked(
    schema: Mapping[str, Entry],
    sections: Mapping[str, Component],
    config: Mapping[str, Any],
    values: Mapping[str, tuple[Any, ...]],
    variants: Variants,
) -> list[str]:
    """Return what the sections' own checks say about the settings of the sweep."""
    problems: list[str] = []
    for point in itertools.islice(itertools.product(*values.values()), MOST_SETTINGS):
        swept = dict(zip(values, point, strict=True))
        setting = settled(config, swept, variants)
        variant = swept.get(AXIS, "")
        for section, component in sections.items():
            if component.check is None:
                continue
            prefix = f"{section}." if section else ""
            own = {n.removeprefix(prefix): v for n, v in setting.items() if n.startswith(prefix)}
            for key, message in component.check({**setting, **own}):
                name = prefix + key if prefix + key in schema else key
                line = f"{name} = {shown(setting[name])}: {message}"
                if name in variants.get(variant, {}):
                    line = place(variant, line)
                elif variants.get(variant) and line not in problems:
                    line += f' (in variants["{variant}"])'  # not told of without it
                problems.append(line)
    return problems
