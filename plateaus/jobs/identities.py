"""What the runs of a plan are, and the folder that is theirs: found by that, or refused."""

from __future__ import annotations

import contextlib
import glob
import hashlib
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

# Of a run folder. Whatever changes a random stream or a bit of a result raises it; `poolable` says
# which runs of earlier formats have the same streams and bits.
FORMAT = 4
_UNREADABLE = (OSError, ValueError, KeyError, TypeError)
_DIGEST = re.compile(r"[0-9a-f]{10}")


def poolable(plan: Plan) -> tuple[int, ...]:
    """Return the formats, with this one, whose runs of a plan have the same streams and bits.

    Formats 2 and 3 differ in what is written down only; format 4 draws other orders of epochs.
    """
    values = (plan.config, *plan.variants.values())
    orders = {*plan.sweep.get("data.order", ()), *(one.get("data.order") for one in values)}
    return (FORMAT,) if "epochs" in orders else (2, 3, FORMAT)


def digest(thing: Any, length: int = 10) -> str:
    """Return a short hexadecimal name of a JSON-like thing, whatever the order of its keys.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(thing, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def identity(plan: Plan) -> dict[str, Any]:
    """Return what a run of this plan *is*, of everything that has an effect on it.

    Neither its seeds nor the values of swept fields, nor what variants override: that is in the
    names of the runs (see `named`). Fields at their neutral value, and those that only observe, are
    left out, so that a field that is added later changes nothing.
    """
    return {
        "format": FORMAT,
        "config": effective(plan, plan.config),
        "swept": sorted(plan.sweep),
    }


def effective(plan: Plan, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a config that make a run of the plan what it is."""
    left_out = {"seeds", *plan.sweep, *plan.idle(config), *plan.observing}
    return {name: value for name, value in config.items() if name not in left_out}


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
    named = there["format"] in poolable(plan) or suffix == digest(there)
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
    if there["format"] not in poolable(plan):
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
