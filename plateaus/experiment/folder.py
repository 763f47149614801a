"""The run folder: what it holds, what is missing, and where each thing is written."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from plateaus.experiment import checkpoint, files
from plateaus.experiment.schema import ConfigError, Plan
from plateaus.experiment.sweep import Chunk, Member, digest, identity, named, unnamed
from plateaus.report import store

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "xarray")


def locate(plan: Plan, workdir: Path | None) -> Path:
    """Return the folder of a plan: as asked for, or named by what its runs are."""
    return (
        workdir if workdir is not None else Path("runs") / f"{plan.name}-{digest(identity(plan))}"
    )


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
        held = json.loads(path.read_text())["identity"]
    except (OSError, ValueError, KeyError):
        raise ConfigError(f"{path}: damaged; move it away to start anew") from None
    ours = json.loads(json.dumps(identity(plan)))
    if held == ours:
        return
    there, here = ({**i["config"], "the swept fields": i["swept"]} for i in (held, ours))
    differ = [
        f"{name} is {there.get(name)} there, {here.get(name)} here"
        for name in sorted({*there, *here})
        if there.get(name) != here.get(name)
    ]
    raise ConfigError(f"{folder} holds another experiment: {'; '.join(differ) or 'another format'}")


class Finished:
    """The records of finished chunks: one verified file each, never rewritten."""

    def __init__(self, folder: Path, plan: Plan, warn: Callable[[str], None]) -> None:
        """Read every chunk in the folder; a damaged one is told of, and counts as missing."""
        self.folder = folder / "checkpoints" / "finished"
        self.records: dict[Member, dict[str, np.ndarray]] = {}
        self.exactness: dict[str, list[dict[str, Any]]] = {}  # by the address of the program
        for path in sorted(self.folder.glob("*.npz")):
            try:
                arrays, meta = checkpoint.read_arrays(path)
            except checkpoint.Damaged as error:
                warn(f"finished runs passed over, they will run again: {error}")
                continue
            self._take([unnamed(plan, name) for name in meta["members"]], arrays)
            known = self.exactness.setdefault(meta["program"], [])
            if meta["exactness"] not in known:
                known.append(meta["exactness"])

    def _take(self, members: Iterable[Member | None], arrays: Mapping[str, np.ndarray]) -> None:
        for i, member in enumerate(members):
            if member is None:  # of a variant that is another one by now
                continue
            self.records[member] = {name: array[i] for name, array in arrays.items()}

    def add(
        self, plan: Plan, chunk: Chunk, arrays: dict[str, np.ndarray], exactness: dict[str, Any]
    ) -> None:
        """Keep the records of one more chunk, on disk first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        meta = {
            "program": chunk.program.address,
            "members": [named(plan, member) for member in chunk.members],
            "exactness": exactness,
        }
        checkpoint.write_arrays(self.folder / f"{chunk.address}.npz", arrays, meta)
        self._take(chunk.members, arrays)

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


def begun(folder: Path, plan: Plan, exactness: dict[str, Any]) -> list[list[Member]]:
    """Return the groups of members that an interrupted run was at, under the same circumstances."""
    groups: list[list[Any]] = []
    for path in sorted((folder / "checkpoints" / "running").glob("*/chunk.json")):
        try:
            note = json.loads(path.read_text())
            if note["exactness"] == exactness:
                group = [unnamed(plan, name) for name in note["members"]]
                if None not in group:
                    groups.append(group)
        except (OSError, ValueError, KeyError):
            continue  # the note is only a hint at how to group: without it, runs start afresh
    return groups


def open_chunk(folder: Path, plan: Plan, chunk: Chunk, exactness: dict[str, Any]) -> Path:
    """Make the folder of a chunk that is about to run, with a note of its members."""
    place = folder / "checkpoints" / "running" / chunk.address
    place.mkdir(parents=True, exist_ok=True)
    note = {"members": [named(plan, m) for m in chunk.members], "exactness": exactness}
    write_json(place / "chunk.json", note)
    return place


def close_chunk(place: Path) -> None:
    """Remove the checkpoints of a chunk whose records are safe."""
    shutil.rmtree(place, ignore_errors=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    files.write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def commit() -> dict[str, Any]:
    """Return the git commit of the code and whether the working tree differs from it."""
    here = Path(__file__).parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", *words], cwd=here, capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    changes = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if changes is None else bool(changes)}


def provenance(folder: Path, session: Mapping[str, Any]) -> None:
    """Add a session to provenance.json: its command, code, versions, device and wall time."""
    path = folder / "provenance.json"
    try:
        sessions = json.loads(path.read_text())["sessions"]
    except (OSError, ValueError, KeyError):
        sessions = []
    versions = {"python": platform.python_version(), **{p: metadata.version(p) for p in PACKAGES}}
    entry = {**session, **commit(), "versions": versions, "machine": platform.platform()}
    write_json(path, {"sessions": [*sessions, entry]})


def reported(folder: Path) -> str | None:
    """Return the digest of the runs that the folder's results show, if all of them are in place."""
    outputs = ("results.nc", "summary.csv", "figures", "tensorboard", "config.json")
    if not all((folder / name).exists() for name in outputs):
        return None
    try:
        return store.load(folder / "results.nc").attrs["contents"]
    except (OSError, KeyError, ValueError):
        return None
