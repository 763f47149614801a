"""The plan of a run folder, read back from its config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plateaus.build.recipes import sections
from plateaus.config.plan import Plan, checked_plan
from plateaus.config.schema import ConfigError


def plan_of(folder: Path, fields: Mapping[str, Any] | None = None) -> Plan:
    """Return the plan of the last command that wrote to a run folder, with other `fields`.

    Raises ConfigError where there is no such folder, or a field is not what it may be.
    """
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text("utf-8"))
        config = {**content["config"], **(fields or {})}
        sweep, variants = content["sweep"], content["variants"]
        seeds = content.get("seeds")
    except OSError as error:
        raise ConfigError(f"{folder}: no run folder ({path.name}: {error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: damaged") from None
    chosen = None if seeds is None else tuple(seeds)
    return checked_plan(folder.name, sections(config), config, sweep, "", variants, seeds=chosen)
