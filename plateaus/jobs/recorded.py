"""The plan of a run folder, as its config.json says."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plateaus.build.recipes import sections
from plateaus.config.plan import Plan, checked_plan
from plateaus.config.schema import ConfigError, entries
from plateaus.jobs import identities
from plateaus.report import store


def plan_of(folder: Path, fields: Mapping[str, Any] | None = None) -> Plan:
    """Return the plan that a folder's runs were last asked for with, but for the given `fields`.

    Fields that this version does not have are left out: `identities.unlike` sees those that matter.

    Raises ConfigError where the folder is none of runs, or of runs that cannot be had any more.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ConfigError(f"{folder}: not a run folder (it has no config.json)")
    try:
        content = identities.content(folder)
        config, sweep = {**content["config"], **(fields or {})}, dict(content["sweep"])
        variants = {name: dict(values) for name, values in content["variants"].items()}
        seeds = tuple(content["seeds"]) if "seeds" in content else None
        if not all(isinstance(config.get(f"{part}.name"), str) for part in ("task", "model")):
            raise ValueError("it names no task or no model")
    except (*identities.UNREADABLE, AttributeError):
        raise ConfigError(f"{path}: damaged, or of no run") from None
    title = content.get("title")
    title = title if isinstance(title, str) else _title(folder)
    try:
        parts = sections(config)
        schema = entries(parts)
        known = {
            name: value
            for name, value in config.items()
            if name in (fields or ()) or (name in schema and not schema[name].field.derived)
        }
        return checked_plan(folder.name, parts, known, sweep, title, variants, schema, seeds)
    except ConfigError as error:
        raise ConfigError(*(f"{path}: {problem}" for problem in error.problems)) from None


def _title(folder: Path) -> str:
    """Return the title in the results of a folder; "" where there is none."""
    with contextlib.suppress(OSError, ValueError):
        return str(store.load(folder / "results.nc").attrs.get("title", ""))
    return ""
