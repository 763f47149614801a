"""Which tasks the settings of a sweep train on, and which settings compare by that."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import xarray as xr

from plateaus.measures.by_task.rows import TaskRow
from plateaus.report import table
from plateaus.report.statistics import Row
from plateaus.report.trained_tasks import other_tasks


def compared(task_rows: Sequence[TaskRow]) -> bool:
    """Return whether some task is trained among others, and alone beside that."""
    known = alone(task_rows)
    return any(row.task in known and not row.is_alone for row in task_rows)


def alone(task_rows: Sequence[TaskRow]) -> set[str]:
    """Return the tasks that some setting trains alone."""
    return {row.task for row in task_rows if row.is_alone}


def some_alike(dataset: xr.Dataset, rows: Sequence[Row]) -> bool:
    """Return whether some setting trains on the tasks of its baseline, so that they compare."""
    apart = other_tasks(dataset, rows)
    return any(not row.is_baseline and row.index not in apart for row in rows)


def groups(task_rows: Sequence[TaskRow]) -> dict[str, list[TaskRow]]:
    """Return the rows by the values of the swept fields that do not choose the tasks, as text.

    >>> groups([])
    {}
    """
    choosing = choosing_fields(task_rows)
    found: dict[str, list[TaskRow]] = {}
    for row in task_rows:
        shared = {name: value for name, value in row.setting.items() if name not in choosing}
        found.setdefault(table.label(shared), []).append(row)
    return found


def choosing_fields(task_rows: Sequence[TaskRow]) -> list[str]:
    """Return the swept fields on which it depends which tasks are trained on."""
    sets = {row.index: (row.setting, row.tasks) for row in task_rows}
    choosing: dict[str, None] = {}
    for (setting, tasks), (other, others) in itertools.combinations(sets.values(), 2):
        differing = [name for name in setting if setting[name] != other[name]]
        if len(differing) == 1 and tasks != others:
            choosing[differing[0]] = None
    return [*choosing]


def second_tasks(dataset: xr.Dataset, task_rows: Sequence[TaskRow]) -> list[TaskRow]:
    """Return the rows without those of tasks that another one follows once they have escaped.

    Until then they are trained as if alone. Of results that do not so switch: all rows.
    """
    if json.loads(dataset.attrs["config"]).get("data.switch", "none") == "none":
        return [*task_rows]
    later = {row.index for row in task_rows if row.start > 0}
    firsts = {row.task: row.index for row in reversed(task_rows) if row.is_alone}
    return [
        row
        for row in task_rows
        if row.start > 0
        or (firsts.get(row.task) == row.index if row.is_alone else row.index not in later)
    ]
