"""Pairs of runs that are compared: a setting and its baseline, at one seed.

The two runs of a pair must be of one exactness, since their difference is what is looked at. Runs
of different pairs need not be: a merged folder may hold several records of exactness.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from plateaus.build.soundness import shapes_of
from plateaus.config.plan import Plan
from plateaus.config.values import shown
from plateaus.config.variants import AXIS
from plateaus.jobs import exactness, sweep
from plateaus.jobs.exactness import Record
from plateaus.jobs.sweep import Member
from plateaus.report.statistics import baseline_of

Swept = Mapping[str, Sequence[Any]]


class Standing(NamedTuple):
    """The exactness of a run, with the digest of its program without observations."""

    exactness: Record
    trained: str

    def unlike(self, current: Standing) -> list[str]:
        """Return how the bits of runs may differ between the two; [] if they cannot.

        The width belongs to what is trained.
        """
        records = [dict(one.exactness) for one in (self, current)]
        if self.trained != current.trained:
            for record in records:
                record.pop("width", None)
        return exactness.differences(*records)


def standings(plan: Plan, recorded: Mapping[Member, Record]) -> dict[Member, Standing]:
    """Return the standing of every run from its record of exactness."""
    return {
        run: Standing(recorded[run], program.trained)
        for program in sweep.programs(plan, recorded)
        for run in program.members
    }


def of_chunks(
    chunks: Iterable[sweep.Chunk], recorded: Mapping[str, Record]
) -> dict[Member, Standing]:
    """Return the standing of the runs of chunks from records by the address of a program."""
    return {
        run: Standing(recorded[chunk.program.address], chunk.program.trained)
        for chunk in chunks
        for run in chunk.members
    }


def several(runs: Iterable[Standing]) -> bool:
    """Return whether some of the runs could not have been made beside the others."""
    each = distinct(runs)
    return any(one.unlike(other) for one, other in itertools.combinations(each, 2))


def distinct(runs: Iterable[Standing]) -> list[Standing]:
    """Return the standings of runs, each once."""
    return [*{(one.trained, json.dumps(one.exactness)): one for one in runs}.values()]


def neutral(plan: Plan, swept: Swept, name: str, size: int) -> Any:
    """Return the baseline of a swept field: its neutral value, or the first variant in the sweep.

    For `data.items` a sweep without infinity has its neutral value at all items, `size`.
    """
    if name == AXIS:
        return next(variant for variant in plan.variants if variant in swept[AXIS])
    value = plan.schema[name].field.neutral
    return size if name == "data.items" and value not in swept[name] else value


def baselines(plan: Plan, swept: Swept, example: Member) -> Callable[[Member], Member]:
    """Return the function from a run to the run that it is compared with, among `swept` values.

    `example` is any of the runs.
    """
    resolved = plan.resolved._replace(config=sweep.setting(plan, example))
    task, _ = shapes_of(resolved.sections["task"], resolved.spec("task"))
    off = {name: neutral(plan, swept, name, task.size) for name in plan.sweep}

    def baseline(member: Member) -> Member:
        setting = dict(zip(plan.sweep, member.values, strict=True))
        values = baseline_of(setting, swept, off)
        return Member(tuple(values[name] for name in plan.sweep), member.seed)

    return baseline


def differing(pairs: Iterable[tuple[Member, Member]], of: Mapping[Member, Standing]) -> list[str]:
    """Return how the second runs of pairs differ in exactness from the first, with the seeds."""
    seeds: dict[str, dict[int, None]] = {}
    compared: dict[tuple[int, int, bool], list[str]] = {}
    for first, second in pairs:
        one, other = of[first], of[second]
        key = (id(one.exactness), id(other.exactness), one.trained == other.trained)
        if key not in compared:
            compared[key] = one.unlike(other)
        for phrase in compared[key]:
            seeds.setdefault(phrase, {})[first.seed] = None
    return [f"{phrase} ({_seeds(sorted(several))})" for phrase, several in seeds.items()]


def inexact(
    plan: Plan,
    swept: Swept,
    there: Mapping[Member, Standing],
    foreign: Iterable[Record],
    new: Mapping[Member, Standing],
) -> Iterator[str]:
    """Yield how new runs would differ in exactness from those of a folder.

    A folder of one record of exactness stays of one; `foreign` are records of runs that no name of
    the plan fits any more. Of several, as after a merge, pairs count.
    """
    if several(there.values()):
        yield from unlike(plan, swept, there, new)
        return
    before = distinct([*there.values(), *(Standing(record, "") for record in foreign)])
    for standing in distinct(new.values()):
        for one in before:
            yield from one.unlike(standing)


def unlike(
    plan: Plan, swept: Swept, there: Mapping[Member, Standing], new: Mapping[Member, Standing]
) -> Iterator[str]:
    """Yield why new runs cannot stand among runs of several records of exactness.

    Each must be like the runs that it is compared with; where none of these is there already, it
    must be like one of the others at least.
    """
    among = {**there, **new}
    baseline = baselines(plan, swept, next(iter(among)))
    pairs = [(run, baseline(run)) for run in among]
    pairs = [(a, b) for a, b in pairs if b in among and (a in new) != (b in new)]
    yield from differing([(b, a) if a in new else (a, b) for a, b in pairs], among)
    paired = {run for pair in pairs for run in pair}
    for standing in distinct(one for run, one in new.items() if run not in paired):
        if unlikes := [one.unlike(standing) for one in distinct(there.values())]:
            yield from min(unlikes, key=len)  # none where they are like one of the records


def in_words(plan: Plan, member: Member) -> str:
    """Return a run in words.

    >>> from plateaus.config.component import Resolved
    >>> in_words(Plan("x", Resolved({}, {}, {}), {"a": (1,)}, ""), Member((1,), 7))
    'a = 1, seed 7'
    """
    values = zip(plan.sweep, member.values, strict=True)
    return ", ".join([*(f"{name} = {shown(value)}" for name, value in values), f"seed {member[1]}"])


def _seeds(seeds: Sequence[int]) -> str:
    listed = ", ".join(map(str, seeds[:8])) + ("..." if len(seeds) > 8 else "")
    return f"seed{'s' * (len(seeds) != 1)} {listed}"
