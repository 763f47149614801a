"""The columns of runs.csv, with their version: those of every run, and one for each metric."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from plateaus.report.statistics import LOWEST
from plateaus.variables import SUFFIX

VERSION = 2  # of the columns
READ = (1, VERSION)  # the first has no areas, and no metrics
TENTHS = range(1, 11)  # of the horizon, after which losses are given
LEVELS = (0.2, 0.5, 0.9)  # of metrics
MEANS = (1, 5, 10)  # tenths up to which what is noisy is averaged
FLAT = "flat"
FLAGS = ("status", "ended_by", "device", "exactness")  # columns whose numbers have names
_REACHES = re.compile(r"(\w+)_reaches_(0\.[0-9])")
_AT = re.compile(r"(\w+?)(_mean)?_at_(0\.[1-9]|1\.0)")
_ON_PLATEAU = re.compile(r"(\w+)_on_plateau")


class Column(NamedTuple):
    """One column: its meaning and unit, and the variables it is of, for the run and by task."""

    meaning: str
    units: str = ""
    whole: str = ""
    by_task: str = ""


def at_tenth(of: str, tenth: int) -> str:
    """Return the column of what is given at a tenth of the horizon.

    >>> at_tenth("loss", 3)
    'loss_at_0.3'
    """
    return f"{of}_at_{tenth / 10:.1f}"


def reaches(metric: str, level: float) -> str:
    """Return the column of when a metric reaches a level; there is one for each test metric.

    >>> reaches("test_accuracy", 0.5)
    'test_accuracy_reaches_0.5'
    """
    return f"{metric}_reaches_{level}"


def mean_at(metric: str, tenth: int) -> str:
    """Return the column of a metric's mean up to a tenth of the horizon.

    >>> mean_at("gradient_cosine", 10)
    'gradient_cosine_mean_at_1.0'
    """
    return at_tenth(f"{metric}_mean", tenth)


def on_plateau(metric: str) -> str:
    """Return the column of a metric's mean over the evaluations before the escape.

    >>> on_plateau("gradient_cosine")
    'gradient_cosine_on_plateau'
    """
    return f"{metric}_on_plateau"


COLUMNS: dict[str, Column] = {
    "status": Column("what became of the run", whole="status"),
    "ended_by": Column("why its record ends", whole="ended_by"),
    "last_step": Column("its last evaluation, or the divergence", "steps", "last_step"),
    "start": Column("when the task is first drawn", "steps", by_task="start_step_by_task"),
    "escape": Column(
        "when it left the plateau; of a task, from its start",
        "steps",
        "escape_step",
        "escape_step_by_task",
    ),
    "half": Column("when half was learned", "steps", "half_step"),
    "completion": Column(
        "when nearly all was; of a task, from its start",
        "steps",
        "completion_step",
        "completion_step_by_task",
    ),
    "trained_escape": Column("escape on trained items", "steps", "trained_escape_step"),
    LOWEST: Column("lowest test loss at any evaluation", "loss", LOWEST),
    "plateau_distance": Column(
        "mean distance to the no-context optimum on the plateau",
        by_task="plateau_distance_by_task",
    ),
    **{
        at_tenth("loss", tenth): Column(
            f"test loss at the last evaluation by {tenth / 10:.1f} of the horizon",
            "loss",
            at_tenth("loss", tenth),
            at_tenth("loss", tenth) + SUFFIX,
        )
        for tenth in TENTHS
    },
    **{
        at_tenth("area", tenth): Column(
            f"mean normalised test loss up to {tenth / 10:.1f} of the horizon",
            whole=at_tenth("area", tenth),
        )
        for tenth in TENTHS
    },
    "batch_size": Column("examples to a step", "examples", "batch_size"),
    "parameters": Column("numbers in the model's weights", whole="parameters"),
    "seconds": Column("wall seconds of its chunk, shared out", "seconds", "seconds"),
    "device": Column("device", whole="device"),
    "exactness": Column("digest of what its bits rest on", whole="exactness"),
}

_IN_RUNS = {name for column in COLUMNS.values() for name in column[2:] if name}


def declared(name: str) -> Column | None:
    """Return the declaration of a column; None of one that is none.

    >>> declared("test_accuracy_reaches_0.5").by_task
    'test_accuracy_reaches_0.5_by_task'
    """
    if name in COLUMNS:
        return COLUMNS[name]
    if name == FLAT:
        meaning = (
            "share of the evaluations before the escape whose normalised test loss is .9 to 1.1"
        )
        return Column(meaning, whole=name)
    if (found := _ON_PLATEAU.fullmatch(name)) is not None:
        return Column(f"mean of {found[1]} over the evaluations before the escape", whole=name)
    if (found := _AT.fullmatch(name)) is not None:
        of = f"mean of {found[1]} up to" if found[2] else f"{found[1]} at the last evaluation by"
        return Column(f"{of} {found[3]} of the horizon", whole=name)
    if not (found := _REACHES.fullmatch(name)) or float(found[2]) not in LEVELS:
        return None
    meaning = (
        f"first evaluation at which the mean of {found[1]} over three evaluations is at least "
        f"{found[2]}"
    )
    return Column(meaning, "steps", name, name + SUFFIX)


def of_results(variables: Iterable[str]) -> dict[str, Column]:
    """Return the columns for results with these variables, in their order."""
    names = {name.removesuffix(SUFFIX) for name in variables}
    metrics = [name for name in names - {*COLUMNS} if declared(name) is not None]
    return of_file([*COLUMNS, *metrics])


def of_file(names: Iterable[str]) -> dict[str, Column]:
    """Return those of a file's columns that are declared, in their order."""
    return {name: column for name in ordered(names) if (column := declared(name)) is not None}


def is_in_runs(variable: str) -> bool:
    """Return whether runs.csv holds a variable, so that no other file needs to.

    >>> is_in_runs("escape_step_by_task"), is_in_runs("test_loss")
    (True, False)
    """
    return variable in _IN_RUNS or declared(variable.removesuffix(SUFFIX)) is not None


def ordered(names: Iterable[str]) -> list[str]:
    """Return names of columns in the order in which they stand in the file.

    >>> ordered(["seconds", "b_reaches_0.5", "a_reaches_0.9", "status"])
    ['status', 'seconds', 'a_reaches_0.9', 'b_reaches_0.5']
    """
    places = {name: at for at, name in enumerate(COLUMNS)}
    return sorted(names, key=lambda name: (places.get(name, len(places)), name))


def documented() -> str:
    """Return the columns as lines of Markdown, for docs/tables.md."""
    lines = ["| column | meaning | unit |", "|---|---|---|"]
    lines.append(f"| `version` | of the columns: {VERSION} | |")
    lines.append("| dotted names, `seed`, `task` | the run; no task: the run as a whole | |")
    meanings = {
        "loss": "test loss at the last evaluation by each tenth of the horizon; empty if the run "
        "ended before it",
        "area": "mean normalised test loss (1: nothing learned, 0: all) up to there, by the "
        "trapezoid rule; empty likewise",
    }
    first = {at_tenth(of, TENTHS[0]): of for of in meanings}
    rest = {at_tenth(of, tenth) for of in meanings for tenth in TENTHS[1:]}
    for name, column in COLUMNS.items():
        if name in rest:
            continue
        shown, meaning = name, column.meaning
        if name in first:
            shown = f"{name}` .. `{at_tenth(first[name], TENTHS[-1])}"
            meaning = meanings[first[name]]
        lines.append(f"| `{shown}` | {meaning} | {column.units} |")
    levels = ", ".join(str(level) for level in LEVELS)
    lines.append(
        "| `METRIC_reaches_V` | first evaluation at which the mean of a test metric over three is "
        f"at least V ({levels}) | steps |"
    )
    flat = declared(FLAT)
    assert flat is not None
    lines.append(f"| `{FLAT}` | {flat.meaning} | |")
    lines.append(
        "| `METRIC_at_0.1` .. `METRIC_at_1.0` | a test metric of the whole test law at the last "
        "evaluation by each tenth of the horizon | |"
    )
    means = " or ".join(f"{tenth / 10:.1f}" for tenth in MEANS)
    lines.append(
        f"| `NAME_mean_at_T`, `NAME_on_plateau` | mean of a cosine of gradients, or of a layer's "
        f"share of their noise, over the evaluations up to T ({means}) of the horizon, or before "
        "the escape | |"
    )
    return "\n".join(lines)
