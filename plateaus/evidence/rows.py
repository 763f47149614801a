"""The rows that a claim is read from: runs.csv of a kept folder, or anyone's CSV."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from plateaus.config.schema import ConfigError
from plateaus.config.variants import AXIS
from plateaus.evidence import observed
from plateaus.evidence.claim import Claim
from plateaus.evidence.fields import STATISTICS
from plateaus.evidence.settings import matches
from plateaus.names import hint
from plateaus.report import kept_curves, kept_runs

TASK_WINDOW = 100  # steps over which escapes of tasks are averaged


class Rows(NamedTuple):
    """Rows, and what is known of how they came about.

    grid: steps between two evaluations; 0 if it is not known. commit, device: "" likewise.
    """

    rows: list[dict[str, str]]
    grid: int = 0
    commit: str = ""
    device: str = ""


def from_file(path: Path) -> Rows:
    """Return anyone's CSV; raises ConfigError where it is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            lines = [([cell.strip() for cell in line], reader.line_num) for line in reader if line]
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: {error}") from None
    if len(lines) < 2:
        raise ConfigError(f"{path}: holds no run")
    names = lines[0][0]
    if len(names) == 1 and (other := re.search(r"[;\t]", names[0])):
        raise ConfigError(f"{path}: its columns are apart by {other[0]!r}; make that a comma")
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ConfigError(f"{path}: column {twice[0]} is there twice")
    for cells, number in lines:
        if len(cells) != len(names):  # as in a file that was cut off: nothing may pass for "never"
            raise ConfigError(
                f"{path}: line {number}: {len(cells)} values, where there are {len(names)} columns"
            )
    return Rows([dict(zip(names, cells, strict=True)) for cells, _ in lines[1:]])


def of_file(claim: Claim, path: Path) -> Rows:
    """Return anyone's CSV with the column of a claim's statistic named as in runs.csv.

    Raises ConfigError where it is none, or has no run of a setting.
    """
    read = from_file(path)
    first, *more = observed.columns(claim)
    if not more and first not in read.rows[0] and claim.statistic in read.rows[0]:
        read = Rows([{**row, first: row[claim.statistic]} for row in read.rows])
    of_task = [row for row in read.rows if row.get("task", "") == claim.task]
    for setting in (claim.treated, claim.baseline_setting)[: 2 - (claim.kind == "descriptive")]:
        names = [*read.rows[0]]
        if absent := [name for name in setting if name not in names and AXIS not in names]:
            raise ConfigError(f"{path}: no column {absent[0]}{hint(absent[0], names)}")
        if not any(matches(row, setting) for row in of_task):
            told = " ".join(f"{name}={value}" for name, value in setting.items())
            task = f"task {claim.task}" if claim.task else "an empty task"
            of = f" with {task}" if "task" in read.rows[0] or claim.task else ""
            raise ConfigError(f"{path}: claim {claim.id}: no run of {told}{of}")
    return read


def of_folder(claim: Claim, folder: Path) -> Rows:
    """Return the records of a kept folder; none if there is no such folder."""
    path = folder / kept_runs.FILE
    if not path.exists():
        return Rows([])
    rows = _with_seconds(from_file(path).rows)
    column = claim.metric if claim.statistic != "first_step" else ""
    if column and rows and column not in rows[0] and claim.statistic != "share":
        _add_column(rows, folder / kept_curves.FILE, column, claim)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["config"]
    by_task = bool(claim.task) and STATISTICS[claim.statistic][0]
    grid = max(TASK_WINDOW, config["log_every"]) if by_task else config["eval_every"]
    sessions = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["sessions"]
    commits = dict.fromkeys(commit_of(session) for session in sessions)
    devices = dict.fromkeys(row["device"] for row in rows if row.get("device"))
    return Rows(rows, grid, ", ".join(c for c in commits if c), ", ".join(devices))


def commit_of(session: Mapping[str, Any]) -> str:
    """Return the commit of a session, with a mark if the code differed from it."""
    commit = str(session.get("commit") or "")[:7]
    return commit + ("+" if commit and session.get("dirty") else "")


def _with_seconds(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Give the rows of tasks the seconds of their run, whose row stands before them."""
    seconds = ""
    for row in rows:
        seconds = row["seconds"] if not row["task"] else seconds
        row["seconds"] = seconds
    return rows


def _add_column(rows: list[dict[str, str]], path: Path, column: str, claim: Claim) -> None:
    """Add a variable of the curves to the rows: at step `at`, or the last; "name[axis=value]"."""
    name, _, axis = column.rstrip("]").partition("[")
    found: dict[tuple[str, ...], tuple[float, str]] = {}
    keys, curves = _curve_rows(path)
    for row in curves:
        *run, task, variable, place, step, value = row
        at = float(step or 0)
        if variable != name or place != axis or (claim.at and at > claim.at):
            continue
        key = (*run, task)
        if key not in found or found[key][0] <= at:
            found[key] = (at, value)
    if not found:
        raise ConfigError(
            f"claim {claim.id}: metric = {column!r}: is in neither file of {path.parent}"
        )
    for record in rows:
        key = (*(record[k] for k in keys), record["task"])
        record[column] = found.get(key, (0.0, ""))[1]


def _curve_rows(path: Path) -> tuple[list[str], Iterator[list[str]]]:
    """Return the names of what tells runs apart, and the rows of curves.csv.gz."""
    text = io.StringIO(gzip.decompress(path.read_bytes()).decode())
    text.readline()  # the header in JSON
    reader = csv.reader(text)
    return next(reader)[:-5], reader
