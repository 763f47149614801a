"""What may be added to a folder: runs along another swept field, or on a coarser grid.

The runs of a folder stand at one value of a field that is swept later: `config.json` keeps it under
"earlier", since the names of those runs lack the field. A plan that sweeps fewer fields than the
folder is a selection of its runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.config.values import convert, shown
from plateaus.config.variants import clashes
from plateaus.jobs import identities

EARLIER = "earlier"


class Fitted(NamedTuple):
    """A plan as it fits a folder, with lines for the user."""

    plan: Plan
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def fitted(folder: Path, plan: Plan) -> Fitted:
    """Return the plan with the folder's swept fields, each that it lacks at its value here.

    Raises ConfigError where a variant sets such a field.
    """
    try:
        recorded, before = identities.held(folder), identities.content(folder)
    except identities.UNREADABLE:
        return Fitted(plan)
    lacking = [n for n in recorded["swept"] if n not in plan.sweep and n in plan.config]
    swept = {**plan.sweep, **{name: (plan.config[name],) for name in lacking}}
    order = before.get("sweep")
    if lacking and isinstance(order, dict) and {*order} == {*swept}:
        swept = {name: swept[name] for name in order}
    if problems := list(clashes(plan.variants, swept)):
        raise ConfigError(*problems)
    wide = dataclasses.replace(plan, sweep=swept)
    notes = [
        f"note: the runs in {folder} are swept over {name}; this command is of those with "
        f"{name} = {shown(plan.config[name])} (--sweep {name}=... chooses others)"
        for name in lacking
    ]
    return Fitted(wide, tuple(notes), tuple(_warnings(folder, wide, recorded)))


def _warnings(folder: Path, plan: Plan, recorded: Mapping[str, Any]) -> list[str]:
    """Return a line where runs are added whose program has a knob that the earlier ones' lacks."""
    added = [n for n in plan.sweep if n not in recorded["swept"] and n in plan.schema]
    at = {name: recorded["config"].get(name, plan.schema[name].idle) for name in added}
    new = [n for n in added if plan.schema[n].knob and at[n] == plan.schema[n].field.neutral]
    if not new:
        return []
    return [
        f"{', '.join(new)}: no part of the program of the runs that are in {folder} already, which "
        "stand at its neutral value; runs with it may round otherwise, in the last place"
    ]


def earlier(folder: Path, plan: Plan) -> dict[str, Any]:
    """Return where the runs stand along swept fields that their names lack, by field."""
    try:
        recorded, before = identities.held(folder), identities.content(folder)
    except identities.UNREADABLE:
        return {}
    written = before.get(EARLIER)
    values = dict(written) if isinstance(written, dict) else {}
    for name in plan.sweep:
        if name not in recorded["swept"] and name in plan.schema:
            value = recorded["config"].get(name, plan.schema[name].idle)
            if value is not None:
                values[name] = value
    typed = {}
    for name, value in values.items():
        with contextlib.suppress(ValueError):  # a value that is not allowed any more
            if name in plan.schema:
                typed[name] = convert(plan.schema[name].kind, plan.schema[name].field, value)
    return typed


def alike(plan: Plan, place: Path) -> list[str]:
    """Return a line about folders beside `place` that the runs of a plan could be added to."""
    folders = []
    for other in sorted(place.parent.glob(f"{glob.escape(plan.name)}-*")):
        with contextlib.suppress(ConfigError, OSError):
            if other != place and (other / "config.json").exists():
                identities.check(other, fitted(other, plan).plan)
                if not identities.same(other, plan):  # those `locate` names
                    folders.append(str(other))
    if not folders:
        return []
    return [
        f"note: --workdir {folders[0]} would add these runs to those that are there, which differ "
        "in what is swept or in how often they are evaluated only"
    ]
