"""The table by task as CSV, and printed: each task among others beside the same task alone."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Sequence

import numpy as np
import xarray as xr
from rich.table import Table

from plateaus.measures.by_task import lines as by_line
from plateaus.measures.by_task import task_sets
from plateaus.measures.by_task.averages import by_count, seed_ratios
from plateaus.measures.by_task.lines import MOST, Line
from plateaus.measures.by_task.rows import ESCAPE, TaskRow
from plateaus.report import csv_columns, paired, table
from plateaus.report.paired import FEWEST_FOR_INTERVAL, FEWEST_FOR_P
from plateaus.report.statistics import Row
from plateaus.report.survival import Interval
from plateaus.report.terminal import (
    WIDEST,
    empty_table,
    fitted,
    folded,
    p_text,
    print_table,
    ratio_text,
    short,
)

NEITHER, RATIO = "neither", "ratio of steps\nto alone [95%]"
OWN = "ratio in\nits own\nprompts"


def csv_text(rows: Sequence[TaskRow]) -> str:
    """Return the table as CSV: the swept fields, the task, then the statistics.

    Steps are counted from `start`. `inf`: not reached by the horizon; empty: undefined.
    """
    columns = {field.name: field.name for field in dataclasses.fields(TaskRow)[4:]}
    return table.as_csv(
        [
            csv_columns.swept(row.setting)
            | {"task": row.task, "tasks": " ".join(row.tasks)}
            | csv_columns.fields(row, columns)
            for row in rows
        ]
    )


def show(dataset: xr.Dataset, rows: Sequence[Row], task_rows: Sequence[TaskRow]) -> None:
    """Print how each task fares among others beside itself alone, and what is to be known of it.

    Where there are three numbers of tasks or more: first, what their number does on average.
    """
    shown = task_sets.second_tasks(dataset, task_rows)
    horizon, places = float(dataset.attrs["horizon"]), task_sets.groups(shown)
    if len(places) == 1 and (by_number := counts_table(dataset, task_rows)) is not None:
        told = "ratio: over tasks and seeds, geometric mean, steps cut at the horizon"
        print_table(by_number, [told])
    printed: list[Line] = []
    averaged = False
    for place, members in places.items():
        made = by_line.lines(members, horizon)
        if many := len(made) > MOST:
            averaged, made = True, by_line.averages(dataset, members)
        content = lines_table(made, averaged=many)
        if len(places) > 1:
            content.title, content.title_justify = place, "left"
        print_table(content, [])
        printed += made
    if len(shown) < len(task_rows):
        print_table(None, ["in tasks.csv only: the first of two tasks, alone until it escapes"])
    print_table(None, remarks(printed, task_rows, averaged=averaged))
    print_table(None, table.endings(rows))


def lines_table(lines: Sequence[Line], *, averaged: bool = False) -> Table:
    """Return the lines as a table for the terminal; `averaged`: their steps are means."""
    return fitted(lambda most: _lines_table(lines, averaged, most))


def _lines_table(lines: Sequence[Line], averaged: bool, most: int) -> Table:
    steps = f"{'mean' if averaged else 'median'}\nescape,\nsteps"
    ratios = (RATIO, OWN)
    result = empty_table(
        ("task", "trained with"), ("escaped", steps, *ratios, "p\n(Holm)", "final\nloss")
    )
    for i, line in enumerate(lines):
        first = not i or lines[i - 1].task != line.task
        result.add_row(
            folded(line.task, max(most, 16)) if first else "",
            folded(line.among, most),
            f"{line.escaped}/{line.runs}",
            _steps(line),
            _ratio(line),
            f"{line.bound} {line.own_ratio:.2f}".strip() if line.own_ratio > 0 else "",
            "" if math.isnan(line.p) and not line.pairs else p_text(line.p),
            short(line.final_loss, ".2f"),
            style="bold" if line.is_alone else None,
        )
    return result


def _steps(line: Line) -> str:
    return f"> {line.end:.0f}" if math.isinf(line.steps) else short(line.steps, ".0f")


def _ratio(line: Line) -> str:
    if line.is_alone:
        return "alone"
    if not line.pairs:
        return NEITHER if line.censored else "-"
    fewer = f" (n={line.pairs})" * (line.pairs < line.seeds)
    return ratio_text(line.ratio, line.bound) + "*" * line.floor + fewer


def remarks(
    lines: Sequence[Line], task_rows: Sequence[TaskRow], *, averaged: bool = False
) -> list[str]:
    """Return what is said under the lines: what the columns mean, where they are to be read so."""
    said = [
        "ratio: steps to escape among others over alone, of each seed, geometric mean; < 1: sooner",
        "its own prompts: the same, times the task's share of what a step draws",
        f"p: sign flips, none below {FEWEST_FOR_P} seeds; no interval below {FEWEST_FOR_INTERVAL}",
        "final loss: of the task at the end; where losses are normalised, 1 is the best without "
        "context",
    ]
    if averaged:
        said.append("trained with k of the others (n): mean over all n such settings in tasks.csv")
    if any(line.bound for line in lines):
        said.append("> and <: a bound, as no run escapes among others (>), or none alone (<)")
    if any(_ratio(line) == NEITHER for line in lines):
        said.append(
            f"{NEITHER}: the task escapes neither among others nor alone, on any seed, as far as "
            "both are followed"
        )
    if any(0 < line.pairs < line.seeds for line in lines):
        said.append("(n=): seeds that say something: on others neither escapes, or one is cut off")
    if any(line.floor and line.pairs for line in lines):
        said.append("*: a plateau hardly longer than the steps that losses are averaged over")
    if missing := sorted({row.task for row in task_rows} - task_sets.alone(task_rows)):
        told = f"in tasks.csv only, as no setting trains them alone: {', '.join(missing)}"
        said += textwrap.wrap(told, WIDEST, subsequent_indent="  ")
    refused = dict.fromkeys(
        note for row in task_rows for note in row.notes.split("; ") if note.startswith("no escape")
    )
    return said + [f"note: {note}" for note in refused]


def counts_table(dataset: xr.Dataset, task_rows: Sequence[TaskRow]) -> Table | None:
    """Return the ratio to the task alone by the number of tasks; None of fewer than three."""
    known = task_sets.alone(task_rows)
    task_rows = [row for row in task_rows if row.task in known]
    numbers = sorted({len(row.tasks) for row in task_rows})
    if len(numbers) < 3 or numbers[0] != 1 or any(row.start > 0 for row in task_rows):
        return None
    tasks = list(dict.fromkeys(row.task for row in task_rows))
    means = by_count(dataset, task_rows, ESCAPE)
    horizon = float(dataset.attrs["horizon"])
    logs = {k: paired.mean_interval(seed_ratios(means, k, tasks, horizon)) for k in numbers}
    ratios = {k: Interval(*np.exp(mean).tolist()) for k, mean in logs.items()}
    if all(math.isnan(ratios[k].value) for k in numbers[1:]):
        return None
    result = empty_table((), ("tasks\ntogether", "settings", "escaped", RATIO, OWN))
    for k in numbers:
        members = [row for row in task_rows if len(row.tasks) == k]
        drawn = by_line.drawn(members)
        runs = sum(row.runs for row in members)
        result.add_row(
            str(k),
            str(len({row.index for row in members})),
            f"{sum(row.escaped for row in members)}/{runs}",
            "alone" if k == 1 else ratio_text(ratios[k]),
            "" if k == 1 else short(ratios[k].value * drawn, ".2f"),
        )
    return result
