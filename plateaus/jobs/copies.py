"""States and weights beside the records of merged folders, copied under complete names.

In a source's files the names of runs lack the fields that were fixed there and are swept in the
merged folder, where other runs stand at other values of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from plateaus.config.plan import Plan
from plateaus.jobs import additions, archives, checkpoint, sweep
from plateaus.jobs.archives import Source
from plateaus.jobs.identities import digest

Identity = tuple[str, ...]  # of what a file holds, but for how many steps its states have taken


class Copy(NamedTuple):
    """A file to copy, whose runs are to be called by complete names."""

    origin: Path
    members: list[Any]  # as `sweep.named` names them in the merged folder
    steps: int  # that states have taken


def wanted(
    plan: Plan, sources: Sequence[Source], into: Path, warn: Callable[[str], None]
) -> dict[Path, Copy]:
    """Return the files to copy, by where to: those that are not there, or go less far there.

    Two files are of the same if they hold the same runs: states of one program, or weights of one
    step. A damaged one is passed over, with a warning where it is a source's.
    """
    there: dict[Identity, int] = {}
    for _, identity, copy in _files(plan, Source(into, str(into)), lambda line: None):
        there[identity] = max(copy.steps, there.get(identity, -1))
    copies: dict[Path, Copy] = {}
    for source in sources:
        for place, identity, copy in _files(plan, source, warn):
            if copy.steps > there.get(identity, -1):
                there[identity] = copy.steps
                copies[into / place] = copy
    return copies


def write(copies: Mapping[Path, Copy]) -> None:
    """Write the copies; raises OSError on a full disk and the like."""
    for place, copy in copies.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        arrays, meta = checkpoint.read_arrays(copy.origin)
        checkpoint.write_arrays(place, arrays, {**meta, "members": copy.members})


def _files(
    plan: Plan, source: Source, warn: Callable[[str], None]
) -> Iterator[tuple[Path, Identity, Copy]]:
    """Yield the sound files of states and weights, each with its place in the merged folder."""
    earlier = additions.earlier(source.folder, plan)
    for kind in archives.KEPT:
        for path in sorted((source.folder / "checkpoints" / kind).glob("*.npz")):
            try:
                meta = checkpoint.read_arrays(path)[1]
            except checkpoint.Damaged as error:
                line = f"kept {kind} passed over, they are not merged: {error}"
                warn(source.named(line))
                continue
            members = [sweep.completed(name, earlier) for name in meta["members"]]
            place = path.relative_to(source.folder).with_name(_file_name(path, meta, members))
            runs = sorted(json.dumps(name, sort_keys=True) for name in members)
            identity = (kind, str(meta.get("program")), str(meta.get("step")), *runs)
            yield place, identity, Copy(path, members, int(meta.get("steps", 0)))


def _file_name(path: Path, meta: Mapping[str, Any], members: Sequence[Any]) -> str:
    """Return the name of a file whose runs are called by complete names.

    The digest in a name is of the program and of the names of its runs. Weights do not say what
    their program is: the digest that they had does.
    """
    if members == meta["members"]:
        return path.name
    step = f"-{meta['step']}" if "step" in meta else ""
    program = meta.get("program", path.stem.removesuffix(step))
    return f"{digest([program, members])}{step}.npz"
