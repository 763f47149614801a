"""The runs of an interrupted command: which go on from its checkpoints, and which start again.

`checkpoints/running/CHUNK/` holds the checkpoints of a chunk, and a note of its members.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from plateaus import files
from plateaus.config.plan import Plan
from plateaus.jobs import additions, checkpoint, sweep
from plateaus.jobs.exactness import Record
from plateaus.jobs.sweep import Member


class Begun(NamedTuple):
    """Runs that an interrupted command trained as one chunk."""

    members: list[Member]
    address: str  # of the chunk
    exactness: Record | None  # of the runs until their checkpoint; None without a checkpoint
    steps: int | None  # that they were to have; None where that is not recorded


def groups(folder: Path, plan: Plan) -> list[Begun]:
    """Return the groups of members that an interrupted command was training."""
    interrupted: list[Begun] = []
    earlier = additions.earlier(folder, plan)
    for path in sorted((folder / "checkpoints" / "running").glob("*/chunk.json")):
        try:
            names = json.loads(path.read_bytes())["members"]
            group = [sweep.unnamed(plan, sweep.completed(name, earlier)) for name in names]
            hash(tuple(group))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # the note only says how to group: without it, runs start afresh
        members = [member for member in group if member is not None]
        meta = checkpoint.newest_meta(path.parent)
        if len(members) == len(group):
            exactness = None if meta is None else meta.get("exactness", {})
            steps = None if meta is None else meta.get("steps")
            interrupted.append(Begun(members, path.parent.name, exactness, steps))
    return interrupted


def place_of(folder: Path, chunk: sweep.Chunk) -> Path:
    """Return the folder of the checkpoints of a chunk."""
    return folder / "checkpoints" / "running" / chunk.address


def has_checkpoint(folder: Path, chunk: sweep.Chunk) -> bool:
    """Return whether a chunk has a checkpoint, by its manifest alone."""
    return checkpoint.newest_meta(place_of(folder, chunk)) is not None


def open_chunk(folder: Path, chunk: sweep.Chunk) -> Path:
    """Make the folder of a chunk that is about to run, with a note of its members."""
    place = place_of(folder, chunk)
    place.mkdir(parents=True, exist_ok=True)
    files.write_json(place / "chunk.json", {"members": list(chunk.names)})
    return place


def close_chunk(place: Path) -> None:
    """Remove the checkpoints of a chunk whose records are safe."""
    shutil.rmtree(place, ignore_errors=True)


def clear_away(folder: Path, plan: Plan, finished: Container[Member]) -> None:
    """Remove checkpoints of runs that are all finished: another chunk has come to their end."""
    for group in groups(folder, plan):
        if group.members and all(member in finished for member in group.members):
            close_chunk(folder / "checkpoints" / "running" / group.address)


def of(plan: Plan, program: sweep.Program, interrupted: Sequence[Begun]) -> list[Begun]:
    """Return the groups of a program's missing runs that have a checkpoint."""
    return [
        group
        for group in interrupted
        if group.exactness is not None
        and {*group.members} <= {*program.members}
        and sweep.chunk(plan, program, group.members).address == group.address
    ]


def usable(
    plan: Plan, program: sweep.Program, width: int, interrupted: Sequence[Begun]
) -> list[list[Member]]:
    """Return the groups that can go on from their checkpoints, which have the current width.

    A chunk of another width starts again, and its members may be grouped anew.
    """
    return [
        group.members
        for group in of(plan, program, interrupted)
        if (group.exactness or {}).get("width") == width and len(group.members) <= width
    ]


def lost(
    plan: Plan,
    chunks: Sequence[sweep.Chunk],
    interrupted: Sequence[Begun],
) -> Iterator[str]:
    """Yield a line for each checkpoint of missing runs that no chunk goes on from."""
    used = {chunk.address for chunk in chunks}
    programs = {chunk.program.address: chunk.program for chunk in chunks}.values()
    missing = {member for chunk in chunks for member in chunk.members}
    resumable = {group.address for p in programs for group in of(plan, p, interrupted)}
    for group in interrupted:
        again = len({*group.members} & missing)
        if group.exactness is not None and again and group.address not in used:
            cause = "with other observations, swept fields or evaluations"
            if group.address in resumable:
                cause = "at another width"
            elif not {*group.members} <= missing:
                cause = "together with runs that are finished or not asked for now"
            yield (
                f"{again} interrupted run(s) start again: checkpoints/running/{group.address} was "
                f"made {cause}"
            )
