"""The announcement of a plan, in words, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax

from plateaus.config.component import Resolved
from plateaus.config.plan import Plan
from plateaus.config.values import shown
from plateaus.config.variants import AXIS
from plateaus.information import Unknown, informative
from plateaus.jobs import begun, devices, memory
from plateaus.jobs.job import Job, at_once, sharing
from plateaus.jobs.progress import duration
from plateaus.jobs.sweep import Program

_SHOWN = 12  # programs whose reasons are written out


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _listed(seeds: Sequence[int]) -> str:
    """Return which seeds they are, where they are not the first ones.

    >>> _listed((0, 1)), _listed((4, 5, 6)), _listed((9, 2))
    ('', ' (4 to 6)', ' (9, 2)')
    """
    first, count = seeds[0], len(seeds)
    if count > 2 and tuple(seeds) == tuple(range(first, first + count)):
        return f" ({first} to {seeds[-1]})" if first else ""
    if tuple(seeds) == tuple(range(count)):
        return ""
    more = f" and {count - 8} more" if count > 8 else ""
    return f" ({', '.join(map(str, seeds[:8]))}{more})"


def announce(job: Job) -> Iterator[str]:
    """Yield the lines of the announcement: task, programs, runs, device, memory."""
    plan, chunks = job.plan, job.chunks
    if plan.title:
        yield plan.title
    lines = _of_task(job.programs[0].resolved)
    yield from [f"task: not known ({lines.reason})"] if isinstance(lines, Unknown) else lines
    sizes = [len(program.members) for program in job.programs]
    runs = sum(sizes)
    product = [
        _counted(len(v), name) if name == AXIS else f"{len(v)} {name}"
        for name, v in plan.sweep.items()
    ]
    product.append(_counted(len(plan.seeds), "seed") + _listed(plan.seeds))
    each = f"x {_counted(sizes[0], 'run')}" if len(set(sizes)) == 1 else f"for {runs} runs"
    yield f"{_counted(len(sizes), 'program')} {each}: {' x '.join(product)}"
    if job.options.dry_run:
        yield from _programs(plan, job.programs)
        yield from _variants(plan)
    missing = sum(len(chunk.members) for chunk in chunks)
    if missing < runs:
        yield f"{runs - missing} of {runs} runs are finished already; {missing} to run"
    yield from _going_on(job)
    yield from _unobserved(job)
    if not chunks:
        return
    device = jax.devices()[0]
    widths = "/".join(str(width) for width in dict.fromkeys(job.widths.values()))
    yield (
        f"device: {at_once(job)} x {device.platform} ({devices.kind(device)}); "
        f"chunks of {widths} runs; memory: {_memory(job)}"
    )


def _programs(plan: Plan, programs: Sequence[Program]) -> Iterator[str]:
    """Yield a line for each of several programs: its runs, and why it cannot be another's.

    A program is compiled for the values of static fields and for the knobs in use: those that are
    swept or not neutral. What all programs share is left out.
    """
    if len(programs) == 1:
        return
    fields = [
        name
        for name in programs[0].config
        if not plan.schema[name].knob and len({repr(p.config.get(name)) for p in programs}) > 1
    ]
    shared = frozenset.intersection(*(program.used for program in programs))
    for program in programs[:_SHOWN]:
        static = [f"{f} = {shown(program.config[f])}" for f in fields if f in program.config]
        knobs = [f"{name} in use" for name in sorted(program.used - shared)]
        reasons = ", ".join(static + knobs) or "none of these"
        yield f"  {_counted(len(program.members), 'run')}: {reasons}"
    if len(programs) > _SHOWN:
        yield f"  and {len(programs) - _SHOWN} more programs, by {', '.join(fields) or 'knobs'}"


def _going_on(job: Job) -> Iterator[str]:
    """Yield lines on the runs whose records end too early, on what is kept, and on the budget."""
    going = [chunk for chunk in job.chunks if chunk.address in job.kept]
    if count := sum(len(chunk.members) for chunk in going):
        steps = sorted({job.kept[chunk.address].steps for chunk in going})
        last = " or ".join(map(str, steps))
        yield f"{_counted(count, 'run')} of these go on from step {last}, with their kept state"
    again = [
        member
        for chunk in job.chunks
        if chunk.address not in job.kept and not begun.has_checkpoint(job.place, chunk)
        for member in chunk.members
        if member in job.finished.records
    ]
    if again:
        yield (
            f"{_counted(len(again), 'run')} of these ended early, and start again: their state was "
            "not kept (--keep state), or of other circumstances"
        )
    keep = job.options.keep
    if job.complete and (keep.state or keep.weights):
        yield f"note: of {_counted(len(job.complete), 'finished run')} here nothing more is kept"
    if job.options.budget is not None:
        yield f"within {duration(job.options.budget)}: the first seeds of all settings come first"


@informative
def _of_task(setting: Resolved) -> list[str]:
    """Return the lines of a task about itself, in a setting of the plan."""
    says = setting.sections["task"].says
    return [] if says is None else list(says(setting.spec("task")))


def _memory(job: Job) -> str:
    """Return in words the least memory that a chunk needs, and the memory of the device."""
    least, available = 0, job.available
    for needed in job.least.values():
        if isinstance(needed, Unknown):
            return f"not known ({needed.reason})"
        least = max(least, needed)
    if isinstance(available, Unknown):
        return f"not known ({available.reason})"
    return f"at least {memory.readable(least * sharing(job))} of {memory.readable(available)}"


def _variants(plan: Plan) -> Iterator[str]:
    """Yield a line for each variant: the first in full, the others as they differ from it."""
    names = plan.sweep.get(AXIS, ())
    settled = {name: {**plan.config, **plan.variants[name]} for name in names}
    for name in names:
        fields = plan.variants[name]
        if name != names[0]:
            both = {**plan.variants[names[0]], **fields}
            first = settled[names[0]]
            fields = {f: settled[name][f] for f in both if settled[name][f] != first[f]}
        text = ", ".join(f"{field} = {shown(value)}" for field, value in fields.items())
        yield f"  {name}: {text or ('as configured' if name == names[0] else f'as {names[0]}')}"


def _unobserved(job: Job) -> Iterator[str]:
    """Yield notes on finished runs that lack an observation of the plan, and on how to get it."""
    config = job.plan.config
    for name in sorted(job.plan.observing - job.plan.idle(config)):
        lacking = [
            member
            for program in job.programs
            for member in program.members
            if (seen := job.finished.observed.get(member)) is not None
            and seen.get(name, job.plan.schema[name].idle) != config[name]
        ]
        if lacking:
            yield (
                f"note: {_counted(len(lacking), 'finished run')} here "
                f"{'was' if len(lacking) == 1 else 'were'} not observed with {name} = "
                f"{shown(config[name])}; that happens while a run trains: "
                "another --workdir trains them with it"
            )
