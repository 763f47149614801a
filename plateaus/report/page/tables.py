"""The tables of a run folder, cell by cell: each task beside itself alone, and the main one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from plateaus.report import table, trained_tasks
from plateaus.report.page.folders import Folder
from plateaus.report.survival import Interval
from plateaus.report.terminal import p_text, ratio_text, short

NUMBERS = (
    *("escaped", "median escape, steps", "ratio of steps to alone [95%]"),
    *("ratio in its own prompts", "p (Holm)", "final loss"),
)
TOLD = (
    "ratio: steps to escape among others over alone, of each seed, geometric mean; < 1: sooner",
    "its own prompts: the same, times the task's share of what a step draws",
    "more of each row, and tasks that no setting trains alone: tasks.csv",
)


def tables(folder: Folder) -> list[dict[str, Any]]:
    """Return the tables of a folder, first the one that its settings were made for."""
    found = [("table", "Table", main_table(folder))]
    if by_task := task_table(folder):
        found.insert(0, ("tasks", "Each task beside itself alone", by_task))
    return [{"id": name, "heading": heading, **content} for name, heading, content in found]


def main_table(folder: Folder) -> dict[str, Any]:
    """Return the main table of a run, cell by cell, and the lines under it."""
    rows = folder.rows
    apart = trained_tasks.other_tasks(folder.results, rows)
    printed = table.table(rows, apart)
    fields = table.setting_columns(rows)
    lines = zip(*(column.cells for column in printed.columns), strict=True)
    return {
        "fields": fields,
        "columns": [str(column.header).split("\n") for column in printed.columns],
        "lines": [
            {"cells": list(map(str, line)), "baseline": row.is_baseline}
            for row, line in zip(rows, lines, strict=True)
        ],
        "remarks": table.remarks(rows, apart),
    }


def task_table(folder: Folder) -> dict[str, Any] | None:
    """Return each task among others beside the same task alone, of tasks.csv; None without pairs.

    Kept folders have no tasks.csv.
    """
    records = folder.tasks
    alone = [record["task"] for record in records if record["tasks"] == record["task"]]
    shown = [record for task in dict.fromkeys(alone) for record in _of(task, records)]
    if len(shown) == len(alone):
        return None
    swept = list(records[0])[: list(records[0]).index("task")]
    return {
        "fields": 1 + len(swept),
        "columns": [[part] for part in ("task", *swept, *NUMBERS)],
        "lines": [
            {
                "cells": [record["task"], *(record[name] for name in swept), *_numbers(record)],
                "baseline": record["tasks"] == record["task"],
            }
            for record in shown
        ],
        "remarks": list(TOLD),
    }


def _of(task: str, records: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows of a task, first those that train it alone."""
    own = [record for record in records if record["task"] == task]
    return sorted(own, key=lambda record: record["tasks"] != task)


def _numbers(record: Mapping[str, str]) -> list[str]:
    def number(name: str) -> float:
        return float(record[name] or "nan")

    escape, own = number("escape"), number("own_ratio")
    ratio = Interval(*map(number, ("ratio", "ratio_low", "ratio_high")))
    is_alone, bound = record["tasks"] == record["task"], record["bound"]
    text = ratio_text(ratio, bound) + "*" * int(record["floor"] or 0)
    return [
        f"{record['escaped']}/{record['runs']}",
        "not reached" if math.isinf(escape) else short(escape, ".0f"),
        "alone" if is_alone else text,
        "" if is_alone or math.isnan(own) else f"{bound} {own:.2f}".strip(),
        "" if is_alone else p_text(number("p_adjusted")),
        short(number("final_loss"), ".3g"),
    ]
