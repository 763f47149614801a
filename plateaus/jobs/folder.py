"""The run folder: its lock while a command is at work, and the files at its top."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plateaus import files
from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.jobs import identities, provenance


def take(held: contextlib.ExitStack, place: Path) -> None:
    """Lock the folder for this process, and remove half-written files of a killed one."""
    try:
        held.enter_context(files.lock(place))
    except files.FolderBusy as busy:
        raise ConfigError(str(busy)) from None
    except OSError as error:
        raise ConfigError(f"--workdir {place}: {error.strerror}") from None
    for where in (place, place / "figures", place / "checkpoints" / "finished"):
        files.remove_leftovers(where)


def remove_empty(place: Path) -> None:
    """Remove a folder that holds only its lock."""
    if [path.name for path in place.iterdir()] == [files.LOCK]:
        (place / files.LOCK).unlink()
        place.rmdir()


def write_config(place: Path, plan: Plan) -> None:
    """Write config.json, which identifies the runs in the folder; it is the first file there."""
    content = {
        "identity": identities.kept(place, plan),
        "config": plan.config,
        "sweep": plan.sweep,
        **({} if plan.chosen is None else {"seeds": list(plan.chosen)}),
        "variants": plan.variants,
    }
    files.write_json(place / "config.json", content)


def record_session(folder: Path, session: Mapping[str, Any]) -> None:
    """Add a session to provenance.json: its command, code, versions, device and wall time.

    Raises OSError where the earlier sessions cannot be read; they are not overwritten.
    """
    path = folder / "provenance.json"
    sessions = []
    try:
        sessions = list(json.loads(path.read_text())["sessions"])
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError):  # damaged, and not to be read but by its owner
        path.rename(path.with_name("provenance.damaged.json"))
    files.write_json(path, {"sessions": [*sessions, {**session, **provenance.origin()}]})
