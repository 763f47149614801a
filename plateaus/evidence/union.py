"""Adding the runs of a run folder to a kept folder: the union of their records, as text.

The result does not depend on the order in which folders are added, and adding one twice changes
nothing. One process at a time may add to a folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from plateaus import files
from plateaus.config.schema import ConfigError
from plateaus.evidence import records
from plateaus.evidence.light import lighter
from plateaus.evidence.records import Records
from plateaus.report import private
from plateaus.report.kept_runs import FILE as RUNS
from plateaus.report.kept_runs import value_text

IDENTIFYING = ("name", "title", "identity", "config", "earlier")  # of config.json


def add(kept: Path, run_folder: Path) -> int:
    """Add the runs of a folder that are at their end to a kept folder; return how many are new.

    A run that is there already stays as it is. Each file appears whole or not at all, runs.csv at
    last: what says which runs there are. A folder without it holds none.

    Raises ConfigError, in one line and before anything is written, for runs of another experiment.
    """
    source = _told(records.read(run_folder), run_folder)
    before = records.read(kept) if (kept / RUNS).exists() else None
    if before is not None:
        _refuse_other(before.config, source.config, kept, run_folder)
    new = {member for member in source.runs if before is None or member not in before.runs}
    if not new:
        return 0
    source = _closed(lighter(source))
    result = source if before is None else _closed(united(before, source))
    kept.mkdir(parents=True, exist_ok=True)
    files.remove_leftovers(kept)
    for name, content in records.written(result).items():
        files.write_atomically(kept / name, content)
    return len(new)


def _refuse_other(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], kept: Path, run: Path
) -> None:
    mine, other = ours["identity"], theirs["identity"]
    if mine == other:
        return
    left, right = (
        {**i["config"], "format": i["format"], "swept": i["swept"]} for i in (mine, other)
    )
    name = next(n for n in sorted({*left, *right}) if left.get(n) != right.get(n))
    was, is_now = (json.dumps(side.get(name)) for side in (left, right))
    raise ConfigError(f"{run}: not the runs of {kept}: {name} is {is_now} there, {was} here")


def _told(source: Records, folder: Path) -> Records:
    """Return records without sessions that ran nothing, and what nobody needs of the machine."""
    texts = [json.dumps(source.config), json.dumps(source.header)]
    if found := [path for text in texts for path in private.paths(text)]:
        raise ConfigError(f"{folder}: its config holds a path of this machine, {found[0]}")
    config = {name: value for name, value in source.config.items() if name in IDENTIFYING}
    trained = [session for session in source.sessions if session.get("runs") != 0]
    sessions = [private.session(session) for session in trained]
    return source._replace(config=config, sessions=sessions)


def united(first: Records, second: Records) -> Records:
    """Return the union of records of the same experiment; of a run in both those of the first."""
    return Records(
        config={
            name: _most(*(one.config.get(name) for one in (first, second)))
            for name in IDENTIFYING
            if name in first.config or name in second.config
        },
        sessions=_appended(first.sessions, second.sessions),
        header=_header(first.header, second.header),
        runs={**second.runs, **first.runs},
        curves={**second.curves, **first.curves},
    )


def _header(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    if first["version"] != second["version"]:
        versions = f"{first['version']} and {second['version']}"
        raise ConfigError(f"curves of versions {versions} cannot be in one folder")
    attributes = {
        name: _most(*(header["attributes"].get(name) for header in (first, second)))
        for name in _names(first["attributes"], second["attributes"])
    }
    merged = [
        {name: value for name in ("swept", "variants") if (value := _loaded(header, name))}
        for header in (first, second)
    ]
    for name in _names(*merged):
        several = [one[name] for one in merged if name in one]
        whole = reduce(_names if name == "swept" else _variants, several)
        attributes[name] = json.dumps(whole)
    coordinates = _joined(first["coordinates"], second["coordinates"], _coordinate)
    sizes = _joined(first["sizes"], second["sizes"], max)
    variables = _joined(first["variables"], second["variables"], _variable)
    return {
        "version": first["version"],
        "attributes": attributes,
        "coordinates": coordinates,
        "sizes": {
            name: len(coordinates[name][0]) if name in coordinates else size
            for name, size in sizes.items()
        },
        "variables": variables,
    }


def _loaded(header: Mapping[str, Any], name: str) -> Any:
    return json.loads(header["attributes"].get(name, "null"))


def _variants(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variants of both."""
    if differing := [n for n in first if n in second and first[n] != second[n]]:
        raise ConfigError(f"variant {differing[0]}: is another one in each of the folders")
    return {name: first.get(name, second.get(name)) for name in _names(first, second)}


def _coordinate(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    """Return the values and attributes of a coordinate: numbers in their order."""
    return [_names(first[0], second[0]), _most(first[1], second[1])]


def _variable(first: Sequence[Any], second: Sequence[Any]) -> list[Any]:
    """Return the declaration of a variable: dimensions, kind and attributes."""
    if {*first[0]} != {*second[0]}:
        raise ConfigError(f"a variable has the dimensions {first[0]} and {second[0]}")
    attributes = _most(first[2], second[2])
    flags = [
        one[2]["flag_meanings"].split() for one in (first, second) if "flag_meanings" in one[2]
    ]
    if flags:  # 0 is no run, the others are in the order of their names
        names = sorted({name for several in flags for name in several[1:]})
        meanings = " ".join([flags[0][0], *names])
        numbers = {"flag_values": [*range(len(names) + 1)]} if "flag_values" in attributes else {}
        attributes = {**attributes, **numbers, "flag_meanings": meanings}
    return [_most(first[0], second[0]), _most(first[1], second[1]), attributes]


def _closed(result: Records) -> Records:
    """Return records whose declarations are of the runs in them and of no others."""
    header = json.loads(json.dumps(result.header))
    order = sorted(result.swept)
    there = {name: {m[0][i] for m in result.runs} for i, name in enumerate(order)}
    there["seed"] = {seed for _, seed in result.runs}
    for name, texts in there.items():
        coordinate = header["coordinates"][name]
        kept = [value for value in coordinate[0] if value_text(value) in texts]
        numbers = all(isinstance(value, int | float) for value in kept)
        coordinate[0] = sorted(kept) if numbers else kept  # whatever a command's order was
        header["sizes"][name] = len(coordinate[0])
    swept = result.swept
    for declared in header["variables"].values():  # in one order, whatever the command's was
        grid = [name for name in declared[0] if name in (*swept, "seed")]
        if grid:
            declared[0] = [*swept, "seed", *(name for name in declared[0] if name not in grid)]
    runs = sorted([*values, seed] for values, seed in result.runs)
    digest = hashlib.sha256(json.dumps([order, runs]).encode()).hexdigest()[:10]
    header["attributes"]["contents"] = digest
    values = {name: header["coordinates"][name][0] for name in [*swept, "seed"]}
    config = {
        **{name: result.config[name] for name in IDENTIFYING if name in result.config},
        "sweep": {name: values[name] for name in swept},
        "seeds": values["seed"],
        "variants": json.loads(header["attributes"].get("variants", "{}")),
    }
    return result._replace(header=header, config=config)


def _joined(
    first: Mapping[str, Any], second: Mapping[str, Any], both: Callable[[Any, Any], Any]
) -> dict[str, Any]:
    """Return a table of both, entries that are in both joined."""
    return {
        name: both(first[name], second[name])
        if name in first and name in second
        else first.get(name, second.get(name))
        for name in _names(first, second)
    }


def _names(first: Any, second: Any) -> list[Any]:
    """Return what is in either: in its own order where both are the same, else sorted."""
    first, second = [*first], [*second]
    if first == second:
        return first
    both = {*first} | {*second}
    return sorted(both, key=lambda v: (isinstance(v, str), v))


def _most(first: Any, second: Any) -> Any:
    """Return of two things the one that says most, whichever comes first; None says nothing."""
    return max(first, second, key=lambda thing: (thing is not None, _text(thing)))


def _text(thing: Any) -> tuple[int, str]:
    text = json.dumps(thing, sort_keys=True)
    return len(text), text


def _appended(before: list[dict[str, Any]], more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*before, *(session for session in more if session not in before)]
