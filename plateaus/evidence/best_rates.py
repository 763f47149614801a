"""Each setting at its own best learning rate: the pilots at several rates that show which it is.

`results/rates/NAME.csv` holds such a pilot, a row a run and task: interventions, rates, seeds 0 to
7. A claim names its file and the settings there in a table `[rates]`; the rates themselves stand in
its contrast, so that its rule has them.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from plateaus.config import pairs
from plateaus.config.schema import ConfigError
from plateaus.config.variants import AXIS
from plateaus.evidence import observed, rows
from plateaus.evidence.claim import Claim
from plateaus.evidence.fields import STATISTICS
from plateaus.evidence.settings import matches
from plateaus.evidence.wording import table
from plateaus.files import write_atomically
from plateaus.names import hint
from plateaus.report import kept_runs
from plateaus.report.cells import AT_EVENT

FOLDER = "rates"
RATE = "optim.learning_rate"
ESCAPE = "escape"  # by which rates are chosen where a claim is of no time
ENDED = ("finished", "diverged")
_KEPT = ("status", "ended_by", "last_step")
_TIMES = ("start", "escape", "half", "completion", "trained_escape")
Row = Mapping[str, str]


def keep(source: Path, folder: Path) -> Path:
    """Write the columns of a run folder's runs.csv that tell a best rate; return the new file.

    Raises ConfigError where a run can still go on, or no learning rate is swept.
    """
    read = [_apart(row) for row in rows.from_file(source / kept_runs.FILE).rows]
    if RATE not in read[0]:
        raise ConfigError(f"{source}: sweeps no {RATE}")
    if open_runs := sum(row["status"] not in ENDED for row in read if not row["task"]):
        raise ConfigError(f"{source}: runs are not at their end: {open_runs}")
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    swept = [name for name in read[0] if name == RATE or name in config["sweep"]]
    commits = json.loads((source / "provenance.json").read_text(encoding="utf-8"))["sessions"]
    marks = dict.fromkeys(rows.commit_of(session) for session in commits)
    extra = [name for name in read[0] if "_reaches_" in name]
    names = [*swept, "seed", "task", *_KEPT, "horizon", *_TIMES, *extra, "device", "commit"]
    same = {"horizon": config["config"]["steps"], "commit": " ".join(m for m in marks if m)}
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, **same} for row in read)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{config['name']}.csv"
    write_atomically(path, text.getvalue().encode())
    return path


def _apart(row: Row) -> Row:
    """Return a row with variant and rate in columns of their own, if they were swept in pairs.

    >>> _apart({"variant": "Adam + learning_rate=0.001", "seed": "0"})
    {'variant': 'Adam', 'optim.learning_rate': '0.001', 'seed': '0'}
    """
    pair = pairs.labelled(row.get(AXIS, ""), (AXIS, RATE)) if RATE not in row else {}
    return {AXIS: pair[AXIS], RATE: pair[RATE], **row, **pair} if pair else row


def times(runs: Sequence[Row], column: str, *, least: bool = False) -> dict[float, list[float]]:
    """Return, by learning rate, the times of a setting in steps; the horizon where it never came.

    Of a task no time is known where its mixture came to the event at which the run was stopped, and
    it had not itself. With `least` such a run counts with the steps that it was followed for.

    >>> run = {"optim.learning_rate": "0.1", "status": "finished", "last_step": "90"}
    >>> times([{**run, "escape": "40.0"}, {**run, "escape": ""}], "escape")
    {0.1: [40.0, 90.0]}
    """
    by_rate: dict[float, list[float]] = {}
    ends = (float(row.get("horizon") or row["last_step"] or 0) for row in runs)
    horizon = max(ends, default=math.nan)
    for row in runs:
        time = float(row[column]) if _got_there(row, column) else horizon
        if least and _stopped_before(row, column):
            time = max(1.0, float(row["last_step"]) - float(row.get("start") or 0))
        by_rate.setdefault(float(row[RATE]), []).append(time)
    return dict(sorted(by_rate.items()))


def _got_there(row: Row, column: str) -> bool:
    return bool(row.get(column)) and row["status"] != "diverged"


def _stopped_before(row: Row, column: str) -> bool:
    """Whether a run was stopped at an event of its mixture before what is asked of a task in it."""
    is_in_it = row.get("start", "0") != ""
    return is_in_it and row.get("ended_by") in AT_EVENT and not row.get(column)


def best(by_rate: Mapping[float, Sequence[float]]) -> float:
    """Return the rate of the least geometric mean time; of equal ones the lowest.

    >>> best({0.1: [40.0, 90.0], 0.2: [50.0, 60.0]})
    0.2
    """
    means = {rate: _mean(values) for rate, values in by_rate.items()}
    return min(means, key=lambda rate: (means[rate], rate))


def _mean(values: Sequence[float]) -> float:
    return math.exp(float(np.log(values).mean()))


def rivals(runs: Sequence[Row], column: str) -> list[float]:
    """Return the rates that may be the best, for all that is known: more than one if in doubt."""
    most, least = times(runs, column), times(runs, column, least=True)
    first = best(most)
    return [first, *(r for r in most if r != first and _mean(least[r]) < _mean(most[first]))]


def problems(claim: Claim, results: Path) -> list[str]:
    """Return in which settings of a claim the rate is not the best of its pilot.

    A baseline that is to be stuck, and is at every rate, may have any of these.
    """
    if not claim.rates:
        return []
    name = str(claim.rates["runs"])
    path = results / FOLDER / f"{name}.csv"
    if not path.exists():
        others = [other.stem for other in (results / FOLDER).glob("*.csv")]
        return [f"rates.runs = {name!r}: no such file{hint(name, others)}"]
    runs = rows.from_file(path).rows
    is_time = STATISTICS[claim.statistic][0]
    column = observed.columns(claim)[0] if is_time else ESCAPE
    arms = {"treated": claim.treated, "baseline": claim.baseline_setting}
    wrong = []
    for arm, contrast in arms.items():
        if arm not in claim.rates:
            continue
        setting = claim.rates[arm]
        chosen = [row for row in runs if row["task"] == claim.task and matches(row, setting)]
        stuck = arm == "baseline" and claim.baseline == "stuck"
        if reason := _unusable(chosen, column, stuck):
            wrong.append(f"rates.{arm}: {path.name}, {dict(setting)}: {reason}")
            continue
        mine, by_rate = float({**claim.set, **contrast}.get(RATE, 0)), times(chosen, column)
        there, best_ones = any(_got_there(row, column) for row in chosen), rivals(chosen, column)
        if there and len(best_ones) > 1:
            names = " or ".join(f"{rate:g}" for rate in sorted(best_ones))
            wrong.append(
                f"rates.{arm}: {path.name}, {dict(setting)}: {_EARLY}, and do not tell whether "
                f"{names} is the best rate"
            )
            continue
        right = best_ones if there else [*by_rate]
        if not any(math.isclose(mine, rate) for rate in right):
            names = " or ".join(f"{rate:g}" for rate in right)
            wrong.append(f"rates.{arm}: the best rate of {path.name} is {names}")
    return wrong


_EARLY = "runs were stopped at an event of their mixture"


def _unusable(runs: Sequence[Row], column: str, stuck: bool) -> str:
    """Return why the runs of a setting tell no best rate; "" if they do."""
    if not runs:
        return "no such run"
    if column not in runs[0]:
        return f"its runs have no {column}"
    events = {AT_EVENT.get(row.get("ended_by", ""), column) for row in runs}
    if others := events - {column}:
        return f"runs were stopped at their {' or '.join(others)}, and {column} is another time"
    if stuck and any(_stopped_before(row, column) for row in runs):
        return f"{_EARLY}, and do not tell whether it is stuck"
    there = stuck or any(_got_there(row, column) for row in runs)
    return "" if there else f"no run has a time of {column}"


def page(claims: Iterable[Claim], results: Path) -> str:
    """Return the tables of all pilots, setting by rate, in Markdown."""
    counted: dict[str, list[str]] = {}
    for claim in claims:
        if claim.rates and STATISTICS[claim.statistic][0]:
            counted.setdefault(str(claim.rates["runs"]), []).append(observed.columns(claim)[0])
    parts = [_HEAD]
    for path in sorted((results / FOLDER).glob("*.csv")):
        runs = rows.from_file(path).rows
        tables = [_table(runs, name) for name in sorted({*counted.get(path.stem, [ESCAPE])})]
        text = "\n".join([*tables, _origin(runs)])
        parts.append(f"\n## {path.stem}\n\n{text}")
    return "".join(parts)


_HEAD = """<!-- Written by `python experiments/reproduce.py --page`. -->
# Which learning rate is whose best

Pilots on seeds from 0 on, which no claim uses: each setting at several learning rates. A cell has
the rate, the geometric mean of the steps to what the claims count (a run that never got there, or
diverged, counts with the horizon), and in brackets how many got there; the best of a row is bold.
Where runs were stopped when their mixture escaped, and a task of it had not yet, they count with
something between that step and the horizon, as "1,799 to 4,000"; no rate is bold unless it is the
best for all that is known.
Claims take their rates from here, before any of their own runs.
"""


def _table(runs: Sequence[Row], column: str) -> str:
    names = [*runs[0]]
    axes = [name for name in names[: names.index("seed")] if name != RATE]
    has_tasks = any(row["task"] for row in runs)
    axes += ["task"] * has_tasks
    settings = dict.fromkeys(tuple(row[axis] for axis in axes) for row in runs)
    lines = []
    for setting in settings:
        chosen = [row for row in runs if tuple(row[axis] for axis in axes) == setting]
        by_rate = times(chosen, column)
        there = {rate: _there(chosen, rate, column) for rate in by_rate}
        if any(_got_there(r, column) or _stopped_before(r, column) for r in chosen):
            least, best_ones = times(chosen, column, least=True), rivals(chosen, column)
            lines.append([*setting, *_cells(by_rate, least, there, best_ones)])
    if not lines:
        return f"No run has a time of {column}.\n"
    width = max(map(len, lines))
    head = [*axes, f"rate: {column}", *[""] * (width - len(axes) - 1)]
    return table(head, (line + [""] * (width - len(line)) for line in lines))


def _origin(runs: Sequence[Row]) -> str:
    device = ", ".join(dict.fromkeys(row["device"] for row in runs if row["device"]))
    commit = ", ".join(dict.fromkeys(row["commit"] for row in runs if row["commit"]))
    return f"{len({row['seed'] for row in runs})} seeds; {device}; {commit}.\n"


def _cells(
    most: Mapping[float, Sequence[float]],
    least: Mapping[float, Sequence[float]],
    there: Mapping[float, int],
    best_ones: Sequence[float],
) -> list[str]:
    cells = []
    for rate, steps in most.items():
        ends = dict.fromkeys(f"{_mean(values):,.0f}" for values in (least[rate], steps))
        mark = "**" * (best_ones == [rate])
        cells.append(f"{rate:g}: {mark}{' to '.join(ends)}{mark} ({there[rate]}/{len(steps)})")
    return cells


def _there(runs: Iterable[Row], rate: float, column: str) -> int:
    return sum(_got_there(row, column) for row in runs if float(row[RATE]) == rate)
