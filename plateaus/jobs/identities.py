"""Which folder is a plan's: found by what its runs are, refused where it holds others."""

from __future__ import annotations

import contextlib
import glob
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.config.values import shown
from plateaus.files import LOCK
from plateaus.jobs import observations
from plateaus.jobs.sweep import FORMAT, POOLABLE, digest, effective, identity

_UNREADABLE = (OSError, ValueError, KeyError, TypeError)
_DIGEST = re.compile(r"[0-9a-f]{10}")


def locate(plan: Plan, workdir: Path | None, tell: Callable[[str], None]) -> Path:
    """Return the folder of a plan: as asked for, or under `runs/`, named by what its runs are.

    A folder there that an earlier version named otherwise is found by what it holds: of several the
    one whose runs are observed as the plan's, then the one with the most runs. Of any others that
    hold runs of the plan a line is told.
    """
    if workdir is not None:
        return workdir
    ours = json.loads(json.dumps(identity(plan)))
    place = Path("runs") / f"{plan.name}-{digest(ours)}"
    alike = [
        other
        for other in sorted(Path("runs").glob(f"{glob.escape(plan.name)}-*"))
        if other != place and _holds(other, plan, ours)
    ]
    if not place.exists():
        named = [other for other in alike if _has_its_name(other, plan)]
        place = max(named, key=lambda other: _worth(other, plan), default=place)
    if others := [str(other) for other in alike if other != place]:
        tell(
            f"note: {', '.join(others)} {'holds' if len(others) == 1 else 'hold'} runs of this "
            f"experiment, too, and {'is' if len(others) == 1 else 'are'} left alone; --workdir "
            "takes a folder by its name"
        )
    return place


def held(folder: Path) -> dict[str, Any]:
    """Return the identity of the runs that a folder holds; raises one of several if it is damaged.

    These are OSError, ValueError, KeyError and TypeError.
    """
    found = dict(_content(folder)["identity"])
    if not isinstance(found["config"], dict) or not isinstance(found["format"], int):
        raise ValueError("its config or its format is none")
    if not isinstance(found["swept"], list) or not all(isinstance(n, str) for n in found["swept"]):
        raise ValueError("what is swept are no names")
    return found


def _content(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def _holds(folder: Path, plan: Plan, ours: Mapping[str, Any]) -> bool:
    with contextlib.suppress(*_UNREADABLE):
        return _as_of_now(held(folder), plan) == ours
    return False


def _has_its_name(folder: Path, plan: Plan) -> bool:
    """Return whether a version has named the folder so, and no user has since."""
    suffix = folder.name.removeprefix(f"{plan.name}-")
    there = held(folder)
    named = there["format"] in POOLABLE or suffix == digest(there)
    return bool(_DIGEST.fullmatch(suffix)) and named


def _worth(folder: Path, plan: Plan) -> tuple[bool, int]:
    """Return whether the runs of a folder are observed as the plan's, and how many there are."""
    runs = 0
    for path in (folder / "checkpoints" / "finished").glob("*.npz.json"):
        with contextlib.suppress(*_UNREADABLE):
            runs += len(json.loads(path.read_text())["meta"]["members"])
    config = _content(folder).get("config")
    there = config if isinstance(config, dict) else {}
    idle = {name: plan.schema[name].idle for name in plan.observing}
    seen = {name: there.get(name, value) for name, value in idle.items()}
    return seen == {**idle, **observations.of(plan)}, runs


def _as_of_now(there: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """Return an identity as this version would have written it, where its runs are as good."""
    if there["format"] not in (*POOLABLE, FORMAT):
        return dict(there)
    return {**there, "format": FORMAT, "config": effective(plan, there["config"])}


def check(folder: Path, plan: Plan) -> None:
    """Refuse, by ConfigError, a folder whose runs are of another experiment, or none can tell."""
    path = folder / "config.json"
    if not path.exists():
        occupants = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
        if folder.exists() and (not folder.is_dir() or occupants - {LOCK, "checkpoints"}):
            raise ConfigError(f"--workdir {folder}: exists, and is not a run folder")
        if "checkpoints" in occupants:
            raise ConfigError(
                f"{folder} holds checkpoints, and no config.json that says what they are of: "
                "move the folder away to start anew"
            )
        return
    try:
        there = _as_of_now(held(folder), plan)
    except _UNREADABLE:
        raise ConfigError(f"{path}: damaged; move the folder away to start anew") from None
    if there["format"] != FORMAT:
        raise ConfigError(
            f"{folder} holds runs of format {there['format']}, this version makes format "
            f"{FORMAT}: other random streams or bits. Use another --workdir, or the version whose "
            f"commit {folder / 'provenance.json'} names"
        )
    ours = json.loads(json.dumps(identity(plan)))
    differ = list(_differences(plan, there["config"], ours["config"]))
    if there["swept"] != ours["swept"]:
        differ.append(
            f"swept are {', '.join(there['swept'])} there, {', '.join(ours['swept'])} here"
        )
    if differ:
        raise ConfigError(f"{folder} holds another experiment: {'; '.join(differ)}")


def _differences(plan: Plan, there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    """Yield how two configs differ in effect: what is left out stands where it does nothing."""

    def value(config: Mapping[str, Any], name: str, absent: str) -> str:
        if name in config:
            return shown(config[name])
        entry = plan.schema.get(name)
        return absent if entry is None or entry.idle is None else shown(entry.idle)

    for name in sorted({*there, *here} - {*plan.sweep}):
        if (name in there) != (name in here) or there[name] != here[name]:
            yield (
                f"{name} is {value(there, name, 'absent')} there, "
                f"{value(here, name, 'absent')} here"
            )


def kept(folder: Path, plan: Plan) -> dict[str, Any]:
    """Return what to write down as the identity of the folder's runs: the first to be, for ever.

    By it a folder keeps its name, and runs of an earlier format stay known as such.
    """
    with contextlib.suppress(*_UNREADABLE):
        return held(folder)
    return identity(plan)
