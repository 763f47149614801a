"""The base of a config file: its fields, and its sections of fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def page(**fields: Any) -> ConfigDict:
    """Return a config of fields, and of sections where a field is a dict of fields.

    A section refuses names that it does not know, and values of another type, when it is changed.
    What is set on the config later stays as it is: ConfigDict would sort a sweep, whose order is
    that of its axes, and refuse its dotted names.

    >>> config = page(steps=100, task={"name": "sparse_parity"})
    >>> config.sweep = {"data.zipf_exponent": (0.0, 1.0), "data.subset": (1.0, 0.1)}
    >>> config.task.name, list(config.sweep)
    ('sparse_parity', ['data.zipf_exponent', 'data.subset'])
    """
    from ml_collections import ConfigDict  # only config files need it

    sections = {k: ConfigDict(v) if isinstance(v, Mapping) else v for k, v in fields.items()}
    return ConfigDict(sections, convert_dict=False)
