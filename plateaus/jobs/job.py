"""What a command comes down to: which runs are missing, in which chunks, and whether they fit."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from plateaus.build.recipes import make_recipe
from plateaus.build.registry import TASKS
from plateaus.build.soundness import shapes_of
from plateaus.config.plan import Options, Plan
from plateaus.config.schema import ConfigError
from plateaus.information import Unknown, failure, known
from plateaus.jobs import devices, exactness, folder, memory, sweep, worker
from plateaus.jobs.sweep import Chunk
from plateaus.tasks.contract import fits
from plateaus.variables import faults


class Job(NamedTuple):
    """All that the workers share."""

    plan: Plan
    options: Options
    place: Path
    finished: folder.Finished
    chunks: tuple[Chunk, ...]
    widths: dict[str, int]  # of each program, by address
    programs: dict[str, worker.Compiled]
    exactness: dict[str, exactness.Record]
    least: dict[str, int | Unknown]  # bytes that one chunk holds at the very least
    needed: dict[str, int | Unknown]  # bytes that its programs need, once they are compiled
    available: int | Unknown  # bytes on a device, or on all that share one memory


def prepare(plan: Plan, options: Options, place: Path, warn: Callable[[str], None]) -> Job:
    """Find out what is missing, cut it into chunks, and refuse what cannot be run here."""
    finished = folder.Finished(place, plan, warn)
    missing = [member for member in sweep.members(plan) if member not in finished.records]
    device = jax.devices()[0]
    interrupted = folder.begun(place, plan)
    job = Job(plan, options, place, finished, (), {}, {}, {}, {}, {}, Unknown("not asked"))
    chunks: list[Chunk] = []
    for number, program in enumerate(sweep.programs(plan, missing)):
        if number == 0:
            _refuse_unfitting(program)
        address = program.address
        width = options.runs_per_batch or devices.width(_parameters(program), device.platform)
        cut = sweep.chunks(plan, program, width, [group.members for group in interrupted])
        job.programs[address] = worker.compiled(program)
        job.widths[address] = width
        job.exactness[address] = exactness.record(device, width)
        shapes = _shapes(job, cut[0], width)
        job.least[address] = known(functools.partial(memory.least_bytes, shapes))
        chunks += cut
    job = job._replace(chunks=tuple(chunks))
    job = job._replace(available=known(lambda: memory.available_bytes(device)))
    if not options.allow_inexact_resume:
        _refuse_inexact(job, len(missing), interrupted)
    _refuse_too_large(job)
    return job


def _refuse_unfitting(program: sweep.Program) -> None:
    """Refuse a model that does not say of examples what the task's predictors say."""
    recipe = make_recipe(program.config, program.used)
    task, model = (program.config[f"{section}.name"] for section in ("task", "model"))
    if faults := list(fits(recipe.model, recipe.task, TASKS[task].knobs())):
        raise ConfigError(*(f"model.name = {model} on {task}: {fault}" for fault in faults))


def _parameters(program: sweep.Program) -> int:
    """Return the number of parameters of a program's model, from shapes alone."""
    return worker.parameters_of(make_recipe(program.config, program.used).model)


def _refuse_inexact(job: Job, missing: int, interrupted: Sequence[folder.Begun]) -> None:
    """Refuse to add runs to a folder under circumstances that change the last bits."""
    added: dict[str, None] = {}
    for address, here in job.exactness.items():
        for other, records in job.finished.exactness.items():
            # The width belongs to a program; all else has to be the same for all runs of a folder.
            left_out = () if other == address else ("width",)
            for there in records:
                added |= dict.fromkeys(
                    exactness.differences(*(_without(r, left_out) for r in (there, here)))
                )
    continued: dict[str, None] = {}
    for chunk in job.chunks:
        for group in interrupted:
            if group.address == chunk.address and group.exactness is not None:
                here = job.exactness[chunk.program.address]
                continued |= dict.fromkeys(exactness.differences(group.exactness, here))
    way_on = "Use another --workdir, or --allow-inexact-resume"
    if added:
        raise ConfigError(
            f"{job.place} holds runs that {missing} new ones would not match bit for bit: "
            f"{'; '.join(added)}. {way_on}"
        )
    if continued:
        raise ConfigError(
            f"{job.place} holds interrupted runs that would not go on bit for bit: "
            f"{'; '.join(continued)}. {way_on}"
        )


def _without(record: exactness.Record, names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}


def _shapes(job: Job, chunk: Chunk, width: int) -> Any:
    """Return the shapes of what a chunk of `width` runs holds: state, samples, measurements.

    Raises ConfigError where its program cannot be traced, or measures what has no axes.
    """
    compiled = job.programs[chunk.program.address]
    some = chunk._replace(members=chunk.members[:1])
    seeds, knobs = worker.arguments(job.plan, some, width)
    try:
        laws, constants = jax.eval_shape(compiled.laws, seeds, knobs)
        state, measured = jax.eval_shape(compiled.start, seeds, knobs, laws)
    except Exception as error:
        raise ConfigError(f"this cannot be computed: {failure(error)}") from error
    recorded = {name: array.shape[1:] for name, array in {**measured, **constants}.items()}
    groups = len(shapes_of(chunk.program.config)[0].groups)
    if wrong := list(faults(compiled.facts.variables, recorded, groups, job.plan.sweep)):
        raise ConfigError(*wrong)
    return seeds, knobs, laws, constants, state, measured


def at_once(job: Job) -> int:
    """Return how many chunks are computed at the same time."""
    return min(len(jax.devices()), len(job.chunks))


def sharing(job: Job, width: int | None = None) -> int:
    """Return how many chunks share one memory: all CPU devices are one machine.

    `width`: of the chunks, in place of what it is.
    """
    devices = jax.devices()
    if devices[0].platform != "cpu":
        return 1
    chunks = len(job.chunks)
    if width is not None:
        chunks = -(-sum(len(chunk.members) for chunk in job.chunks) // width)
    return max(1, min(len(devices), chunks))


def _refuse_too_large(job: Job) -> None:
    """Refuse, before compiling, chunks whose arrays alone are larger than the memory."""
    for chunk in _one_chunk_each(job):
        least = job.least[chunk.program.address]
        if not isinstance(least, Unknown):
            refuse_above(job, chunk, least, functools.partial(_least_bytes, job, chunk))


def _least_bytes(job: Job, chunk: Chunk, width: int) -> int:
    return memory.least_bytes(_shapes(job, chunk, width))


def refuse_above(job: Job, chunk: Chunk, needed: int, bytes_at: Callable[[int], int]) -> None:
    """Refuse a chunk that needs more bytes than there are, saying how many runs would fit."""
    width, available = job.widths[chunk.program.address], job.available
    if isinstance(available, Unknown) or needed * sharing(job) <= available:
        return
    fits = memory.fitting_width(
        lambda w: needed if w == width else bytes_at(w),
        width,
        lambda w: available // sharing(job, w),
    )
    hint = f"--runs-per-batch {fits} would fit" if fits else "not even one run fits"
    raise ConfigError(
        f"{width} runs at once need {memory.readable(needed)} on each of {sharing(job)} device(s), "
        f"where {memory.readable(available // sharing(job))} is free: {hint}"
    )


def _one_chunk_each(job: Job) -> list[Chunk]:
    """Return a chunk of each program."""
    return list({chunk.program.address: chunk for chunk in job.chunks}.values())
