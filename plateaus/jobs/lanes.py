"""The devices at work: each takes chunks until all are done, or the command is to end."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax

from plateaus.config.schema import ConfigError
from plateaus.information import informative
from plateaus.jobs import begun, devices, switches, tracing, worker
from plateaus.jobs.budget import Budget
from plateaus.jobs.job import Job, at_once, refuse_above
from plateaus.jobs.pace import Piece
from plateaus.jobs.progress import Progress
from plateaus.jobs.sweep import Chunk


class End(NamedTuple):
    """How the work of a command ended.

    Fields:
      reason: why before its time, in words; None where it was not an error.
      spent: whether the budget was spent before all was done.
      abandoned: whether a device was still at work then.
    """

    reason: str | None = None
    spent: bool = False
    abandoned: bool = False


def compute(
    job: Job,
    stop: threading.Event,
    opening: Callable[[], None],
    opened: threading.Event,
    budget: Budget,
    meanwhile: Callable[[], None],
) -> End:
    """Let every device take chunks until all are done, `stop` is set or the budget is spent.

    `opening` is called when a chunk is about to run, and sets `opened`; `meanwhile` is called a few
    times a second. Raises ConfigError where the job is refused before that.
    """
    todo: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
    for chunk in job.chunks:
        todo.put(chunk)
    failures: list[BaseException] = []
    diverged: Counter[str] = Counter()
    end = End()
    display = job.options.progress or Progress
    with display([_piece(job, chunk) for chunk in job.chunks], at_once(job)) as progress:

        def show(lane: int, report: worker.Report) -> None:
            counts = report.run_steps, report.escaped, report.diverged
            progress.update(lane, *counts, resumed=report.resumed, losses=report.losses)
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
                    run_chunk(job, chunk, device, opening, show_lane, progress.message, stop)
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
            if budget.spent() and not stop.is_set():
                end = End(spent=True)
                stop.set()
            if end.spent and budget.overdrawn():
                end = End(spent=True, abandoned=True)
                break
            if not stop.is_set():
                meanwhile()
    if failures:
        reason = _explained(failures[0], opened.is_set() or bool(job.finished.records))
        return end._replace(reason=reason)
    if job.options.fail_fast and diverged["runs"]:
        return end._replace(reason=f"--fail-fast, {diverged['runs']} run(s) diverged")
    return end


def _piece(job: Job, chunk: Chunk) -> Piece:
    """Return a chunk as the progress display sees it."""
    config, members = job.plan.config, chunk.members
    steps = config["steps"], config["eval_every"]
    return Piece(chunk.program.address, len(members), *steps, members)


def run_chunk(
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
    kept, resumed = job.kept.get(chunk.address), begun.has_checkpoint(job.place, chunk)
    ended = worker.run_chunk(
        *(job.plan, chunk, programs, width, device, place, tell, warn, stop, exactly),
        *(job.options, job.place, kept),
    )
    if ended is not None:
        job.finished.add(chunk, *ended)
        # A record that ends at an event may be shorter than the checkpoint that it was cut from.
        if not resumed or {*chunk.members} <= job.finished.complete(None):
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
