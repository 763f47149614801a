"""Merging: the finished runs of folders and archives, verified and added to one folder.

All is read and compared before anything is written. A merge that is killed leaves a folder that
holds some of the runs, and the same command adds the others.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from plateaus.config.plan import Options, Plan
from plateaus.config.schema import ConfigError
from plateaus.config.values import shown
from plateaus.jobs import (
    archives,
    checkpoint,
    copies,
    devices,
    folder,
    observations,
    pairs,
    provenance,
    results,
    switches,
    unions,
)
from plateaus.jobs.archives import Source
from plateaus.jobs.copies import Copy
from plateaus.jobs.finished import Finished, new_file
from plateaus.jobs.recorded import plan_of
from plateaus.jobs.sweep import Member
from plateaus.jobs.unions import Arrival, Run


class Merge(NamedTuple):
    """A merge that nothing stands against: the plan of all runs, and what is to be written."""

    plan: Plan
    into: Path
    sources: list[Source]
    arrivals: list[Arrival]
    copies: dict[Path, Copy]  # of states and weights beside the records, by where to


def merge(paths: Sequence[Path], into: Path, options: Options) -> int:
    """Add the finished runs of `paths` to the folder `into`; return the exit code, as a run's.

    Raises ConfigError, before anything is written, for runs that may not stand in one folder.
    """
    devices.configure()
    if refused := switches.refused():
        raise ConfigError(*refused)
    with contextlib.ExitStack() as held:
        held.enter_context(switches.pinned())
        there = into.is_dir() and not options.dry_run
        if there:
            folder.take(held, into)
        sources = _opened(held, paths, into, not options.dry_run)
        prepared = _prepared(sources, into, options)
        if options.dry_run:
            print(f"dry run: nothing was written; the folder would be {into}")
            return 0
        if not there:  # only now that nothing is left to refuse
            folder.take(held, into)
            if (into / archives.CONFIG).exists():
                raise ConfigError(f"{into} was made by another command just now; try again")
        try:
            return _write(prepared, options)
        except OSError as error:
            print(
                f"error: {error}; what was merged is kept, and the same command goes on from it",
                file=sys.stderr,
            )
            return 1


def _warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr)


def _opened(
    held: contextlib.ExitStack, paths: Sequence[Path], into: Path, locked: bool
) -> list[Source]:
    """Return the folders to merge: each once, and not the one that they are merged into."""
    distinct = {path.resolve(): path for path in reversed(paths)}
    if into.resolve() in distinct:
        raise ConfigError(f"--merge {into}: is the --workdir as well; leave it out")
    opened = (archives.opened(held, path, locked) for path in reversed(distinct.values()))
    return [*itertools.chain.from_iterable(opened)]


def _prepared(sources: list[Source], into: Path, options: Options) -> Merge:
    """Return what is to be written; the user is told what it is."""
    base = [Source(into, str(into))] if (into / archives.CONFIG).exists() else []
    if not base and into.exists() and any(not p.name.startswith(".") for p in into.iterdir()):
        raise ConfigError(f"--workdir {into}: exists, and is not a run folder")
    plan = unions.plan_of_all([*base, *sources], [_plan(one) for one in (*base, *sources)])
    known: dict[Member, Run] = {}
    for source in base:
        unions.gather(plan, source, known, _warn)
    arrivals: list[Arrival] = []
    lines = []
    for source in sources:
        more, counts = unions.gather(plan, source, known, _warn)
        arrivals += more
        again = f", {counts.again} there already with the same bits" if counts.again else ""
        lines.append(f"{source.name}: {counts.new} runs are added{again}")
    if not known:
        raise ConfigError("--merge: there is no finished run in what is to be merged")
    _refuse_otherwise_observed(plan, known)
    plan = unions.with_runs(plan, known, _observing(plan, known))
    if not options.allow_inexact_resume:
        _refuse_unlike(plan, known)
    print(*lines, sep="\n")
    return Merge(plan, into, sources, arrivals, copies.wanted(plan, sources, into, _warn))


def _plan(source: Source) -> Plan:
    try:
        return plan_of(source.folder)
    except ConfigError as error:
        raise ConfigError(*map(source.named, error.problems)) from None


def _refuse_otherwise_observed(plan: Plan, known: Mapping[Member, Run]) -> None:
    """Refuse runs that have one name for two quantities."""
    ways = {repr(run.observed): run for run in known.values()}.values()
    for one, other in itertools.combinations(ways, 2):
        for name, was, now in observations.between(plan, one.observed or {}, other.observed or {}):
            raise ConfigError(
                f"{other.source} holds runs that were observed otherwise than those in "
                f"{one.source}: {name} is {shown(now)} there, {shown(was)} here"
            )


def _observing(plan: Plan, known: Mapping[Member, Run]) -> dict[str, Any]:
    joined = observations.joined(plan, [run.observed for run in known.values()])
    return {name: joined[name] for name in plan.observing}


def _refuse_unlike(plan: Plan, known: Mapping[Member, Run]) -> None:
    """Refuse pairs of runs that were brought together and are not of one exactness."""
    standings = pairs.standings(plan, {run: one.exactness for run, one in known.items()})
    baseline = pairs.baselines(plan, plan.sweep, next(iter(known)))
    brought = [
        (other, run)
        for run in known
        if (other := baseline(run)) in known and known[other].source != known[run].source
    ]
    if phrases := pairs.differing(brought, standings):
        raise ConfigError(
            "--merge: runs that are compared would not be of one exactness: "
            f"{'; '.join(phrases)}. Merge into another --workdir, or --allow-inexact-resume"
        )


def _write(merged: Merge, options: Options) -> int:
    """Write a merge in the locked folder: what identifies the runs first, their results last."""
    plan, into = merged.plan, merged.into
    sessions = _sessions(merged)
    if not (merged.arrivals or merged.copies or sessions):
        finished = Finished(into, plan, _warn)
        if results.reported(into) == finished.contents():
            print(f"nothing to do: all {len(finished.records)} runs are there")
            results.show(into)
            return 0
    folder.write_config(into, plan)
    print(f"folder: {into}", flush=True)
    records = into / "checkpoints" / "finished"
    for arrival in merged.arrivals:
        checkpoint.write_arrays(
            new_file(records, arrival.stem, arrival.arrays), arrival.arrays, arrival.meta
        )
    copies.write(merged.copies)
    runs = sum(len(arrival.meta["members"]) for arrival in merged.arrivals)
    session = {"command": options.command, "merged": [s.name for s in merged.sources], "runs": runs}
    folder.record(into, [*sessions, {**session, "finished": True, **provenance.of_process()}])
    results.write(plan, into, Finished(into, plan, _warn), _warn)
    results.show(into)
    return 0


def _sessions(merged: Merge) -> list[dict[str, Any]]:
    """Return the sessions of the merged folders that are not on record yet, each with its source.

    A folder whose record is damaged has none.
    """
    found: list[dict[str, Any]] = []
    there: list[dict[str, Any]] = []
    with contextlib.suppress(ValueError, KeyError, TypeError):
        there = folder.sessions(merged.into)
    for source in merged.sources:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            for session in folder.sessions(source.folder):
                origin = [source.name, *session.get("merged_from", [])]
                found.append({**session, "merged_from": origin})
    return [session for session in found if session not in there]
