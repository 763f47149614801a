"""What runs were observed with: what may stand side by side in one folder, and what may not.

Observed or not is told by NaN. What was observed in two ways, though, has one name for two things.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.config.values import shown

Observed = Mapping[str, Any]  # the observing fields of a run that stand off their idle value


def of(plan: Plan) -> dict[str, Any]:
    """Return what the runs of a plan are observed with."""
    return {name: plan.config[name] for name in sorted(plan.observing - plan.idle(plan.config))}


def conflicts(plan: Plan, there: Observed) -> Iterator[tuple[str, Any, Any]]:
    """Yield (field, value there, value here) where both look at the same thing in two ways."""
    here = of(plan)
    for name in sorted(plan.observing):
        switch = _switch(plan, name)
        idle = plan.schema[name].idle
        off = plan.schema[switch].idle if switch in plan.schema else None
        if off in (there.get(switch, off), here.get(switch, off)):
            continue
        if (was := there.get(name, idle)) != (now := here.get(name, idle)):
            yield name, was, now


def refuse_other(plan: Plan, place: Path, ways: Iterable[Observed | None]) -> None:
    """Refuse to add runs that are looked at in another way than those that are there."""
    differ = dict.fromkeys(
        f"{name} is {shown(was)} there, {shown(now)} here"
        for observed in ways
        for name, was, now in conflicts(plan, observed or {})
    )
    if differ:
        raise ConfigError(
            f"{place} holds runs that were observed otherwise: {'; '.join(differ)}. "
            "Use another --workdir, or observe as there"
        )


def joined(plan: Plan, some: Iterable[Observed | None]) -> dict[str, Any]:
    """Return the config of a plan as runs were observed, where any of `some` was."""
    config = dict(plan.config)
    for observed in some:
        known = {n: value for n, value in (observed or {}).items() if n in plan.observing}
        on = {_switch(plan, name) for name in known}
        config |= {
            name: known.get(name, plan.schema[name].idle)
            for name in plan.observing
            if _switch(plan, name) in on
        }
    return config


def _switch(plan: Plan, name: str) -> str:
    """Return the field that switches on what a field observes; itself, if it is that one."""
    entry = plan.schema.get(name)
    return (entry.field.switch if entry else "") or name
