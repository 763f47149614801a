"""The job of a command: what its workers share, and whether its programs fit in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from plateaus.config.plan import Options, Plan
from plateaus.config.schema import ConfigError
from plateaus.information import Unknown, informative
from plateaus.jobs import (
    devices,
    exactness,
    memory,
    sweep,
    tracing,
)
from plateaus.jobs.finished import Finished
from plateaus.jobs.keeping import Kept
from plateaus.jobs.sweep import Chunk, Member


class Job(NamedTuple):
    """All that the workers share; properties of programs are keyed by the program's address."""

    plan: Plan
    options: Options
    place: Path
    finished: Finished
    programs: tuple[sweep.Program, ...]  # of all runs, finished or not
    complete: frozenset[Member]  # runs whose records go as far as the command asks
    chunks: tuple[Chunk, ...]  # of the runs that are missing
    available: int | Unknown  # bytes on a device, or on all that share one memory
    widths: dict[str, int]
    compiled: dict[str, tracing.Compiled]
    held: dict[str, tracing.Held]
    least: dict[str, int | Unknown]  # least bytes that its runs hold
    exactness: dict[str, exactness.Record]
    needed: dict[str, int | Unknown]  # bytes that its programs need; filled when compiled
    kept: dict[str, Kept]  # the kept state of the runs of a chunk that go on from it


def at_once(job: Job) -> int:
    """Return how many chunks are computed at the same time."""
    return min(len(devices.alike()), len(job.chunks))


def sharing(job: Job, width: int | None = None) -> int:
    """Return how many chunks share one memory: all CPU devices are one machine.

    `width` replaces the width of the chunks.
    """
    lanes = devices.alike()
    if lanes[0].platform != "cpu":
        return 1
    chunks = len(job.chunks)
    if width is not None:
        chunks = -(-sum(len(chunk.members) for chunk in job.chunks) // width)
    return max(1, min(len(lanes), chunks))


def refuse_above(
    job: Job, address: str, bytes_at: Callable[[int], int | Unknown], book: dict[str, int | Unknown]
) -> None:
    """Refuse a program that needs more bytes, `bytes_at` its width, than are available.

    What it needs is noted in `book`, also if it is refused: with how many runs would fit.
    """
    width, available = job.widths[address], job.available
    needed = book[address] = bytes_at(width)
    if isinstance(needed, Unknown) or isinstance(available, Unknown):
        return
    if needed * sharing(job) <= available:
        return
    fits = _fitting_width(job, width, lambda w: needed if w == width else bytes_at(w))
    hint = f": --runs-per-batch {fits} would fit" if fits else ": not even one run fits"
    if isinstance(fits, Unknown):  # the hint is only information
        hint = ""
    raise ConfigError(
        f"{width} runs at once need {memory.readable(needed)} on each of {sharing(job)} device(s), "
        f"where {memory.readable(available // sharing(job))} is free{hint}"
    )


@informative
def _fitting_width(job: Job, width: int, bytes_at: Callable[[int], Any]) -> int:
    available = job.available
    assert not isinstance(available, Unknown)
    return memory.fitting_width(bytes_at, width, lambda w: available // sharing(job, w))
