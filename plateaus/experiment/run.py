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
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from plateaus.experiment import devices, files, folder, memory, results, sweep, worker
from plateaus.experiment.build import sections
from plateaus.experiment.progress import Progress
from plateaus.experiment.schema import ConfigError, Entry, Options, Plan, entries
from plateaus.experiment.sweep import Chunk


class Job(NamedTuple):
    """All that the workers share."""

    schema: dict[str, Entry]
    plan: Plan
    options: Options
    place: Path
    finished: folder.Finished
    chunks: tuple[Chunk, ...]
    widths: dict[str, int]  # of each program, by address
    programs: dict[str, worker.Compiled]
    exactness: dict[str, dict[str, Any]]
    bytes: dict[str, int]  # expected live memory of one chunk


def execute(plan: Plan, options: Options) -> int:
    """Run a plan in its folder and report; return the exit code.

    0 finished (also when some runs diverged), 1 stopped by --fail-fast or by an error, 2 refused
    (by ConfigError, before anything is written), 130 and 143 interrupted, with everything kept.
    """
    devices.configure()
    schema = entries(sections(plan.config["task.name"], plan.config["model.name"]))
    place = folder.locate(plan, options.workdir)
    folder.check_identity(place, plan)
    with contextlib.ExitStack() as held:
        try:
            if place.is_dir() and not options.dry_run:
                held.enter_context(files.lock(place))
            job = _prepare(schema, plan, options, place)
            for line in _announce(job):
                print(line)
            if options.dry_run:
                print(f"dry run: nothing was run or written; the folder would be {place}")
                return 0
            if not place.is_dir():  # made only now that nothing is left to refuse
                held.enter_context(files.lock(place))
        except files.FolderBusy as busy:
            raise ConfigError(str(busy)) from None
        return _run(job)


def _prepare(schema: dict[str, Entry], plan: Plan, options: Options, place: Path) -> Job:
    """Find out what is missing, cut it into chunks, and refuse what cannot be run here."""
    finished = folder.Finished(place, plan, _warn)
    missing = [member for member in sweep.members(plan) if member not in finished.records]
    job = Job(schema, plan, options, place, finished, (), {}, {}, {}, {})
    device = jax.devices()[0]
    chunks: list[Chunk] = []
    for program in sweep.programs(schema, plan, missing):
        width = options.runs_per_batch or devices.width(_parameters(program), device.platform)
        here = devices.exactness(device, width)
        cut = sweep.chunks(plan, program, width, folder.begun(place, plan, here))
        job.programs[program.address] = worker.compiled(program)
        job.widths[program.address] = width
        job.exactness[program.address] = here
        job.bytes[program.address] = _memory(job, cut[0], width)
        chunks += cut
    job = job._replace(chunks=tuple(chunks))
    if not options.allow_inexact_resume:
        _refuse_inexact(job, len(missing))
    _refuse_too_large(job, device)
    return job


def _parameters(program: sweep.Program) -> int:
    """Return the number of parameters of a program's model, from shapes alone."""
    model = worker.make_recipe(program.config, program.used).model
    shapes = jax.eval_shape(model.init, jax.eval_shape(jax.random.key, 0))
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))


def _refuse_inexact(job: Job, missing: int) -> None:
    """Refuse to add runs to a folder under circumstances that change the last bits."""
    differ = [
        f"{name} was {there[name]}, is {here[name]}"
        for address, here in job.exactness.items()
        for there in job.finished.exactness.get(address, [])
        for name in here
        if there[name] != here[name]
    ]
    if differ:
        raise ConfigError(
            f"{job.place} holds runs that {missing} new ones would not match bit for bit: "
            f"{'; '.join(dict.fromkeys(differ))}. Use another --workdir, or --allow-inexact-resume"
        )


def _memory(job: Job, chunk: Chunk, width: int) -> int:
    """Return the bytes expected to be live while one chunk of `width` runs computes a phase."""
    compiled = job.programs[chunk.program.address]
    seeds, knobs = worker.arguments(job.schema, job.plan, chunk._replace(members=chunk.members[:1]), width)
    state = jax.eval_shape(compiled.start, seeds, knobs)[0]
    return memory.peak_bytes(jax.make_jaxpr(compiled.phase)(state, seeds, knobs, np.int32(0)))


def _at_once(job: Job) -> int:
    """Return how many chunks are computed at the same time."""
    return min(len(jax.devices()), len(job.chunks))


def _sharing(job: Job, device: jax.Device) -> int:
    """Return how many chunks share one memory: all CPU devices are one machine."""
    return _at_once(job) if device.platform == "cpu" else 1


def _refuse_too_large(job: Job, device: jax.Device) -> None:
    """Refuse, before compiling, chunks whose expected memory is not to be had."""
    share = memory.available_bytes(device) // max(_sharing(job, device), 1)
    for chunk in {chunk.program.address: chunk for chunk in job.chunks}.values():
        needed, width = job.bytes[chunk.program.address], job.widths[chunk.program.address]
        if needed <= share:
            continue
        fits = memory.fitting_width(lambda w, c=chunk: _memory(job, c, w), width, share)
        hint = f"--runs-per-batch {fits} would fit" if fits else "not even one run fits"
        raise ConfigError(
            f"{width} runs at once need about {memory.readable(needed)} on each of "
            f"{_sharing(job, device)} device(s), where {memory.readable(share)} is free: {hint}"
        )


def _announce(job: Job) -> Iterator[str]:
    """Say the plan: programs, runs, device, memory, folder."""
    plan, chunks = job.plan, job.chunks
    if plan.title:
        yield plan.title
    runs = len(sweep.members(plan))
    count = len(sweep.programs(job.schema, plan, sweep.members(plan)))
    product = [f"{len(v)} {name}" for name, v in plan.sweep.items()]
    product.append(f"{plan.config['seeds']} seeds")
    yield f"{count} program{'s' * (count > 1)} x {runs // count} runs: {' x '.join(product)}"
    missing = sum(len(chunk.members) for chunk in chunks)
    if missing < runs:
        yield f"{runs - missing} of {runs} runs are finished already; {missing} to run"
    if not chunks:
        return
    device = jax.devices()[0]
    kind = devices.processor() if device.platform == "cpu" else device.device_kind
    widths = "/".join(str(width) for width in dict.fromkeys(job.widths.values()))
    total = memory.readable(max(job.bytes.values()) * _sharing(job, device))
    yield (
        f"device: {_at_once(job)} x {device.platform} ({kind}); chunks of {widths} runs; "
        f"memory: about {total} of {memory.readable(memory.available_bytes(device))}"
    )


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr)


def _run(job: Job) -> int:
    """Run the missing chunks in a locked folder, then write what is not yet written."""
    if not job.chunks and folder.reported(job.place) == job.finished.contents(job.plan):
        print(f"nothing to do: all {len(sweep.members(job.plan))} runs are finished")
        results.show(job.place)
        return 0
    began = time.monotonic()
    content = {"identity": sweep.identity(job.plan), "config": job.plan.config, "sweep": job.plan.sweep}
    folder.write_json(job.place / "config.json", content)
    print(f"folder: {job.place}", flush=True)
    stop = threading.Event()
    with _signals(stop) as caught:
        outcome = _compute(job, stop)
    wall = time.monotonic() - began
    session = {
        "command": job.options.command,
        "runs": sum(len(chunk.members) for chunk in job.chunks),
        "finished": not stop.is_set(),
        "wall_seconds": round(wall, 2),
        "exactness": list(job.exactness.values()),
        "devices": _at_once(job),
    }
    if caught:
        folder.provenance(job.place, session)
        name = signal.Signals(caught[0]).name
        print(f"stopped by {name}; saved. The same command goes on from here: {job.place}", file=sys.stderr)
        return 128 + caught[0]
    if outcome:
        folder.provenance(job.place, session)
        print(f"stopped: {outcome}; finished runs are kept in {job.place}", file=sys.stderr)
        return 1
    results.write(job.schema, job.plan, job.place, job.finished, _warn)
    session["wall_seconds"] = round(time.monotonic() - began, 2)
    folder.provenance(job.place, session)
    results.show(job.place)
    print(f"{session['runs']} runs in {session['wall_seconds']:.1f} s")
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
    total = sum(len(chunk.members) for chunk in job.chunks)
    failures: list[BaseException] = []
    diverged: Counter[str] = Counter()
    steps = job.plan.config["steps"]
    with Progress(total * steps, total) as progress:

        def tell(report: worker.Report) -> None:
            progress.update(report.run_steps, report.escaped, report.diverged)
            if report.diverged:
                diverged["runs"] += report.diverged
                if job.options.fail_fast:
                    stop.set()

        def work(device: jax.Device) -> None:
            while not stop.is_set():
                try:
                    chunk = todo.get_nowait()
                except queue.Empty:
                    return
                try:
                    _run_chunk(job, chunk, device, tell, progress.message, stop)
                except BaseException as error:
                    failures.append(error)
                    stop.set()

        threads = [
            threading.Thread(target=work, args=(device,), daemon=True)
            for device in jax.devices()[: _at_once(job)]
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            threads[0].join(0.1)  # short, so that signals are heard
            for thread in threads[1:]:
                thread.join(0.0)
    if failures:
        return _explained(failures[0])
    if job.options.fail_fast and diverged["runs"]:
        return f"--fail-fast, {diverged['runs']} run(s) diverged"
    return None


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
    if isinstance(error, OSError):
        return f"{error}"
    if "RESOURCE_EXHAUSTED" in str(error):
        return "the device ran out of memory; try a smaller --runs-per-batch"
    raise error
