"""What a command comes down to: which runs are missing, in which chunks, and whether they fit."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from plateaus.build.soundness import traced
from plateaus.config.plan import Options, Plan
from plateaus.config.schema import ConfigError
from plateaus.information import Unknown, failure, known
from plateaus.jobs import (
    begun,
    devices,
    exactness,
    folder,
    memory,
    observations,
    sweep,
    tracing,
)
from plateaus.jobs.sweep import Chunk
from plateaus.recipe import Recipe
from plateaus.tasks.contract import fits
from plateaus.variables import differences, faults


class Job(NamedTuple):
    """All that the workers share; what is of a program is found by its address."""

    plan: Plan
    options: Options
    place: Path
    finished: folder.Finished
    programs: tuple[sweep.Program, ...]  # of all runs, finished or not
    chunks: tuple[Chunk, ...]  # of the runs that are missing
    available: int | Unknown  # bytes on a device, or on all that share one memory
    widths: dict[str, int]
    compiled: dict[str, tracing.Compiled]
    held: dict[str, tracing.Held]
    least: dict[str, int | Unknown]  # bytes that one run holds at the very least
    exactness: dict[str, exactness.Record]
    needed: dict[str, int | Unknown]  # bytes that its programs need, once they are compiled


def prepare(plan: Plan, options: Options, place: Path, warn: Callable[[str], None]) -> Job:
    """Find out what is missing, cut it into chunks, and refuse what cannot be run here."""
    finished = folder.Finished(place, plan, warn)
    if any(member not in finished.records for member in sweep.members(plan)):
        observations.refuse_other(plan, place, finished.observed.values())
    interrupted = folder.begun(place, plan)
    programs = sweep.programs(plan, sweep.members(plan))
    device = jax.devices()[0]
    available = known(lambda: memory.available_bytes(device))
    recorded = functools.cache(functools.partial(exactness.record, device))  # by width
    job = Job(plan, options, place, finished, programs, (), available, {}, {}, {}, {}, {}, {})
    chunks: list[Chunk] = []
    samples: dict[Any, Any] = {}
    for program in programs:
        missing = tuple(run for run in program.members if run not in finished.records)
        if not missing:
            continue
        address = program.address
        with _computing():
            job.compiled[address] = tracing.compiled(program)
            if not chunks:
                _refuse_unfitting(program, job.compiled[address].recipe)
            held = job.held[address] = tracing.held(program, job.compiled[address].recipe, samples)
        width = options.runs_per_batch or devices.width(held.parameters, device.platform)
        job.widths[address], job.exactness[address] = width, recorded(width)
        job.least[address] = known(functools.partial(memory.least_bytes, held))
        wanted = program._replace(members=missing)
        chunks += sweep.chunks(plan, wanted, width, begun.usable(plan, wanted, width, interrupted))
    job = job._replace(chunks=tuple(chunks))
    if differing := list(differences(one.facts.variables for one in job.compiled.values())):
        raise ConfigError(*differing)
    if not options.allow_inexact_resume:
        _refuse_inexact(job, interrupted)
    for address, width in job.widths.items():
        if not isinstance(least := job.least[address], Unknown):
            refuse_above(job, address, width * least, least.__mul__)
    for line in begun.lost(plan, chunks, interrupted):
        warn(line)
    return job


def try_out(job: Job) -> None:
    """Trace the programs, and refuse what cannot be computed, or is measured and has no axes.

    It takes a second or more a program, so that a dry run tries the first alone, and of one run.
    """
    dry = job.options.dry_run
    for address, width in list(job.widths.items())[: 1 if dry else None]:
        compiled, held = job.compiled[address], job.held[address]
        with _computing():
            measured = tracing.traced(compiled, held, None if dry else width)
        groups = len(compiled.recipe.task.group_names)
        recorded = {name: array.shape for name, array in measured.evaluation.items()}
        recorded |= {name: array.shape[1:] for name, array in measured.training.items()}
        if lines := list(faults(compiled.facts.variables, recorded, groups, job.plan.sweep)):
            raise ConfigError(*lines)


@contextlib.contextmanager
def _computing() -> Iterator[None]:
    """Refuse, in a line with its place, what fails while a program is made and traced."""
    try:
        with tracing.uncollected():  # of one program: a sweep may have hundreds
            yield
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"this cannot be computed: {failure(error)}") from error


def _refuse_unfitting(program: sweep.Program, recipe: Recipe) -> None:
    """Refuse a model that does not say of examples what the task's predictors say."""
    resolved = program.resolved
    shapes = traced(resolved.sections["task"], resolved.spec("task"))
    task, model = (program.config[f"{section}.name"] for section in ("task", "model"))
    if faults := list(fits(recipe.model, shapes)):
        raise ConfigError(*(f"model.name = {model} on {task}: {fault}" for fault in faults))


def _refuse_inexact(job: Job, interrupted: Sequence[folder.Begun]) -> None:
    """Refuse to add runs to a folder under circumstances that change the last bits."""
    added: dict[str, None] = {}
    programs = {chunk.program.address: chunk.program for chunk in job.chunks}.values()
    for program in programs:
        here = job.exactness[program.address]
        for other, records in job.finished.exactness.items():
            # The width belongs to what is trained; all else has to be the same in all of a folder.
            left_out = () if other == program.trained else ("width",)
            for there in records:
                added |= dict.fromkeys(
                    exactness.differences(*(_without(r, left_out) for r in (there, here)))
                )
    continued: dict[str, None] = {}
    for program in programs:
        here = job.exactness[program.address]
        for group in begun.of(job.plan, program, interrupted):
            continued |= dict.fromkeys(exactness.differences(group.exactness or {}, here))
    missing = sum(len(chunk.members) for chunk in job.chunks)
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


def at_once(job: Job) -> int:
    """Return how many chunks are computed at the same time."""
    return min(len(devices.alike()), len(job.chunks))


def sharing(job: Job, width: int | None = None) -> int:
    """Return how many chunks share one memory: all CPU devices are one machine.

    `width`: of the chunks, in place of what it is.
    """
    lanes = devices.alike()
    if lanes[0].platform != "cpu":
        return 1
    chunks = len(job.chunks)
    if width is not None:
        chunks = -(-sum(len(chunk.members) for chunk in job.chunks) // width)
    return max(1, min(len(lanes), chunks))


def refuse_above(job: Job, address: str, needed: int, bytes_at: Callable[[int], int]) -> None:
    """Refuse a program that needs more bytes than there are, saying how many runs would fit."""
    width, available = job.widths[address], job.available
    if isinstance(available, Unknown) or needed * sharing(job) <= available:
        return
    fits = known(
        lambda: memory.fitting_width(
            lambda w: needed if w == width else bytes_at(w),
            width,
            lambda w: available // sharing(job, w),
        )
    )
    hint = f": --runs-per-batch {fits} would fit" if fits else ": not even one run fits"
    if isinstance(fits, Unknown):  # the hint is only information
        hint = ""
    raise ConfigError(
        f"{width} runs at once need {memory.readable(needed)} on each of {sharing(job)} device(s), "
        f"where {memory.readable(available // sharing(job))} is free{hint}"
    )
