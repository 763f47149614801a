"""What a command comes down to: which runs are missing, in which chunks, and whether they fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from plateaus.experiment import devices, folder, memory, sweep, worker
from plateaus.experiment.build import make_recipe, make_spec
from plateaus.experiment.registry import TASKS
from plateaus.experiment.schema import ConfigError, Entry, Options, Plan
from plateaus.experiment.sweep import Chunk
from plateaus.experiment.values import shown
from plateaus.experiment.variants import AXIS

_MARGIN = 2  # over the estimate, which was 0.6 to 2 times what XLA allots on a CPU


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


def prepare(
    schema: dict[str, Entry],
    plan: Plan,
    options: Options,
    place: Path,
    warn: Callable[[str], None],
) -> Job:
    """Find out what is missing, cut it into chunks, and refuse what cannot be run here."""
    finished = folder.Finished(place, plan, warn)
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
    return worker.parameters_of(make_recipe(program.config, program.used).model)


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
    seeds, knobs = worker.arguments(
        job.schema, job.plan, chunk._replace(members=chunk.members[:1]), width
    )
    laws = jax.eval_shape(compiled.laws, seeds, knobs)[0]
    state = jax.eval_shape(compiled.start, seeds, knobs, laws)[0]
    programs = (
        jax.make_jaxpr(compiled.laws)(seeds, knobs),
        jax.make_jaxpr(compiled.phase)(state, seeds, knobs, laws, np.int32(0)),
    )
    return _MARGIN * max(map(memory.peak_bytes, programs))


def at_once(job: Job) -> int:
    """Return how many chunks are computed at the same time."""
    return min(len(jax.devices()), len(job.chunks))


def _sharing(job: Job, device: jax.Device) -> int:
    """Return how many chunks share one memory: all CPU devices are one machine."""
    return at_once(job) if device.platform == "cpu" else 1


def _refuse_too_large(job: Job, device: jax.Device) -> None:
    """Refuse, before compiling, chunks whose expected memory is not to be had."""
    share = memory.available_bytes(device) // max(_sharing(job, device), 1)
    for chunk in {chunk.program.address: chunk for chunk in job.chunks}.values():
        needed, width = job.bytes[chunk.program.address], job.widths[chunk.program.address]
        if needed <= share:
            continue
        fits = memory.fitting_width(partial(_memory, job, chunk), width, share)
        hint = f"--runs-per-batch {fits} would fit" if fits else "not even one run fits"
        raise ConfigError(
            f"{width} runs at once need about {memory.readable(needed)} on each of "
            f"{_sharing(job, device)} device(s), where {memory.readable(share)} is free: {hint}"
        )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def announce(job: Job) -> Iterator[str]:
    """Say the plan: programs, runs, device, memory, folder."""
    plan, chunks = job.plan, job.chunks
    if plan.title:
        yield plan.title
    task = TASKS[plan.config["task.name"]]
    if task.says is not None:
        yield from task.says(make_spec(task, "task", plan.config))
    runs = len(sweep.members(plan))
    sizes = [len(p.members) for p in sweep.programs(job.schema, plan, sweep.members(plan))]
    product = [
        _counted(len(v), name) if name == AXIS else f"{len(v)} {name}"
        for name, v in plan.sweep.items()
    ]
    product.append(_counted(plan.config["seeds"], "seed"))
    each = f"x {_counted(sizes[0], 'run')}" if len(set(sizes)) == 1 else f"for {runs} runs"
    yield f"{_counted(len(sizes), 'program')} {each}: {' x '.join(product)}"
    if job.options.dry_run:
        for variant in plan.sweep.get(AXIS, ()):
            own = [f"{name} = {shown(value)}" for name, value in plan.variants[variant].items()]
            yield f"  {variant}: {', '.join(own) or 'as configured'}"
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
        f"device: {at_once(job)} x {device.platform} ({kind}); chunks of {widths} runs; "
        f"memory: about {total} of {memory.readable(memory.available_bytes(device))}"
    )
