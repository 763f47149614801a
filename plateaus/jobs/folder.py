"""The run folder: what it holds, what is missing, and where each thing is written."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from plateaus import files
from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.config.values import shown
from plateaus.jobs import checkpoint, provenance
from plateaus.jobs.exactness import Record
from plateaus.jobs.sweep import (
    FORMAT,
    POOLABLE,
    Chunk,
    Member,
    digest,
    effective,
    identity,
    named,
    unnamed,
)
from plateaus.report import store


def locate(plan: Plan, workdir: Path | None) -> Path:
    """Return the folder of a plan: as asked for, or under `runs/`, named by what its runs are.

    A folder there that an earlier version named otherwise is found by what it holds.
    """
    if workdir is not None:
        return workdir
    ours = json.loads(json.dumps(identity(plan)))
    place = Path("runs") / f"{plan.name}-{digest(ours)}"
    if place.exists():
        return place
    for other in sorted(Path("runs").glob(f"{plan.name}-*")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if _as_of_now(_held(other), plan) == ours:
                return other
    return place


def _held(folder: Path) -> dict[str, Any]:
    """Return the identity of the runs that a folder holds."""
    return json.loads((folder / "config.json").read_text())["identity"]


def _as_of_now(held: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """Return an identity as this version would have written it, where its runs are as good."""
    if held["format"] not in (*POOLABLE, FORMAT):
        return dict(held)
    return {**held, "format": FORMAT, "config": effective(plan, held["config"])}


def check_identity(folder: Path, plan: Plan) -> None:
    """Refuse, by ConfigError, a folder that holds runs of another experiment."""
    path = folder / "config.json"
    if not path.exists():
        occupants = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        strangers = [name for name in occupants if name not in (".lock", "checkpoints")]
        if folder.exists() and (not folder.is_dir() or strangers):
            raise ConfigError(f"--workdir {folder}: exists, and is not a run folder")
        return
    try:
        held = _as_of_now(_held(folder), plan)
        number, there, swept = held["format"], dict(held["config"]), list(held["swept"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: damaged; move it away to start anew") from None
    if number != FORMAT:
        raise ConfigError(
            f"{folder} holds runs of format {number}, this version makes format {FORMAT}: other "
            "random streams or bits. Use another --workdir, or the version whose commit "
            f"{folder / 'provenance.json'} names"
        )
    ours = json.loads(json.dumps(identity(plan)))
    differ = list(_differences(plan, there, ours["config"]))
    if swept != ours["swept"]:
        differ.append(f"swept are {', '.join(swept)} there, {', '.join(ours['swept'])} here")
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


class Finished:
    """The records of finished chunks: one verified file each, never rewritten."""

    def __init__(self, folder: Path, plan: Plan, warn: Callable[[str], None]) -> None:
        """Read every chunk in the folder; a damaged one is told of, and counts as missing."""
        self.folder = folder / "checkpoints" / "finished"
        self.records: dict[Member, dict[str, np.ndarray]] = {}
        self.exactness: dict[str, list[Record]] = {}  # by the address of the program
        self.observed: dict[Member, Mapping[str, Any] | None] = {}  # None: not written down
        before = _observed_of_old(folder)
        for path in sorted(self.folder.glob("*.npz")):
            try:
                arrays, meta = checkpoint.read_arrays(path)
            except checkpoint.Damaged as error:
                warn(f"finished runs passed over, they will run again: {error}")
                continue
            observed = meta.get("observed", before)
            self._take([unnamed(plan, name) for name in meta["members"]], arrays, observed)
            known = self.exactness.setdefault(meta["program"], [])
            if meta["exactness"] not in known:
                known.append(meta["exactness"])

    def _take(
        self,
        members: Iterable[Member | None],
        arrays: Mapping[str, np.ndarray],
        observed: Mapping[str, Any] | None,
    ) -> None:
        for i, member in enumerate(members):
            if member is None:  # of a variant that is another one by now
                continue
            self.records[member] = {name: array[i] for name, array in arrays.items()}
            self.observed[member] = observed

    def add(
        self, plan: Plan, chunk: Chunk, arrays: dict[str, np.ndarray], exactness: Record
    ) -> None:
        """Keep the records of one more chunk, on disk first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        observed = {n: plan.config[n] for n in sorted(plan.observing - plan.idle(plan.config))}
        meta = {
            "program": chunk.program.address,
            "members": [named(plan, member) for member in chunk.members],
            "exactness": dict(exactness),
            "observed": observed,
        }
        checkpoint.write_arrays(self.folder / f"{chunk.address}.npz", arrays, meta)
        self._take(chunk.members, arrays, observed)

    def sweep(self, plan: Plan) -> dict[str, tuple[Any, ...]]:
        """Return the values of each swept field: the plan's in order, then others found here."""
        found: dict[str, dict[Any, None]] = {n: dict.fromkeys(v) for n, v in plan.sweep.items()}
        for member in sorted(self.records, key=repr):
            for name, value in zip(plan.sweep, member.values, strict=True):
                found[name][value] = None
        return {name: tuple(values) for name, values in found.items()}

    def contents(self, plan: Plan) -> str:
        """Return a digest of which runs there are, in which order they are laid out."""
        runs = sorted(json.dumps(named(plan, m)) for m in self.records)
        return digest([runs, {n: list(v) for n, v in self.sweep(plan).items()}, list(plan.sweep)])


def _observed_of_old(folder: Path) -> Mapping[str, Any] | None:
    """Return what the runs of a folder of format 2 were observed with: it is in their identity."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        held = _held(folder)
        return dict(held["config"]) if held["format"] == 2 else None
    return None


class Begun(NamedTuple):
    """Runs that an interrupted command was at, as one chunk."""

    members: list[Member]
    address: str  # of the chunk
    exactness: Record | None  # under which its checkpoint was made; None: there is none to use


def begun(folder: Path, plan: Plan) -> list[Begun]:
    """Return the groups of members that an interrupted command was at."""
    groups: list[Begun] = []
    for path in sorted((folder / "checkpoints" / "running").glob("*/chunk.json")):
        try:
            group = [unnamed(plan, name) for name in json.loads(path.read_text())["members"]]
        except (OSError, ValueError, KeyError):
            continue  # the note is only a hint at how to group: without it, runs start afresh
        members = [member for member in group if member is not None]
        meta = checkpoint.newest_meta(path.parent)
        if len(members) == len(group):
            exactness = None if meta is None else meta.get("exactness", {})
            groups.append(Begun(members, path.parent.name, exactness))
    return groups


def open_chunk(folder: Path, plan: Plan, chunk: Chunk) -> Path:
    """Make the folder of a chunk that is about to run, with a note of its members."""
    place = folder / "checkpoints" / "running" / chunk.address
    place.mkdir(parents=True, exist_ok=True)
    write_json(place / "chunk.json", {"members": [named(plan, m) for m in chunk.members]})
    return place


def close_chunk(place: Path) -> None:
    """Remove the checkpoints of a chunk whose records are safe."""
    shutil.rmtree(place, ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    files.write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def record_session(folder: Path, session: Mapping[str, Any]) -> None:
    """Add a session to provenance.json: its command, code, versions, device and wall time."""
    path = folder / "provenance.json"
    try:
        sessions = json.loads(path.read_text())["sessions"]
    except (OSError, ValueError, KeyError):
        sessions = []
    write_json(path, {"sessions": [*sessions, {**session, **provenance.origin()}]})


def reported(folder: Path) -> str | None:
    """Return the digest of the runs that the folder's results show, if all of them are in place."""
    outputs = ("results.nc", "summary.csv", "figures", "tensorboard", "config.json")
    if not all((folder / name).exists() for name in outputs):
        return None
    try:
        return store.load(folder / "results.nc").attrs["contents"]
    except (OSError, KeyError, ValueError):
        return None
