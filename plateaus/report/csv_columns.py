"""Rows as CSV: the main table, and what the columns of every table are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from plateaus.fields import INFINITE
from plateaus.report.statistics import Row
from plateaus.report.survival import Interval
from plateaus.report.table import as_csv, label, value_text


def csv_text(rows: Sequence[Row]) -> str:
    """Return the table as CSV: the swept fields under their dotted names, then the statistics.

    Steps are optimiser steps. `inf`: not reached by `plateau_to`; empty: undefined.
    """
    return as_csv([_record(row) for row in rows])


def _record(row: Row) -> dict[str, Any]:
    record = swept(row.setting) | {
        "runs": row.runs,
        "escaped": row.escaped,
        "diverged": row.diverged,
        "unfinished": row.unfinished,
        "stopped_at_event": row.stopped,
    }
    record["diverged_seeds"] = " ".join(map(str, row.diverged_seeds))
    for name, interval in (
        ("escape_step_median", row.escape),
        ("half_step_median", row.half),
        ("completion_step_median", row.completion),
        ("plateau_mean", row.plateau),
        ("final_test_loss", row.final_loss),
        ("lowest_test_loss", row.lowest_loss),
    ):
        record |= ends(name, interval)
    examples = row.batch * row.escape.value if row.batch else math.nan
    record |= {"batch_size": row.batch or "", "escape_examples_median": number(examples)}
    record["trained_escape_step_median"] = number(row.trained_escape.value)
    record |= ends("plateau_ratio", row.ratio)
    compared = {"bound": "plateau_bound", "p_value": "p", "p_adjusted": "p_holm"}
    compared |= {n: n for n in ("sooner", "pairs", "pairs_censored", "pair_ratios", "floor")}
    record |= fields(row, compared)
    record |= {"horizon": row.horizon, "plateau_to": number(row.plateau_to)}
    return record | {"baseline": label(row.baseline), "notes": "; ".join(row.notes)}


def swept(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a setting; an infinite pool reads "inf"."""
    return {n: value_text(value) if value == INFINITE else value for n, value in setting.items()}


def ends(name: str, interval: Interval) -> dict[str, str]:
    """Return the columns of an interval: its value under the name, its ends beside it."""
    columns = (name, f"{name}_low", f"{name}_high")
    return {key: number(x) for key, x in zip(columns, interval, strict=True)}


def fields(row: Any, columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the columns of a row's fields: three of an interval, one of anything else.

    Several numbers stand in one column, with spaces between; a yes is 1, a no 0.
    """
    record: dict[str, Any] = {}
    for field, name in columns.items():
        value = getattr(row, field)
        if isinstance(value, Interval):
            record |= ends(name, value)
        else:
            record[name] = _column(value)
    return record


def _column(value: Any) -> Any:
    if isinstance(value, tuple):
        return " ".join(f"{x:.4g}" for x in value)
    if isinstance(value, bool):
        return int(value)
    return number(value) if isinstance(value, float) else value


def number(value: float) -> str:
    """Return a number as it stands in a CSV file: empty where it is undefined."""
    return "" if math.isnan(value) else f"{value:.8g}"
