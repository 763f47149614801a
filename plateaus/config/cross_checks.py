"""The cross-field checks: what the sections say about the settings of a sweep, each as a whole."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from plateaus.config.component import Resolved
from plateaus.config.values import shown
from plateaus.config.variants import AXIS, Variants, place, settled
from plateaus.information import failure

NAMED = ("task", "model")  # the sections whose component is chosen by its `name`
MOST_SETTINGS = 10_000  # of a sweep that the checks visit


def cross_checked(
    resolved: Resolved, values: Mapping[str, tuple[Any, ...]], variants: Variants
) -> list[str]:
    """Return what the sections' own checks say about the settings of the sweep."""
    config, sections, schema = resolved
    checked = {
        section: (component, component.check, component.own(section, config))
        for section, component in sections.items()
        if component.check is not None
    }
    found: dict[str, dict[str, None]] = {}  # line -> the variants that it is told of, "" without
    for point in itertools.islice(itertools.product(*values.values()), MOST_SETTINGS):
        swept = dict(zip(values, point, strict=True))
        setting = settled(config, swept, variants)
        variant = swept.get(AXIS, "")
        for section, (component, check, names) in checked.items():
            fields = {key: setting[name] for key, name in names.items()}
            try:
                messages = list(check({**setting, **fields}))
            except Exception as error:  # of whoever wrote it, who is told where
                found.setdefault(_fails(section, setting, failure(error)), {})[""] = None
                continue
            for key, message in messages:
                name = component.dotted(section, key)
                name = name if name in schema else key
                line = f"{name} = {shown(setting[name])}: {message}"
                if name in variants.get(variant, {}):
                    found.setdefault(place(variant, line), {})[""] = None
                else:
                    where = variant if variants.get(variant) else ""
                    found.setdefault(line, {})[where] = None
    every = len(values.get(AXIS, ()))
    return [line + _where(list(told), every) for line, told in found.items()]


def _fails(section: str, setting: Mapping[str, Any], why: str) -> str:
    """Return the line about a check that could not be made."""
    of = f"{section}.name = {shown(setting[f'{section}.name'])}" if section in NAMED else section
    return f"{of or 'config'}: its check fails: {why}"


def _where(told: list[str], every: int) -> str:
    """Return in which variants a line is told, where it is not told of all or without any."""
    if "" in told or (len(told) == every and every > 1):
        return ""
    more = f" and {len(told) - 1} more" if len(told) > 1 else ""
    return f' (in variants["{told[0]}"]{more})'
