"""The preparation of a job: its missing runs, their chunks, and the check that they can run."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from plateaus.build.soundness import traced, uncollected
from plateaus.config.plan import Options, Plan
from plateaus.config.schema import ConfigError
from plateaus.information import failure, informative
from plateaus.jobs import (
    begun,
    devices,
    exactness,
    extension,
    keeping,
    memory,
    observations,
    pairs,
    sweep,
    tracing,
)
from plateaus.jobs.finished import Finished
from plateaus.jobs.job import Job, refuse_above
from plateaus.jobs.keeping import Kept
from plateaus.jobs.sweep import Chunk
from plateaus.recipe import Recipe
from plateaus.tasks.contract import fits
from plateaus.variables import differences, faults


def prepare(plan: Plan, options: Options, place: Path, warn: Callable[[str], None]) -> Job:
    """Return the job of a plan: its missing runs, cut into chunks.

    Raises ConfigError for runs that cannot be computed here or do not belong in the folder.
    """
    programs = sweep.programs(plan, sweep.members(plan))
    finished = Finished(place, plan, warn, options.stop_when)
    complete = frozenset(finished.complete(options.stop_when))
    if any(run not in complete for program in programs for run in program.members):
        observations.refuse_other(plan, place, finished.observed.values())
        keeping.steps_of_weights(options.keep, plan.config, options.stop_when)
    interrupted = begun.groups(place, plan)
    device = jax.devices()[0]
    available = _available_bytes(device)
    recorded = functools.cache(functools.partial(exactness.record, device))  # by width
    tables: tuple[dict, ...] = ({}, {}, {}, {}, {}, {}, {})
    job = Job(plan, options, place, finished, programs, complete, (), available, *tables)
    chunks: list[Chunk] = []
    samples: dict[Any, Any] = {}
    states = list(keeping.states(place, plan))
    for program in programs:
        missing = tuple(run for run in program.members if run not in complete)
        if not missing:
            continue
        if options.budget is not None:  # the first seeds of all settings come first
            missing = tuple(sorted(missing, key=lambda run: plan.seeds.index(run.seed)))
        address = program.address
        with _computing():
            job.compiled[address] = tracing.compiled(program)
            if not chunks:
                _refuse_unfitting(program, job.compiled[address].recipe)
            held = job.held[address] = tracing.held(program, job.compiled[address].recipe, samples)
        width = options.runs_per_batch or devices.width(held.parameters, device.platform)
        job.widths[address], job.exactness[address] = width, recorded(width)
        wanted = program._replace(members=missing)
        groups = begun.usable(plan, wanted, width, interrupted)
        rest = {*missing} - {run for group in groups for run in group}
        going_on = list(keeping.groups(states, program, rest, width))
        groups += [runs for _, runs in going_on]
        some = sweep.chunks(plan, wanted, width, groups)
        sources = {tuple(runs): kept for kept, runs in going_on}
        job.kept.update(
            {chunk.address: sources[chunk.members] for chunk in some if chunk.members in sources}
        )
        chunks += some
    if options.budget is not None:
        chunks.sort(key=lambda chunk: min(plan.seeds.index(run.seed) for run in chunk.members))
    job = job._replace(chunks=tuple(chunks))
    _refuse_shorter(job, states, interrupted)
    declared = (program.facts.variables for program in job.compiled.values())
    if differing := list(differences(declared)):
        raise ConfigError(*differing)
    if not options.allow_inexact_resume:
        _refuse_inexact(job, interrupted)
    for address, held in job.held.items():
        refuse_above(job, address, functools.partial(_least_bytes, held), job.least)
    for line in begun.lost(plan, chunks, interrupted):
        warn(line)
    return job


def _refuse_shorter(job: Job, states: Sequence[Kept], interrupted: Sequence[begun.Begun]) -> None:
    """Refuse more steps in a folder whose runs cannot go on."""
    if not job.chunks:
        return
    before = {run: job.finished.steps[run] for run in job.finished.records}
    anew = {
        run
        for chunk in job.chunks
        if chunk.address not in job.kept and not begun.has_checkpoint(job.place, chunk)
        for run in chunk.members
    }
    with _computing():
        records = job.finished.records
        extension.refuse(job.place, job.plan, before, job.complete, records, states, anew)
    for group in interrupted:
        if group.steps not in (None, job.plan.config["steps"]):
            raise ConfigError(
                f"{job.place} holds {len(group.members)} run(s) that were stopped on their way to "
                f"{group.steps} steps: let them come there first, or use another --workdir"
            )


def try_out(job: Job) -> None:
    """Trace the programs; raise ConfigError for one that fails or records undeclared shapes.

    A trace takes a second or more, so a dry run traces only the first program, for one run.
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


@informative
def _available_bytes(device: jax.Device) -> int:
    return memory.available_bytes(device)


@contextlib.contextmanager
def _computing() -> Iterator[None]:
    """Turn an exception while a program is made or traced into a ConfigError with its place."""
    try:
        with uncollected():  # of one program: a sweep may have hundreds
            yield
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"this cannot be computed: {failure(error)}") from error


def _refuse_unfitting(program: sweep.Program, recipe: Recipe) -> None:
    """Refuse a model whose predictions have other shapes than those of the task's predictors."""
    resolved = program.resolved
    shapes = traced(resolved.sections["task"], resolved.spec("task"))
    task, model = (program.config[f"{section}.name"] for section in ("task", "model"))
    if faults := list(fits(recipe.model, shapes)):
        raise ConfigError(*(f"model.name = {model} on {task}: {fault}" for fault in faults))


def _refuse_inexact(job: Job, interrupted: Sequence[begun.Begun]) -> None:
    """Refuse to add runs to a folder under circumstances that change the last bits."""
    programs = {chunk.program.address: chunk.program for chunk in job.chunks}.values()
    if not programs:
        return
    there = pairs.standings(job.plan, job.finished.exactness)
    swept, new = job.finished.sweep(), pairs.of_chunks(job.chunks, job.exactness)
    added = dict.fromkeys(pairs.inexact(job.plan, swept, there, job.finished.foreign, new))
    continued: dict[str, None] = {}
    for program in programs:
        current = job.exactness[program.address]
        for group in begun.of(job.plan, program, interrupted):
            continued |= dict.fromkeys(exactness.differences(group.exactness or {}, current))
    for chunk in job.chunks:
        if chunk.address in job.kept:
            current = job.exactness[chunk.program.address]
            kept = job.kept[chunk.address].exactness
            continued |= dict.fromkeys(exactness.differences(kept, current))
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


@informative
def _least_bytes(held: tracing.Held, width: int) -> int:
    return width * memory.least_bytes(held)
