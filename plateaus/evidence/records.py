"""The four files of a kept folder, as text: which runs they hold and what is declared of these."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from plateaus.config.schema import ConfigError
from plateaus.report import kept_columns, kept_curves, kept_runs

CONFIG, PROVENANCE = "config.json", "provenance.json"
FILES = (CONFIG, PROVENANCE, kept_curves.FILE, kept_runs.FILE)  # in the order of writing
ENDED = ("finished", "diverged")  # of runs that no more steps change

Member = tuple[tuple[str, ...], str]  # swept values, in the order of their fields' names; seed
Row = dict[str, str]


class Records(NamedTuple):
    """What a folder holds.

    Fields:
      config: the content of config.json.
      sessions: those of provenance.json.
      header: of curves.csv.gz: version, attributes, coordinates, sizes and variables.
      runs: rows of runs.csv by run, the run as a whole before its tasks.
      curves: rows of curves.csv.gz by run and variable: (task, axis, step, value).
    """

    config: dict[str, Any]
    sessions: list[dict[str, Any]]
    header: dict[str, Any]
    runs: dict[Member, list[Row]]
    curves: dict[Member, dict[str, list[tuple[str, ...]]]]

    @property
    def swept(self) -> list[str]:
        """The swept fields, in the order in which they stand in the folder."""
        return [str(name) for name in json.loads(self.header["attributes"]["swept"])]


def read(folder: Path) -> Records:
    """Return what a folder holds of runs that are at their end.

    Raises ConfigError, in one line, where a file is missing or damaged.
    """
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        sessions = list(json.loads((folder / PROVENANCE).read_bytes())["sessions"])
        runs = (folder / kept_runs.FILE).read_text(encoding="utf-8")
        curves = gzip.decompress((folder / kept_curves.FILE).read_bytes()).decode()
    except OSError as error:
        name = Path(error.filename).name if error.filename else "its files"
        raise ConfigError(f"{folder}: {name}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, EOFError) as error:
        raise ConfigError(f"{folder}: damaged ({error})") from None
    try:
        return parsed(config, sessions, runs, curves)
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise ConfigError(f"{folder}: damaged ({type(error).__name__}: {error})") from None


def parsed(
    config: dict[str, Any], sessions: list[dict[str, Any]], runs: str, curves: str
) -> Records:
    """Return the records in the texts of the files."""
    stream = io.StringIO(curves)
    header = json.loads(stream.readline().removeprefix("#"))
    swept = sorted(json.loads(header["attributes"]["swept"]))
    held: dict[Member, list[Row]] = {}
    for row in csv.DictReader(io.StringIO(runs)):
        if row["status"] in ENDED:
            held.setdefault(_member(row, swept), []).append(row)
    found: dict[Member, dict[str, list[tuple[str, ...]]]] = {member: {} for member in held}
    rows = csv.reader(stream)
    names = next(rows)
    for values in rows:
        named = dict(zip(names, values, strict=True))
        member = _member(named, swept)
        if member in found:
            entry = (named["task"], named["axis"], named["step"], named["value"])
            found[member].setdefault(named["variable"], []).append(entry)
    return Records(config, sessions, header, held, found)


def _member(row: Mapping[str, str], swept: list[str]) -> Member:
    return tuple(row[name] for name in swept), row["seed"]


def written(records: Records) -> dict[str, bytes]:
    """Return the files of records, by name, in the order in which they are to be written.

    Runs stand in the order of the settings, then of their seeds.
    """
    swept, order = records.swept, sorted(records.swept)
    places = {
        name: {
            kept_runs.value_text(value): at
            for at, value in enumerate(records.header["coordinates"][name][0])
        }
        for name in [*swept, "seed"]
    }

    def place(member: Member) -> list[int]:
        values = dict(zip(order, member[0], strict=True))
        return [*(places[name][values[name]] for name in swept), places["seed"][member[1]]]

    members = sorted(records.runs, key=place)
    return {
        CONFIG: _json(records.config),
        PROVENANCE: _json({"sessions": records.sessions}),
        kept_curves.FILE: _curves(records, members),
        kept_runs.FILE: _runs(records, members),
    }


def _runs(records: Records, members: list[Member]) -> bytes:
    rows = [row for member in members for row in records.runs[member]]
    first = ["version", *records.swept, "seed", "task"]
    columns = [*first, *kept_columns.ordered({n for row in rows for n in row} - {*first})]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def _curves(records: Records, members: list[Member]) -> bytes:
    stream = io.StringIO()
    stream.write(f"# {json.dumps(records.header)}\n")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*records.swept, "seed", "task", "variable", "axis", "step", "value"])
    order = sorted(records.swept)
    for name in records.header["variables"]:
        for member in members:
            values = dict(zip(order, member[0], strict=True))
            run = [*(values[field] for field in records.swept), member[1]]
            for task, axis, step, value in records.curves[member].get(name, ()):
                writer.writerow([*run, task, name, axis, step, value])
    return gzip.compress(stream.getvalue().encode(), 9, mtime=0)


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()
