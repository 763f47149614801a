"""The table: rows as CSV for machines and as text for the terminal."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from plateaus.fields import INFINITE
from plateaus.report import paired
from plateaus.report.statistics import Row
from plateaus.report.survival import Interval
from plateaus.report.terminal import (
    bracketed,
    empty_table,
    field_heading,
    p_text,
    plain,
    print_table,
    ratio_text,
    short,
)

WIDEST = 100  # of the table on a terminal


def label(setting: Mapping[str, Any]) -> str:
    """Return a setting as one would type it.

    >>> label({"data.zipf_exponent": 0.75, "seeds": 16})
    'data.zipf_exponent=0.75, seeds=16'
    """
    return ", ".join(f"{name}={value_text(value)}" for name, value in setting.items())


def csv_text(rows: Sequence[Row]) -> str:
    """Return the table as CSV: the swept fields under their dotted names, then the statistics.

    Steps are optimiser steps. `inf`: not reached by `plateau_to`; empty: undefined.
    """
    return as_csv([_record(row) for row in rows])


def as_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Return records, of the same names all, as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


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


def table(rows: Sequence[Row]) -> Table:
    """Return the table for the terminal, readable in 100 columns.

    Where there is room: the lowest loss of a run, which shows beside its final one a test loss that
    rose again; and the escape of the loss on trained items, where that is recorded.
    """
    more = ["lowest\nloss"]
    more += ["trained\nescape"] * any(not math.isnan(row.trained_escape.value) for row in rows)
    while more and plain().measure(_table(rows, more)).maximum > WIDEST:
        more.pop(0)
    return _table(rows, more)


def _table(rows: Sequence[Row], more: Sequence[str]) -> Table:
    names = list(rows[0].setting) if rows else []
    plateaus = ("escaped", "median escape\n[95%]", "mean\nplateau")
    numbers = (*plateaus, "ratio\n[95%]", "sooner", "p\n(Holm)", "final\nloss")
    result = empty_table(map(field_heading, names), (*numbers, *more))
    for row in rows:
        further = {
            "lowest\nloss": short(row.lowest_loss.value, ".3g"),
            "trained\nescape": _steps(row.trained_escape.value),
        }
        result.add_row(
            *(value_text(row.setting[name]) for name in names),
            f"{row.escaped}/{row.runs}",
            _median(row),
            _steps(row.plateau.value) + "*" * (row.floor and row.is_baseline),
            "baseline" if row.is_baseline else ratio_text(row.ratio, row.bound) + "*" * row.floor,
            "" if row.is_baseline else short(row.sooner, ".2f"),
            "" if row.is_baseline and math.isnan(row.p_adjusted) else p_text(row.p_adjusted),
            short(row.final_loss.value, ".3g"),
            *(further[name] for name in more),
            style="bold" if row.is_baseline else None,
        )
    return result


def remarks(rows: Sequence[Row]) -> list[str]:
    """Return the lines under the table: the baseline, the diverged runs, what is missing."""
    lines = []
    if rows:
        lines.append(f"mean plateau: steps to escape, {rows[0].horizon} if it never does")
    if len(rows) > 1:
        shared = {
            name: value
            for name, value in rows[0].baseline.items()
            if all(row.baseline[name] == value for row in rows)
        }
        others = len(shared) < len(rows[0].baseline)
        lines.append("ratio: to the baseline's run of each seed, geometric mean; p: sign-flip test")
        lines.append("sooner: share of the seeds on which it escapes before the baseline")
        lines.append(f"baseline: {label(shared)}" + ", other fields as in the row" * others)
    if any(row.floor for row in rows):
        lines.append(
            f"*: a median plateau of less than {paired.FLOOR} evaluations: hardly measured"
        )
    if len({row.batch for row in rows}) > 1:
        lines.append("batch sizes differ: ratio and p are of optimiser steps, not of examples seen")
    if any(not math.isnan(row.trained_escape.value) for row in rows):
        lines.append("trained escape: median, of the loss on the items that are trained on")
    shared_notes = _shared_notes(rows)
    lines += [f"note: all settings: {note}" for note in shared_notes]
    for row in rows:
        where = label(row.setting) or "this setting"
        if not row.runs:
            lines.append(f"not run: {where}")
            continue
        if row.diverged == row.runs:
            lines.append(f"diverged: {where}: all {row.runs} runs")
            continue
        if row.diverged:
            seeds = ", ".join(map(str, row.diverged_seeds))
            lines.append(f"diverged: {where}: {row.diverged} of {row.runs} runs (seeds {seeds})")
        if row.unfinished:
            count = "all" if row.unfinished == row.runs else f"{row.unfinished} of"
            stops = f"stopped by step {row.earliest} at the earliest"
            lines.append(f"unfinished: {where}: {count} {row.runs} runs, {stops}")
        lines += [f"note: {where}: {note}" for note in row.notes if note not in shared_notes]
    return lines


def _shared_notes(rows: Sequence[Row]) -> list[str]:
    """Return the notes of all settings that were run, but for the baselines, if they are some."""
    others = [row for row in rows if row.runs and not row.is_baseline]
    if len(others) < 2:
        return []
    return [note for note in others[0].notes if all(note in row.notes for row in others)]


def show(rows: Sequence[Row]) -> None:
    """Print the table and its remarks: in colour on a terminal, plain text elsewhere."""
    if Console().is_terminal:
        print_table(table(rows), remarks(rows))
    else:
        print(text(rows), end="")


def text(rows: Sequence[Row]) -> str:
    """Return what `show` prints where there is no terminal."""
    buffer = io.StringIO()
    print_table(table(rows), remarks(rows), plain(buffer))
    return "\n".join(line.rstrip() for line in buffer.getvalue().strip("\n").splitlines()) + "\n"


def value_text(value: Any) -> str:
    """Return a swept value as text, short where that loses nothing.

    >>> value_text(0.0), value_text(1e6), value_text(0.12345678), value_text("epochs")
    ('0', '1e+06', '0.12345678', 'epochs')
    >>> value_text(2**31 - 2)
    'inf'
    """
    if isinstance(value, int) and value == INFINITE:
        return "inf"
    if not isinstance(value, float):
        return str(value)
    return brief if float(brief := f"{value:g}") == value else repr(value)


def _steps(value: float) -> str:
    return short(value, ".0f")


def _median(row: Row) -> str:
    if math.isinf(row.escape.value):
        low = row.escape.low
        reached = "" if math.isnan(low) or math.isinf(low) else f" [{_steps(low)}, inf]"
        return f"> {row.plateau_to:.0f}{reached}"
    return bracketed(row.escape, _steps)
