"""A run folder's config.json as a config: the same plan again, or a part of it, or more of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from plateaus.config.files import record_of
from plateaus.config.schema import ConfigError

FILE = "config.json"
_DIGEST = re.compile(r"-[0-9a-f]{10}$")  # at the end of a folder's name


def is_record(path: Path) -> bool:
    """Return whether a file is the config of a run folder."""
    return path.name == FILE and record_of(path.parent) is not None


def page(path: Path, preset: str | None, scale: str | None, smoke: bool) -> dict[str, Any]:
    """Return what `plateaus.config.presets.Page` holds of a run folder's plan.

    Raises ConfigError for a damaged file, and where a preset, a scale or a smoke size is asked for.
    """
    choices = (f":{preset}", preset), (f"--scale {scale}", scale), ("--smoke", smoke or None)
    if wrong := [option for option, value in choices if value is not None]:
        what = "is the config of one plan; it has no presets, scales or smoke size"
        raise ConfigError(f"{path}: {what}: leave out {', '.join(wrong)}")
    try:
        content = json.loads(path.read_bytes())
        seeds = content.get("seeds")
        return {
            "fields": dict(content["config"]),
            "sweep": {name: tuple(values) for name, values in content["sweep"].items()},
            "doc": str(content.get("title", "")),
            "preset": "",
            "variants": {name: dict(values) for name, values in content["variants"].items()},
            "name": str(content.get("name") or _DIGEST.sub("", path.resolve().parent.name)),
            "seeds": None if seeds is None else tuple(int(seed) for seed in seeds),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: is damaged: {type(error).__name__}: {error}") from None
