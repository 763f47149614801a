"""Whether a row of runs.csv is of a setting of a claim.

The values of a claim are TOML's, those of a row text: numbers are compared as numbers, texts as
texts. Fields that change together are one column there, `variant`, whose label holds all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from plateaus.config import pairs
from plateaus.config.variants import AXIS
from plateaus.fields import INFINITE


def same(text: str, value: Any) -> bool:
    """Return whether the text of a value, in a file or a command, is of a claim's value.

    >>> same("0.75", 0.75), same("1e3", 1000), same("inf", float("inf")), same("True", True)
    (True, True, True, True)
    >>> same("1", True), same("0.7", 0.75), same("mean", "mean")
    (False, False, True)
    """
    return canonical(text) == canonical(value)


def canonical(value: Any) -> str:
    """Return one text for all ways to write a value: of a number the shortest that gives it back.

    >>> canonical(1000.0), canonical("1e3"), canonical("0.750"), canonical(True), canonical("a b")
    ('1000', '1000', '0.75', 'true', 'a b')
    """
    if isinstance(value, bool) or value in ("True", "False"):
        return str(value).lower()
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value).strip()
    if number == INFINITE:  # of a lazy range, as labels have it
        number = math.inf
    return str(int(number)) if number.is_integer() else repr(number + 0.0)


def matches(row: Mapping[str, str], setting: Mapping[str, Any]) -> bool:
    """Return whether a row of runs.csv is of a setting, a value of each field of the contrast.

    An empty setting, of a claim about a config as it is, is that of every row.

    >>> matches({"data.subset": "0.5", "seed": "0"}, {"data.subset": 0.5})
    True
    >>> matches({"variant": "learning_rate=0.1 subset=1"},
    ...         {"optim.learning_rate": 0.1, "data.subset": 1.0})
    True
    >>> matches({"variant": "plain + learning_rate=0.1"},
    ...         {"optim.learning_rate": 0.1, "variant": "plain"})
    True
    """
    return all(
        name in row_values and same(row_values[name], _in_label(name, value, len(setting)))
        for row_values in [values_of(row, [*setting])]
        for name, value in setting.items()
    )


def values_of(row: Mapping[str, str], fields: list[str]) -> Mapping[str, str]:
    """Return the values that a row has of the fields of a contrast, as far as it has them."""
    if len(fields) < 2 or all(name in row for name in fields):
        return row
    return pairs.labelled(row.get(AXIS, ""), fields)


def _in_label(name: str, value: Any, fields: int) -> Any:
    """Return a text as it stands in the label of several fields; a variant's name is as it is."""
    joined = isinstance(value, str) and fields > 1 and name != AXIS
    return " ".join(value.replace(",", "+").split()) if joined else value
