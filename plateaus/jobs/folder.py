"""The run folder: its lock while a command is at work, and the files at its top."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plateaus import files
from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.information import Unknown, informative
from plateaus.jobs import additions, identities, provenance


def take(held: contextlib.ExitStack, place: Path) -> None:
    """Lock the folder for this process, and remove half-written files of a killed one."""
    try:
        held.enter_context(files.lock(place))
    except files.FolderBusy as busy:
        raise ConfigError(str(busy)) from None
    except OSError as error:
        raise ConfigError(f"--workdir {place}: {error.strerror or error}") from None
    kept = [place / "checkpoints" / name for name in ("finished", "states", "weights")]
    for where in (place, place / "figures", *kept):
        files.remove_leftovers(where)


def remove_empty(made: Sequence[Path]) -> None:
    """Remove a folder that holds only its lock, the first, and the others above it."""
    with contextlib.suppress(OSError):
        if made and [path.name for path in made[0].iterdir()] == [files.LOCK]:
            (made[0] / files.LOCK).unlink()
            files.remove_empty(made)


def write_config(place: Path, plan: Plan) -> None:
    """Write config.json, which identifies the runs in the folder; it is the first file there."""
    content = {
        "name": plan.name,
        "title": plan.title,
        "identity": identities.kept(place, plan),
        "config": plan.config,
        "sweep": plan.sweep,
        **({} if plan.chosen is None else {"seeds": list(plan.chosen)}),
        "variants": plan.variants,
        additions.EARLIER: additions.earlier(place, plan),
    }
    files.write_json(place / "config.json", content)


def record_session(folder: Path, session: Mapping[str, Any]) -> None:
    """Add a session to provenance.json: its command, code, versions, device and wall time.

    Raises OSError where the earlier sessions cannot be read; they are not overwritten.
    """
    record(folder, [{**session, **provenance.of_process()}])


def record(folder: Path, more: Iterable[Mapping[str, Any]]) -> None:
    """Add whole sessions to provenance.json; raises as `record_session` does."""
    path, before = folder / "provenance.json", []
    try:
        before = sessions(folder)
    except (ValueError, KeyError, TypeError):  # damaged, and not to be read but by its owner
        path.replace(path.with_name("provenance.damaged.json"))
    files.write_json(path, {"sessions": [*before, *more]})


def commits(folder: Path) -> list[str]:
    """Return the commits of the sessions that worked in a folder, the one in progress last.

    With a plus where the code differed from it; none where it is not known.
    """
    try:
        before = sessions(folder)
    except (OSError, ValueError, KeyError, TypeError):
        before = []
    now = informative(provenance.of_process)()
    found: dict[str, None] = {}
    for session in [*before, *([] if isinstance(now, Unknown) else [now])]:
        if isinstance(commit := session.get("commit"), str) and commit:
            found[commit[:7] + "+" * bool(session.get("dirty"))] = None
    return [*found]


def sessions(folder: Path) -> list[dict[str, Any]]:
    """Return the sessions in provenance.json; [] where there is none.

    Raises OSError, ValueError, KeyError or TypeError where it cannot be read or is damaged.
    """
    try:
        content = (folder / "provenance.json").read_bytes()
    except FileNotFoundError:
        return []
    return list(json.loads(content)["sessions"])
