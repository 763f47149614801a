"""A plan to its results: what is missing runs, chunk by chunk, on every device; then the report."""

from __future__ import annotations

import contextlib
import queue
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax

from plateaus.experiment import devices, files, folder, results, sweep, worker
from plateaus.experiment.build import sections
from plateaus.experiment.job import Job, announce, at_once, prepare
from plateaus.experiment.pace import Piece
from plateaus.experiment.progress import Progress
from plateaus.experiment.schema import ConfigError, Options, Plan, entries
from plateaus.experiment.sweep import Chunk


def execute(plan: Plan, options: Options) -> int:
    """Run a plan in its folder and report; return the exit code.

    0 finished (also when some runs diverged), 1 stopped by --fail-fast or by an error, 2 refused
    (by ConfigError, before anything is written), 130 and 143 interrupted, with everything kept.
    """
    devices.configure()
    schema = entries(sections(plan.config))
    place = folder.locate(plan, options.workdir)
    folder.check_identity(place, plan)
    with contextlib.ExitStack() as held:
        if place.is_dir() and not options.dry_run:
            _take(held, place)
        job = prepare(schema, plan, options, place, _warn)
        for line in announce(job):
            print(line)
        if options.dry_run:
            print(f"dry run: nothing was run or written; the folder would be {place}")
            return 0
        if not place.is_dir():  # made only now that nothing is left to refuse
            _take(held, place)
        try:
            return _run(job)
        except OSError as error:
            print(
                f"error: {error}; what is finished is kept, and the same command goes on from it",
                file=sys.stderr,
            )
            return 1


def _take(held: contextlib.ExitStack, place: Path) -> None:
    """Lock the folder for this process, and clear away what a killed one left half-written."""
    try:
        held.enter_context(files.lock(place))
    except files.FolderBusy as busy:
        raise ConfigError(str(busy)) from None
    except OSError as error:
        raise ConfigError(f"--workdir {place}: {error.strerror}") from None
    for where in (place, place / "checkpoints" / "finished"):
        files.remove_leftovers(where)


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr)


def _run(job: Job) -> int:
    """Run the missing chunks in a locked folder, then write what is not yet written."""
    if not job.chunks and folder.reported(job.place) == job.finished.contents(job.plan):
        print(f"nothing to do: all {len(sweep.members(job.plan))} runs are finished")
        results.show(job.place)
        return 0
    began = time.monotonic()
    content = {
        "identity": sweep.identity(job.plan),
        "config": job.plan.config,
        "sweep": job.plan.sweep,
        "variants": job.plan.variants,
    }
    folder.write_json(job.place / "config.json", content)
    print(f"folder: {job.place}", flush=True)
    stop = threading.Event()
    with _signals(stop) as caught:
        ended = _compute(job, stop) if job.chunks else None
    if not caught and not ended:
        results.write(job.schema, job.plan, job.place, job.finished, _warn)
    wall = time.monotonic() - began
    runs = sum(len(chunk.members) for chunk in job.chunks)
    session = {
        "command": job.options.command,
        "runs": runs,
        "finished": not caught and not ended,
        "wall_seconds": round(wall, 2),
        "exactness": list(job.exactness.values()),
        "devices": at_once(job),
    }
    folder.provenance(job.place, session)
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


@contextlib.contextmanager
def _signals(stop: threading.Event) -> Iterator[list[int]]:
    """Turn SIGINT and SIGTERM into a request to save and stop; a second one kills at once."""
    caught: list[int] = []

    def handle(number: int, frame: Any) -> None:
        if caught:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        caught.append(number)
        stop.set()

    try:
        before = {n: signal.signal(n, handle) for n in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread (a notebook's executor): signals are not ours
        before = {}
    try:
        yield caught
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _compute(job: Job, stop: threading.Event) -> str | None:
    """Let every device take chunks until none is left; return why it ended early, if it did."""
    todo: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
    for chunk in job.chunks:
        todo.put(chunk)
    failures: list[BaseException] = []
    diverged: Counter[str] = Counter()
    with Progress([_piece(job, chunk) for chunk in job.chunks], at_once(job)) as progress:

        def tell(lane: int, report: worker.Report) -> None:
            counts = report.run_steps, report.escaped, report.diverged
            progress.update(lane, *counts, resumed=report.resumed)
            if report.diverged:
                diverged["runs"] += report.diverged
                if job.options.fail_fast:
                    stop.set()

        def work(lane: int, device: jax.Device) -> None:
            while not stop.is_set():
                try:
                    chunk = todo.get_nowait()
                except queue.Empty:
                    return
                try:
                    progress.begin(lane, _piece(job, chunk))
                    _run_chunk(job, chunk, device, partial(tell, lane), progress.message, stop)
                except BaseException as error:
                    failures.append(error)
                    stop.set()

        threads = [
            threading.Thread(target=work, args=(lane, device), daemon=True)
            for lane, device in enumerate(jax.devices()[: at_once(job)])
        ]
        for thread in threads:
            thread.start()
        while alive := [thread for thread in threads if thread.is_alive()]:
            alive[0].join(0.1)  # short, so that signals are heard; of one that ended, no wait
            progress.show()
    if failures:
        return _explained(failures[0])
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
    tell: Callable[[worker.Report], None],
    warn: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """Run one chunk and make its records safe."""
    address = chunk.program.address
    place = folder.open_chunk(job.place, job.plan, chunk, job.exactness[address])
    programs, width = job.programs[address], job.widths[address]
    arrays = worker.run_chunk(
        job.schema, job.plan, chunk, programs, width, device, place, tell, warn, stop
    )
    if arrays is not None:
        job.finished.add(job.plan, chunk, arrays, job.exactness[address])
        folder.close_chunk(place)


def _explained(error: BaseException) -> str:
    """Return one line about an error that a user can do something about; raise any other."""
    if "RESOURCE_EXHAUSTED" in str(error):
        return "the device ran out of memory; try a smaller --runs-per-batch"
    raise error
