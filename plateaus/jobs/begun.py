"""Which runs go on from the checkpoints of an interrupted command, and which start again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plateaus.config.plan import Plan
from plateaus.jobs import folder, sweep


def of(
    plan: Plan, program: sweep.Program, interrupted: Sequence[folder.Begun]
) -> list[folder.Begun]:
    """Return the groups of a program's missing runs that have a checkpoint."""
    return [
        group
        for group in interrupted
        if group.exactness is not None
        and {*group.members} <= {*program.members}
        and sweep.chunk(plan, program, group.members).address == group.address
    ]


def usable(
    plan: Plan, program: sweep.Program, width: int, interrupted: Sequence[folder.Begun]
) -> list[list[sweep.Member]]:
    """Return the groups that can go on from their checkpoints: made at the width that holds now.

    At another width a chunk starts again, and may be cut as any other.
    """
    return [
        group.members
        for group in of(plan, program, interrupted)
        if (group.exactness or {}).get("width") == width and len(group.members) <= width
    ]


def lost(
    plan: Plan,
    chunks: Sequence[sweep.Chunk],
    interrupted: Sequence[folder.Begun],
) -> Iterator[str]:
    """Yield a line for each checkpoint of missing runs that no chunk goes on from."""
    used = {chunk.address for chunk in chunks}
    programs = {chunk.program.address: chunk.program for chunk in chunks}.values()
    missing = {member for chunk in chunks for member in chunk.members}
    own = {group.address for p in programs for group in of(plan, p, interrupted)}
    for group in interrupted:
        again = len({*group.members} & missing)
        if group.exactness is not None and again and group.address not in used:
            cause = "at another width" if group.address in own else "with other observations"
            yield (
                f"{again} interrupted run(s) start again: checkpoints/running/{group.address} was "
                f"made {cause}"
            )
