"""The union of several folders' plans, and of the runs in them: what a merge would hold.

Nothing is written here. The first folder is the one that the others are compared with.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from plateaus.config.plan import Plan, checked_plan
from plateaus.config.schema import ConfigError
from plateaus.config.values import shown
from plateaus.config.variants import AXIS
from plateaus.jobs import additions, checkpoint, identities, pairs, sweep, thinning
from plateaus.jobs.archives import Source
from plateaus.jobs.exactness import Record
from plateaus.jobs.finished import ending, observed_of_old
from plateaus.jobs.sweep import Member
from plateaus.jobs.unfinished import length


class Run(NamedTuple):
    """A run of a folder: its records at the plan's evaluations."""

    records: Mapping[str, np.ndarray]
    exactness: Record
    observed: Mapping[str, Any] | None
    source: str  # the name of its folder


class Arrival(NamedTuple):
    """A file of records to write: those of a source's file that are not there already."""

    stem: str
    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]


class Counts(NamedTuple):
    """The runs of a source: how many are new or go further, and how many are there already."""

    new: int
    again: int


def plan_of_all(sources: Sequence[Source], plans: Sequence[Plan]) -> Plan:
    """Return the plan whose sweep holds the runs of all folders, on their common evaluations.

    Raises ConfigError for folders of another experiment than the first.
    """
    base, first = plans[0], sources[0]
    variants: dict[str, dict[str, Any]] = {}
    for source, plan in zip(sources, plans, strict=True):
        for name, fields in plan.variants.items():
            if variants.setdefault(name, fields) != fields:
                raise ConfigError(f"{source.name}: its variant {shown(name)} is another one")
    names = dict.fromkeys(name for plan in plans for name in plan.sweep)
    swept = {name: _values(name, [*variants], plans) for name in names}
    every = max(plan.config["eval_every"] for plan in plans)
    schema, parts = base.schema, base.resolved.sections
    fields = {n: v for n, v in base.config.items() if not schema[n].field.derived}
    fields["eval_every"] = every
    title = next((plan.title for plan in plans if plan.title), "")
    wide = checked_plan(base.name, parts, fields, swept, title, variants, schema)
    for source in sources:
        if phrases := identities.unlike(source.folder, wide):
            there = "" if source is first else f" than {first.name}"
            raise ConfigError(
                f"{source.name} holds another experiment{there}: {'; '.join(phrases)}"
            )
    return wide


def _values(name: str, variants: Sequence[str], plans: Sequence[Plan]) -> list[Any]:
    """Return all values of a swept field: in order where each folder's are, else as they come."""
    each = [
        list(plan.sweep.get(name, () if name == AXIS else (plan.config[name],)))
        for plan in plans
        if name in plan.sweep or name in plan.config
    ]
    every = [*dict.fromkeys(value for values in each for value in values)]
    if name == AXIS:
        return sorted(every, key=variants.index)
    with contextlib.suppress(TypeError):
        for backwards in (False, True):
            if all(values == sorted(values, reverse=backwards) for values in each):
                return sorted(every, reverse=backwards)
    return every


def gather(
    plan: Plan,
    source: Source,
    known: dict[Member, Run],
    warn: Callable[[str], None],
) -> tuple[list[Arrival], Counts]:
    """Return the files with runs of a source that are not among the `known`, and add them there.

    Raises ConfigError where a run is known with other bits.
    """
    arrivals: list[Arrival] = []
    again = added = 0
    for path, arrays, meta, members in _files(plan, source, warn):
        runs = _runs(plan, path, arrays, meta, members, source.name)
        new = []
        for place, (member, run) in enumerate(zip(members, runs, strict=True)):
            if member is None:
                continue
            there = known.get(member)
            if there is None or length(there.records) < length(run.records):
                new.append(place)
                known[member] = run
            elif length(there.records) > length(run.records):
                again += 1
            elif differ := [*_other_bits(there.records, run.records)]:
                raise ConfigError(
                    f"{source.name} and {there.source} hold a run with other bits "
                    f"({pairs.in_words(plan, member)}): {', '.join(differ[:5])}"
                )
            else:
                again += 1
        added += len(new)
        if new:
            arrivals.append(_arrival(path, arrays, meta, new))
    return arrivals, Counts(added, again)


def _files(
    plan: Plan, source: Source, warn: Callable[[str], None]
) -> Iterator[tuple[Path, dict[str, np.ndarray], dict[str, Any], list[Member | None]]]:
    """Yield a folder's files of records, verified, with their names as the plan has them."""
    folder = source.folder
    of_folder, earlier = observed_of_old(folder), additions.earlier(folder, plan)
    for path in sorted((folder / "checkpoints" / "finished").glob("*.npz")):
        try:
            arrays, meta = checkpoint.read_arrays(path)
        except checkpoint.Damaged as error:
            line = f"finished runs passed over, they are not merged: {error}"
            warn(source.named(line))
            continue
        names = [sweep.completed(name, earlier) for name in meta["members"]]
        meta = {"observed": of_folder, **meta, "members": names}
        yield path, arrays, meta, [sweep.unnamed(plan, name) for name in names]


def _runs(
    plan: Plan,
    path: Path,
    arrays: dict[str, np.ndarray],
    meta: Mapping[str, Any],
    members: Sequence[Member | None],
    source: str,
) -> Iterator[Run]:
    on_grid = thinning.on_grid(plan, members, arrays, path)
    for i in range(len(members)):
        records = {name: array[i] for name, array in on_grid.items()}
        records |= ending(records, plan.config["steps"])
        yield Run(records, meta["exactness"], meta["observed"], source)


def _arrival(
    path: Path, arrays: Mapping[str, np.ndarray], meta: dict[str, Any], new: Sequence[int]
) -> Arrival:
    """Return the file of some of a file's runs: under its name, where it is the file as it was.

    They have their share of the seconds that the file's runs took together.
    """
    names = [meta["members"][place] for place in new]
    whole = len(new) == len(meta["members"])
    stem = identities.digest([meta["program"], names])
    if "seconds" in meta and not whole:
        seconds = meta["seconds"] * len(new) / len(meta["members"])
        meta = {**meta, "seconds": round(seconds, 3)}
    return Arrival(
        path.stem if whole and stem == path.stem else stem,
        {name: array if whole else array[list(new)] for name, array in arrays.items()},
        {**meta, "members": names},
    )


def _other_bits(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Yield the variables that both runs have recorded, with other bits."""
    for name in sorted({*one} & {*other}):
        if not _same_bits(np.asarray(one[name]), np.asarray(other[name])):
            yield name


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two arrays are the same but for how long nothing follows after the end.

    The arrays of a chunk are as long as its longest run: see `endings.cut`.
    """
    if a.ndim and b.ndim:
        if _holds_any(a[len(b) :]) or _holds_any(b[len(a) :]):
            return False
        a, b = a[: len(b)], b[: len(a)]
    return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def _holds_any(rest: np.ndarray) -> bool:
    """Return whether a part of a record holds anything but NaN or, in whole numbers, 0."""
    return bool((~np.isnan(rest) if rest.dtype.kind == "f" else rest).any())


def with_runs(plan: Plan, runs: Mapping[Member, Run], observing: Mapping[str, Any]) -> Plan:
    """Return the plan of exactly the settings and seeds that there are, observed as they were."""
    seeds = tuple(sorted({member.seed for member in runs}))
    config = {**plan.config, **observing, "seeds": len(seeds)}
    swept = {}
    for i, (name, values) in enumerate(plan.sweep.items()):
        there = {member.values[i] for member in runs}
        others = sorted(there - {*values}, key=repr)
        swept[name] = tuple([value for value in values if value in there] + others)
    resolved = plan.resolved._replace(config=config)
    return dataclasses.replace(plan, resolved=resolved, sweep=swept, chosen=seeds)
