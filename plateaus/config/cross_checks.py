"""The cross-field checks: the sections' checks of each setting of a sweep as a whole."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from plateaus.config.component import Resolved
from plateaus.config.values import shown
from plateaus.config.variants import AXIS, Variants, place, settled
from plateaus.information import failure

NAMED = ("task", "model")  # the sections whose component is chosen by its `name`
MOST_SETTINGS = 10_000  # of a sweep that are checked


def cross_checked(
    resolved: Resolved, values: Mapping[str, tuple[Any, ...]], variants: Variants
) -> list[str]:
    """Return the messages of the sections' checks on the settings of the sweep, a line each."""
    config, sections, schema = resolved
    checked = {
        section: (component, component.check, component.config_names(section, config))
        for section, component in sections.items()
        if component.check is not None
    }
    # line -> the variants that it is about; "" stands for none
    variants_by_line: dict[str, dict[str, None]] = {}
    for point in itertools.islice(itertools.product(*values.values()), MOST_SETTINGS):
        swept = dict(zip(values, point, strict=True))
        setting = settled(config, swept, variants)
        variant = swept.get(AXIS, "")
        for section, (component, check, names) in checked.items():
            fields = {key: setting[name] for key, name in names.items()}
            try:
                messages = list(check({**setting, **fields}))
            except Exception as error:  # a fault of the check: the line says where
                variants_by_line.setdefault(_fails(section, setting, failure(error)), {})[""] = None
                continue
            for key, message in messages:
                name = component.dotted(section, key)
                name = name if name in schema else key
                line = f"{name} = {shown(setting[name])}: {message}"
                if name in variants.get(variant, {}):
                    variants_by_line.setdefault(place(variant, line), {})[""] = None
                else:
                    where = variant if variants.get(variant) else ""
                    variants_by_line.setdefault(line, {})[where] = None
    number = len(values.get(AXIS, ()))
    return [line + _where(list(names), number) for line, names in variants_by_line.items()]


def _fails(section: str, setting: Mapping[str, Any], why: str) -> str:
    """Return the line about a check that could not be made."""
    of = f"{section}.name = {shown(setting[f'{section}.name'])}" if section in NAMED else section
    return f"{of or 'config'}: its check fails: {why}"


def _where(names: list[str], number: int) -> str:
    """Return, for the end of a line, the variants that it is about; "" for all `number` or none."""
    if "" in names or (len(names) == number and number > 1):
        return ""
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f' (in variants["{names[0]}"]{others})'
