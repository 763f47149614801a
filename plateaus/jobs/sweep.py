"""From a plan to its units of work: settings, members, programs, chunks, and their addresses."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from plateaus.build.recipes import batch_of, used_knobs
from plateaus.config.component import Resolved
from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.config.variants import AXIS, settled
from plateaus.jobs.identities import digest


class Member(NamedTuple):
    """One run: the value of each swept field, in the order of the sweep, and a seed."""

    values: tuple[Any, ...]
    seed: int


class Program(NamedTuple):
    """Runs that share one compiled program: the same static fields, the same knobs in use."""

    resolved: Resolved  # of any of its members; only the static fields matter
    used: frozenset[str]
    address: str  # a digest of the static fields and the knobs in use
    members: tuple[Member, ...]
    trained: str  # a digest of the same without observing fields
    endless: str  # a digest of the address's content without the number of steps

    @property
    def config(self) -> dict[str, Any]:
        """The flat config of any of its members."""
        return self.resolved.config


class Chunk(NamedTuple):
    """The unit of work: at most `width` members, padded to `width`, run on one device."""

    program: Program
    members: tuple[Member, ...]
    address: str  # a digest of the program and the names
    names: tuple[Any, ...]  # how files name the members

    @property
    def endless(self) -> str:
        """A digest of the program without its number of steps, and of the names."""
        return digest([self.program.endless, list(self.names)])


def members(plan: Plan) -> tuple[Member, ...]:
    """Return every run of the plan: the product of the sweep, seeds fastest."""
    settings = itertools.product(*plan.sweep.values())
    return tuple(Member(values, seed) for values in settings for seed in plan.seeds)


def setting(plan: Plan, member: Member) -> dict[str, Any]:
    """Return the flat config of one run."""
    return settled(plan.config, dict(zip(plan.sweep, member.values, strict=True)), plan.variants)


def programs(plan: Plan, wanted: Iterable[Member]) -> tuple[Program, ...]:
    """Group members by program: one for each combination of *static* fields and knobs in use.

    The knobs that a variant overrides are in use in its runs only: the programs of the other runs
    are the same as without the variant.
    """
    by_values: dict[tuple[Any, ...], list[Member]] = {}
    for member in wanted:
        by_values.setdefault(member.values, []).append(member)
    by_address: dict[str, Program] = {}
    for runs in by_values.values():
        overrides = _overrides(plan, runs[0])
        base = {**plan.config, **overrides}
        if "batch" in {*plan.sweep, *overrides} and base["batch_per_item"]:
            raise ConfigError("batch: cannot be swept where batch_per_item sets it")
        used = used_knobs(plan.schema, base, plan.sweep)
        config = setting(plan, runs[0])
        idle = plan.idle(config)
        static = {
            name: value
            for name, value in config.items()
            if name != "seeds" and not plan.schema[name].knob and name not in idle
        } | {"batch": batch_of(config)}
        address = digest({"static": static, "used": sorted(used)})
        blind = {name: value for name, value in static.items() if name not in plan.observing}
        trained = digest({"static": blind, "used": sorted(used)})
        endless = digest({"static": _without_steps(static), "used": sorted(used)})
        resolved = plan.resolved._replace(config=config)
        first = Program(resolved, used, address, (), trained, endless)
        before = by_address.get(address, first)
        by_address[address] = before._replace(members=(*before.members, *runs))
    return tuple(by_address.values())


def _without_steps(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "steps"}


def _overrides(plan: Plan, member: Member) -> dict[str, Any]:
    """Return the overrides of a member's variant; {} where the sweep has no variants."""
    values = dict(zip(plan.sweep, member.values, strict=True))
    return plan.variants[values[AXIS]] if AXIS in values else {}


def named(plan: Plan, member: Member) -> list[Any]:
    """Return a member as JSON can keep it, under any order of the swept fields.

    The overrides of its variant stand beside the variant's name: a later preset may give the name
    another meaning, and its runs must not be taken for the earlier ones.

    >>> plan = Plan("x", Resolved({}, {}, {}), {"b": (1,), "a": (2,)}, "")
    >>> named(plan, Member((1, 2), 7))
    [{'a': 2, 'b': 1}, 7]
    """
    values = dict(zip(plan.sweep, member.values, strict=True)) | _overrides(plan, member)
    return [{name: values[name] for name in sorted(values)}, member.seed]


def completed(name: Sequence[Any], earlier: Mapping[str, Any]) -> list[Any]:
    """Return a name from `named` with the fields that were not swept yet when it was given.

    >>> completed([{"b": 1}, 7], {"a": 2, "b": 3})
    [{'a': 2, 'b': 1}, 7]
    """
    values, seed = name
    both = {**earlier, **values}
    return [{field: both[field] for field in sorted(both)}, seed]


def unnamed(plan: Plan, name: Sequence[Any]) -> Member | None:
    """Return the member of a name from `named`; None if its variant is absent or changed.

    None, too, where the name lacks a swept field.
    """
    values, seed = name
    if not {*plan.sweep} <= {*values}:
        return None
    if AXIS in plan.sweep and values[AXIS] not in plan.variants:
        return None
    member = Member(tuple(values[field] for field in plan.sweep), seed)
    return member if named(plan, member)[0] == values else None


def chunk(plan: Plan, program: Program, runs: Sequence[Member]) -> Chunk:
    """Return the chunk of a program's runs."""
    names = [named(plan, member) for member in runs]
    return Chunk(program, tuple(runs), digest([program.address, names]), tuple(names))


def chunks(
    plan: Plan, program: Program, width: int, begun: Iterable[Sequence[Member]] = ()
) -> tuple[Chunk, ...]:
    """Return a program's members in chunks of `width`, first those already `begun` as a group.

    A run's bits depend neither on its neighbours nor on its place in a chunk, so members may be
    grouped anew. A group with a checkpoint stays together to use it, unless it is too large.
    """
    missing = dict.fromkeys(program.members)
    groups: list[Sequence[Member]] = []
    for group in begun:
        if 0 < len(group) <= width and all(member in missing for member in group):
            groups.append(group)
            for member in group:
                del missing[member]
    rest = list(missing)
    groups += [rest[i : i + width] for i in range(0, len(rest), width)]
    return tuple(chunk(plan, program, group) for group in groups)
