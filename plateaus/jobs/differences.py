"""How the runs of a folder differ from those of a plan, and what to do about it.

Both sides are identities of `plateaus.jobs.identities`, of one format. No difference are a swept
field at whose recorded value the earlier runs stand, and evaluations of which the plan wants some.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plateaus.config.plan import Plan
from plateaus.config.values import shown
from plateaus.config.variants import AXIS

GRID = "eval_every"


def refusal(
    plan: Plan, recorded: Mapping[str, Any], current: Mapping[str, Any], values: Mapping[str, Any]
) -> str:
    """Return how the plan's runs differ from the recorded ones, with a way on; "" if they fit.

    `values` are the recorded ones of fields that may be swept now.
    """
    there, here = recorded["config"], current["config"]
    lines = phrases(plan, recorded, current, values)
    return f"{'; '.join(lines)}. {_way_on(plan, there, here)}" if lines else ""


def phrases(
    plan: Plan, recorded: Mapping[str, Any], current: Mapping[str, Any], values: Mapping[str, Any]
) -> list[str]:
    """Return how the plan's runs differ from the recorded ones, a phrase for each field."""
    there, here = recorded["config"], current["config"]
    return [
        f"{name} is {_value(plan, there, name)} there, {_value(plan, here, name)} here"
        for name in _fields(plan, there, here)
    ] + list(_of_sweeps(plan, recorded["swept"], values))


def _fields(plan: Plan, there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return the fields that differ in effect."""
    return [
        name
        for name in sorted({*there, *here} - {*plan.sweep})
        if ((name in there) != (name in here) or there[name] != here[name])
        and not (name == GRID and divides(there, here))
    ]


def divides(there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    """Return whether the evaluations wanted here are among those that were made there."""
    recorded, current = there.get(GRID), here.get(GRID)
    if not isinstance(recorded, int) or not isinstance(current, int):
        return False
    return recorded > 0 and current % recorded == 0


def _of_sweeps(plan: Plan, there: list[str], values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the swept fields of one side that runs of the other have no value of."""
    for name in there:
        if name not in plan.sweep:
            here = "the plan here has no variants" if name == AXIS else "no field here"
            yield f"{name} is swept there, and {here}"
    for name in plan.sweep:
        if name in there:
            continue
        if name == AXIS:
            yield f"{AXIS} is swept here, and the runs there are of no variant"
        elif values.get(name, plan.schema[name].idle) is None:
            yield f"{name} is swept here, and absent there"


def _value(plan: Plan, config: Mapping[str, Any], name: str) -> str:
    """Return a field's value in words; one that the config lacks has its idle value there."""
    if name in config:
        return shown(config[name])
    entry = plan.schema.get(name)
    return "absent" if entry is None or entry.idle is None else shown(entry.idle)


def _way_on(plan: Plan, there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Return what to do about fields that differ."""
    fields = _fields(plan, there, here)
    if fields == [GRID] and there.get(GRID):
        return (
            f"Runs there have no evaluations in between: use --config.{GRID}={there[GRID]}, a "
            "multiple of it, or another --workdir"
        )
    if len(fields) == 1 and (entry := plan.schema.get(name := fields[0])) is not None:
        both = [config.get(name, entry.idle) for config in (there, here)]
        if entry.field.sweepable and None not in both and "," not in f"{both[0]}{both[1]}":
            return f"--sweep {name}={both[0]},{both[1]} holds both; or use another --workdir"
    return "Use another --workdir, or the values there"
