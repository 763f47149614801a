"""The observing fields of runs: which runs may stand in one folder, and which may not.

A run that was not observed has NaN in the results. Runs that were observed in two ways would have
one name for two quantities.
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
    """Return the observing fields of a plan that differ from their idle values."""
    return {name: plan.config[name] for name in sorted(plan.observing - plan.idle(plan.config))}


def conflicts(plan: Plan, recorded: Observed) -> Iterator[tuple[str, Any, Any]]:
    """Yield (field, recorded value, current value) where both observe a quantity in two ways."""
    yield from between(plan, recorded, of(plan))


def between(plan: Plan, recorded: Observed, current: Observed) -> Iterator[tuple[str, Any, Any]]:
    """Yield (field, recorded value, current value) where two ways of observing exclude another."""
    for name in sorted(plan.observing):
        switch = _switch(plan, name)
        idle = plan.schema[name].idle
        off = plan.schema[switch].idle if switch in plan.schema else None
        if off in (recorded.get(switch, off), current.get(switch, off)):
            continue
        if (was := recorded.get(name, idle)) != (now := current.get(name, idle)):
            yield name, was, now


def refuse_other(plan: Plan, place: Path, ways: Iterable[Observed | None]) -> None:
    """Raise ConfigError where a folder's runs were observed otherwise than the plan's."""
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


def joined(plan: Plan, runs: Iterable[Observed | None]) -> dict[str, Any]:
    """Return the config of a plan with the observing fields of `runs`, where any was observed."""
    config = dict(plan.config)
    for observed in runs:
        recorded = {n: value for n, value in (observed or {}).items() if n in plan.observing}
        on = {_switch(plan, name) for name in recorded}
        config |= {
            name: recorded.get(name, plan.schema[name].idle)
            for name in plan.observing
            if _switch(plan, name) in on
        }
    return config


def _switch(plan: Plan, name: str) -> str:
    """Return the field that switches on a field's observation, which may be the field itself."""
    entry = plan.schema.get(name)
    return (entry.field.switch if entry else "") or name
