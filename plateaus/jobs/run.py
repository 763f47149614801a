"""Executing a plan: missing runs train chunk by chunk on every device, then results are written."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time

from plateaus import files
from plateaus.config.plan import Options, Plan
from plateaus.config.schema import ConfigError
from plateaus.information import Unknown, informative
from plateaus.jobs import (
    additions,
    begun,
    devices,
    folder,
    identities,
    lanes,
    live,
    provenance,
    results,
    signals,
    switches,
)
from plateaus.jobs.announcement import announce
from plateaus.jobs.budget import Budget
from plateaus.jobs.job import Job, at_once
from plateaus.jobs.preparing import prepare, try_out


def execute(plan: Plan, options: Options) -> int:
    """Run a plan in its folder and report; return the exit code.

    0 finished (also when some runs diverged), 1 stopped by --fail-fast or by an error, 2 refused
    (by ConfigError, before anything is written), 130 and 143 interrupted, with everything kept.
    """
    devices.configure()
    if refused := switches.refused():
        raise ConfigError(*refused)
    place = identities.locate(plan, options.workdir, print)
    plan, notes, warnings = additions.fitted(place, plan)
    identities.check(place, plan)
    if options.workdir is None and not place.exists():
        notes = (*notes, *additions.alike(plan, place))
    print(*notes, sep="\n", end="\n" if notes else "")
    for line in warnings:
        _warn(line)
    with contextlib.ExitStack() as held:
        held.enter_context(switches.pinned())
        if place.is_dir() and not options.dry_run:
            folder.take(held, place)
            identities.check(place, plan)  # again: before the lock, others may have been at work
        job = prepare(plan, options, place, _warn)
        for line in announce(job):
            print(line)
        try_out(job)
        if options.dry_run:
            print(f"dry run: nothing was run or written; the folder would be {place}")
            return 0
        made = files.missing(place)
        if made:  # only now that nothing is left to refuse before compiling
            folder.take(held, place)
            if (place / "config.json").exists():
                raise ConfigError(f"{place} was made by another command just now; try again")
        try:
            return _run(job)
        except ConfigError:
            folder.remove_empty(made)
            raise
        except OSError as error:
            folder.remove_empty(made)
            print(
                f"error: {error}; what is finished is kept, and the same command goes on from it",
                file=sys.stderr,
            )
            return 1


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr)


def _run(job: Job) -> int:
    """Run the missing chunks in a locked folder, then write its results."""
    begun.clear_away(job.place, job.plan, job.finished.complete(None))
    if not job.chunks and results.reported(job.place) == job.finished.contents():
        print(f"nothing to do: all {sum(len(p.members) for p in job.programs)} runs are finished")
        if job.options.tables:
            results.show(job.place)
        return 0
    informative(provenance.of_process)()  # before training, of whose code the record is
    began = time.monotonic()
    stop = threading.Event()
    opened, one_at_a_time = threading.Event(), threading.Lock()
    budget = Budget(job.options.budget, job.options.began)
    end = lanes.End()

    def opening() -> None:
        with one_at_a_time:
            if not opened.is_set():
                folder.write_config(job.place, job.plan)
                print(f"folder: {job.place}", flush=True)
                opened.set()

    if not job.chunks:
        opening()
    runs = sum(len(chunk.members) for chunk in job.chunks)
    finished = False
    try:
        with signals.requests(stop) as caught:
            if job.chunks:
                meanwhile = live.Reports(job, budget, _warn)
                end = lanes.compute(job, stop, opening, opened, budget, meanwhile)
        if not caught and not end.reason:
            finished = _report(job, end)
    finally:  # a session whose report fails has trained all the same
        wall = time.monotonic() - began
        if opened.is_set():
            _record(job, finished and not end.spent, wall)
    if caught:
        name = signal.Signals(caught[0]).name
        print(
            f"stopped by {name}; saved. The same command goes on from here: {job.place}",
            file=sys.stderr,
        )
        return 128 + caught[0]
    if end.reason:
        print(f"stopped: {end.reason}; finished runs are kept in {job.place}", file=sys.stderr)
        if end.abandoned:
            leave(1)
        return 1
    if finished and job.options.tables:
        results.show(job.place)
    if end.spent:
        print(_spent(job))
    else:
        print(f"{runs} runs in {wall:.1f} s")
    if end.abandoned:  # a device is at work that nothing can stop
        leave(0)
    return 0


def _report(job: Job, end: lanes.End) -> bool:
    """Write the results; return whether there was a run to write of."""
    if end.spent:
        both = live.so_far(job)
        if both.records:
            results.write(job.plan, job.place, both, _warn)
        return bool(both.records)
    begun.clear_away(job.place, job.plan, job.finished.complete(None))
    results.write(job.plan, job.place, job.finished, _warn)
    return True


def _spent(job: Job) -> str:
    """Return the line about a budget that was spent before all runs came to their end."""
    complete = job.finished.complete(job.options.stop_when)
    wanted = {member for program in job.programs for member in program.members}
    waiting = wanted - complete
    stopped = {m for c in job.chunks if begun.has_checkpoint(job.place, c) for m in c.members}
    return (
        f"the budget is spent: {len(wanted & complete)} of {len(wanted)} runs are finished, "
        f"{len(waiting & stopped)} stopped on their way, {len(waiting - stopped)} not begun; "
        f"the same command goes on from here: {job.place}"
    )


def leave(code: int) -> None:
    """End the process at once, whatever other threads do."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _record(job: Job, finished: bool, wall: float) -> None:
    """Add the session to provenance.json, with a warning where that fails."""
    session = {
        "command": job.options.command,
        "runs": sum(len(chunk.members) for chunk in job.chunks),
        "finished": finished,
        "wall_seconds": round(wall, 2),
        "exactness": list(job.exactness.values()),
        "memory_bytes": {name: str(needed) for name, needed in job.needed.items()},
        "devices": at_once(job),
    }
    written = informative(folder.record_session)(job.place, session)
    if isinstance(written, Unknown):
        _warn(f"provenance.json was not written: {written.reason}")
