"""A run folder as the page reads it: its results, its config, and the sessions that made it."""

from __future__ import annotations

import csv
import gzip
import json
import os
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr

from plateaus.config.schema import ConfigError
from plateaus.report import kept_curves, kept_files, kept_runs, private, statistics
from plateaus.report.statistics import Row

# What reading damaged files raises: of what they hold, never of the disk.
DAMAGE = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, StopIteration),
    *(EOFError, zlib.error, gzip.BadGzipFile, csv.Error),
)


class Folder(NamedTuple):
    """A run folder, or a kept one.

    name: its last part, without the path to it. above: the part before that.
    config: its config.json: title, config, seeds, variants.
    sessions: that ran it, without paths of the machine.
    tasks: the rows of its tasks.csv, as text; none where there is no such file.
    """

    name: str
    above: str
    results: xr.Dataset
    rows: list[Row]
    config: dict[str, Any]
    sessions: list[dict[str, Any]]
    tasks: list[dict[str, str]]


def read(folder: str | os.PathLike[str]) -> Folder:
    """Return a run folder: runs.csv, curves.csv.gz, config.json, provenance.json.

    Raises:
      ConfigError: it is not there, is no run folder, has no run, or a file of it is damaged.
      OSError: a file cannot be read.
    """
    place = Path(folder)
    if not place.is_dir():
        raise ConfigError(f"{place}: {'not a folder' if place.exists() else 'no such folder'}")
    wanted = (kept_runs.FILE, kept_curves.FILE, "config.json", "provenance.json")
    if lacking := [name for name in wanted if not (place / name).is_file()]:
        if wanted[0] in lacking and wanted[2] not in lacking:
            raise ConfigError(f"{place}: no results yet: its runs are under way or interrupted")
        raise ConfigError(f"{place}: no run folder: it has no {', no '.join(lacking)}")
    config, provenance = (_json(place / name) for name in wanted[2:])
    try:
        results = kept_files.from_csv(place)
        rows = statistics.summarise(results)
    except DAMAGE as error:
        files = f"{kept_runs.FILE} or {kept_curves.FILE}"
        raise ConfigError(f"{place}: {files} is damaged: {_line(error)}") from None
    if not any(row.runs for row in rows):
        raise ConfigError(f"{place}: {kept_runs.FILE} holds no run")
    try:
        sessions = [private.session(session) for session in provenance.get("sessions", [])]
    except DAMAGE as error:
        raise ConfigError(f"{place}: provenance.json is damaged: {_line(error)}") from None
    whole = place.resolve()
    tasks = _records(place / "tasks.csv")
    return Folder(whole.name, whole.parent.name, results, rows, config, sessions, tasks)


def _records(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table, if there is one and it has the columns of each task."""
    if not path.is_file():
        return []
    found = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    return found if found and {"task", "tasks", "ratio", "own_ratio"} <= set(found[0]) else []


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path.parent}: {path.name} is damaged: {_line(error)}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path.parent}: {path.name} is damaged: no object")
    return content


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
