"""Executing a plan: missing runs train chunk by chunk on every device, then results are written."""

from __future__ import annotations

import contextlib
import queue
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import jax

from plateaus import files
from plateaus.config.plan import Options, Plan
from plateaus.config.schema import ConfigError
from plateaus.information import Unknown, informative
from plateaus.jobs import (
    begun,
    devices,
    folder,
    identities,
    results,
    signals,
    switches,
    tracing,
    worker,
)
from plateaus.jobs.announcement import announce
from plateaus.jobs.job import Job, at_once, prepare, refuse_above, try_out
from plateaus.jobs.pace import Piece
from plateaus.jobs.progress import Progress
from plateaus.jobs.sweep import Chunk


def execute(plan: Plan, options: Options) -> int:
    """Run a plan in its folder and report; return the exit code.

    0 finished (also when some runs diverged), 1 stopped by --fail-fast or by an error, 2 refused
    (by ConfigError, before anything is written), 130 and 143 interrupted, with everything kept.
    """
    devices.configure()
    if refused := switches.refused():
        raise ConfigError(*refused)
    place = identities.locate(plan, options.workdir, print)
    identities.check(place, plan)
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
    begun.clear_away(job.place, job.plan, job.finished.records)
    if not job.chunks and results.reported(job.place) == job.finished.contents():
        print(f"nothing to do: all {sum(len(p.members) for p in job.programs)} runs are finished")
        results.show(job.place)
        return 0
    began = time.monotonic()
    stop = threading.Event()
    opened = threading.Event()

    def opening() -> None:  # twice, by two threads, does no harm
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
            ended = _compute(job, stop, opening, opened) if job.chunks else None
        if not caught and not ended:
            begun.clear_away(job.place, job.plan, job.finished.records)
            results.write(job.plan, job.place, job.finished, _warn)
            finished = True
    finally:  # a session whose report fails has trained all the same
        wall = time.monotonic() - began
        if opened.is_set():
            _record(job, finished, wall)
    if caught:
        name = signal.Signals(caught[0]).name
        print(
            f"stopped by {name}; saved. The same command goes on from here: {job.place}",
            file=sys.stderr,
        )
        return 128 + caught[0]
    if ended:
        print(f"stopped: {ended}; finished runs are kept in {job.place}", file=sys.stderr)
        return 1
    results.show(job.place)
    print(f"{runs} runs in {wall:.1f} s")
    return 0


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


def _compute(
    job: Job, stop: threading.Event, opening: Callable[[], None], opened: threading.Event
) -> str | None:
    """Let every device take chunks until all are done; return the reason of an early end, or None.

    `opening` is called when a chunk is about to run, and sets `opened`. Raises ConfigError where
    the job is refused before that.
    """
    todo: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
    for chunk in job.chunks:
        todo.put(chunk)
    failures: list[BaseException] = []
    diverged: Counter[str] = Counter()
    with Progress([_piece(job, chunk) for chunk in job.chunks], at_once(job)) as progress:

        def show(lane: int, report: worker.Report) -> None:
            counts = report.run_steps, report.escaped, report.diverged
            progress.update(lane, *counts, resumed=report.resumed)
            if report.diverged:
                diverged["runs"] += report.diverged
                if job.options.fail_fast:
                    stop.set()

        def work(lane: int, device: jax.Device) -> None:
            with switches.pinned():
                take_chunks(lane, device)

        def take_chunks(lane: int, device: jax.Device) -> None:
            while not stop.is_set():
                try:
                    chunk = todo.get_nowait()
                except queue.Empty:
                    return
                try:
                    progress.begin(lane, _piece(job, chunk))
                    show_lane = partial(show, lane)
                    _run_chunk(job, chunk, device, opening, show_lane, progress.message, stop)
                except BaseException as error:
                    failures.append(error)
                    stop.set()

        threads = [
            threading.Thread(target=work, args=(lane, device), daemon=True)
            for lane, device in enumerate(devices.alike()[: at_once(job)])
        ]
        for thread in threads:
            thread.start()
        while alive := [thread for thread in threads if thread.is_alive()]:
            alive[0].join(0.1)  # short, so that signals are heard; of one that ended, no wait
            progress.show()
    if failures:
        return _explained(failures[0], opened.is_set() or bool(job.finished.records))
    if job.options.fail_fast and diverged["runs"]:
        return f"--fail-fast, {diverged['runs']} run(s) diverged"
    return None


def _piece(job: Job, chunk: Chunk) -> Piece:
    """Return a chunk as the progress display sees it."""
    config = job.plan.config
    return Piece(chunk.program.address, len(chunk.members), config["steps"], config["eval_every"])


def _run_chunk(
    job: Job,
    chunk: Chunk,
    device: jax.Device,
    opening: Callable[[], None],
    tell: Callable[[worker.Report], None],
    warn: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """Run one chunk and write its records to disk."""
    address = chunk.program.address
    programs, width, exactly = job.compiled[address], job.widths[address], job.exactness[address]
    compile_at = informative(partial(tracing.compile_on, device, job.plan, chunk, programs))
    refuse_above(job, address, compile_at, job.needed)
    opening()
    place = begun.open_chunk(job.place, chunk)
    inexactly = job.options.allow_inexact_resume
    ended = worker.run_chunk(
        job.plan, chunk, programs, width, device, place, tell, warn, stop, exactly, inexactly
    )
    if ended is not None:
        job.finished.add(chunk, *ended)
        begun.close_chunk(place)


def _explained(error: BaseException, kept: bool) -> str:
    """Return one line about an error that a user can avoid; raise any other error.

    A ConfigError stays one while nothing is written or `kept`.
    """
    if "RESOURCE_EXHAUSTED" in str(error):
        return "the device ran out of memory; try a smaller --runs-per-batch"
    if isinstance(error, ConfigError) and kept:
        return str(error)
    raise error
