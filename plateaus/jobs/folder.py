"""The run folder: what it holds, what is missing, and where each thing is written."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from plateaus import files
from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.jobs import checkpoint, identities, observations, provenance
from plateaus.jobs.exactness import Record
from plateaus.jobs.sweep import Chunk, Member, digest, named, programs, unnamed
from plateaus.report import store


class Finished:
    """The records of finished chunks: one verified file each, never rewritten."""

    def __init__(self, folder: Path, plan: Plan, warn: Callable[[str], None]) -> None:
        """Read every chunk in the folder; a damaged one is told of, and counts as missing."""
        self.folder = folder / "checkpoints" / "finished"
        self.records: dict[Member, dict[str, np.ndarray]] = {}
        self.exactness: dict[str, list[Record]] = {}  # by what their programs train
        self.observed: dict[Member, Mapping[str, Any] | None] = {}  # None: not written down
        before = _observed_of_old(folder)
        for path in sorted(self.folder.glob("*.npz")):
            try:
                arrays, meta = checkpoint.read_arrays(path)
            except checkpoint.Damaged as error:
                warn(f"finished runs passed over, they will run again: {error}")
                continue
            observed = meta.get("observed", before)
            members = [unnamed(plan, name) for name in meta["members"]]
            self._take(members, arrays, observed)
            known = self.exactness.setdefault(_trained(plan, members), [])
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
        observed = observations.of(plan)
        meta = {
            "program": chunk.program.address,
            "members": [named(plan, member) for member in chunk.members],
            "exactness": dict(exactness),
            "observed": observed,
        }
        checkpoint.write_arrays(self.folder / f"{chunk.address}.npz", arrays, meta)
        self._take(chunk.members, arrays, observed)

    def as_observed(self, plan: Plan) -> dict[str, Any]:
        """Return the config of a plan with what the runs were observed with, where they were."""
        return observations.joined(plan, self.observed.values())

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


def _trained(plan: Plan, members: Iterable[Member | None]) -> str:
    """Return what the program of some runs trains; "" where no variant of now is theirs."""
    known = [member for member in members if member is not None][:1]
    return next((program.trained for program in programs(plan, known)), "")


def _observed_of_old(folder: Path) -> Mapping[str, Any] | None:
    """Return what the runs of a folder of format 2 were observed with: it is in their identity."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        held = identities.held(folder)
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
            hash(tuple(group))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # the note is only a hint at how to group: without it, runs start afresh
        members = [member for member in group if member is not None]
        meta = checkpoint.newest_meta(path.parent)
        if len(members) == len(group):
            exactness = None if meta is None else meta.get("exactness", {})
            groups.append(Begun(members, path.parent.name, exactness))
    return groups


def take(held: contextlib.ExitStack, place: Path) -> None:
    """Lock the folder for this process, and clear away what a killed one left half-written."""
    try:
        held.enter_context(files.lock(place))
    except files.FolderBusy as busy:
        raise ConfigError(str(busy)) from None
    except OSError as error:
        raise ConfigError(f"--workdir {place}: {error.strerror}") from None
    for where in (place, place / "figures", place / "checkpoints" / "finished"):
        files.remove_leftovers(where)


def remove_empty(place: Path) -> None:
    """Remove a folder that nothing but its lock is in."""
    if [path.name for path in place.iterdir()] == [files.LOCK]:
        (place / files.LOCK).unlink()
        place.rmdir()


def write_config(place: Path, plan: Plan) -> None:
    """Write down what the runs in the folder are: the first thing that is written there."""
    content = {
        "identity": identities.kept(place, plan),
        "config": plan.config,
        "sweep": plan.sweep,
        "variants": plan.variants,
    }
    write_json(place / "config.json", content)


def open_chunk(folder: Path, plan: Plan, chunk: Chunk) -> Path:
    """Make the folder of a chunk that is about to run, with a note of its members."""
    place = folder / "checkpoints" / "running" / chunk.address
    place.mkdir(parents=True, exist_ok=True)
    write_json(place / "chunk.json", {"members": [named(plan, m) for m in chunk.members]})
    return place


def close_chunk(place: Path) -> None:
    """Remove the checkpoints of a chunk whose records are safe."""
    shutil.rmtree(place, ignore_errors=True)


def clear_away(folder: Path, plan: Plan, finished: Finished) -> None:
    """Remove checkpoints of runs that are all finished: another chunk has come to their end."""
    for group in begun(folder, plan):
        if group.members and all(member in finished.records for member in group.members):
            close_chunk(folder / "checkpoints" / "running" / group.address)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    files.write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def record_session(folder: Path, session: Mapping[str, Any]) -> None:
    """Add a session to provenance.json: its command, code, versions, device and wall time.

    Raises OSError where the sessions that are there cannot be read: none is written over them.
    """
    path = folder / "provenance.json"
    sessions = []
    try:
        sessions = list(json.loads(path.read_text())["sessions"])
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError):  # damaged, and not to be read but by its owner
        path.rename(path.with_name("provenance.damaged.json"))
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
