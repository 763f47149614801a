"""The main table for the terminal, and settings and their values as text."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.table import Table

from plateaus.fields import INFINITE
from plateaus.report import paired
from plateaus.report.statistics import Row
from plateaus.report.terminal import (
    MOST_COLUMNS,
    WIDEST,
    bracketed,
    empty_table,
    fitted,
    folded,
    p_text,
    plain,
    print_table,
    ratio_text,
    setting_cells,
    setting_headings,
    short,
)

FIELDS = 2  # swept fields with a column each; more of them share one
ESCAPED, MEDIAN, PLATEAU = "escaped", "median escape,\nsteps [95%]", "mean\nplateau,\nsteps"
RATIO, SOONER, P = "ratio of steps\n[95%]", "sooner", "p\n(Holm)"
TRAINED, FINAL, LOWEST = "trained\nescape,\nsteps", "final\nloss", "lowest\nloss"
NUMBERS = (ESCAPED, MEDIAN, PLATEAU, RATIO, SOONER, P, TRAINED, FINAL, LOWEST)
ALWAYS = (ESCAPED, MEDIAN, RATIO, P, FINAL)


def label(setting: Mapping[str, Any]) -> str:
    """Return a setting as one would type it.

    >>> label({"data.zipf_exponent": 0.75, "seeds": 16})
    'data.zipf_exponent=0.75, seeds=16'
    """
    return ", ".join(f"{name}={value_text(value)}" for name, value in setting.items())


def as_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Return records, of the same names all, as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def table(rows: Sequence[Row], apart: Collection[tuple[int, ...]] = ()) -> Table:
    """Return the table for the terminal: at most eight columns, readable in 100 letters.

    What there is no room for is left out, the last of these first: the mean plateau; the escape of
    the loss on trained items, where that is recorded; the share of the seeds on which the setting
    escapes first; the lowest loss of a run, which shows beside its final one a test loss that rose
    again. `apart`: places of the settings that train on other tasks than their baseline, whose
    mean loss is another quantity than its.
    """
    optional = _optional(rows, apart)
    return fitted(lambda most: _table(rows, optional, apart, most))


def setting_columns(rows: Sequence[Row]) -> int:
    """Return how many columns of the table hold a setting: none, one a field, or one for all."""
    names = list(rows[0].setting) if rows else []
    return len(setting_headings(names, FIELDS))


def _optional(rows: Sequence[Row], apart: Collection[tuple[int, ...]]) -> list[str]:
    """Return the columns that are not always there, as far as there is room."""
    recorded = any(not math.isnan(row.trained_escape.value) for row in rows)
    compared = any(not row.is_baseline and row.index not in apart for row in rows)
    chosen = [PLATEAU, *[TRAINED] * recorded, *[SOONER] * compared, LOWEST]
    chosen = chosen[: MOST_COLUMNS - setting_columns(rows) - len(ALWAYS)]
    for most, least in ((24, 1), (12, 0)):  # letters of a name, columns that are worth folding it
        while (
            len(chosen) > least
            and plain().measure(_table(rows, chosen, apart, most)).maximum > WIDEST
        ):
            chosen.pop()
    return chosen


def _table(
    rows: Sequence[Row], optional: Collection[str], apart: Collection[tuple[int, ...]], most: int
) -> Table:
    names = list(rows[0].setting) if rows else []
    beside = () if any(not row.is_baseline for row in rows) else (RATIO, P)
    always = [name for name in ALWAYS if name not in beside]  # nothing is compared with itself
    headings = [name for name in NUMBERS if name in always or name in optional]
    result = empty_table(setting_headings(names, FIELDS), headings)
    for row in rows:
        values = [value_text(row.setting[name]) for name in names]
        told = _numbers(row, row.index in apart)
        result.add_row(
            *(folded(cell, most) for cell in setting_cells(values, FIELDS)),
            *(told[name] for name in headings),
            style="bold" if row.is_baseline else None,
        )
    return result


def _numbers(row: Row, apart: bool) -> dict[str, str]:
    """Return the cells of a line by their headings."""
    ratio, sooner = ratio_text(row.ratio, row.bound) + "*" * row.floor, short(row.sooner, ".2f")
    p = p_text(row.p_adjusted)
    if row.is_baseline:
        ratio, sooner, p = "baseline", "", "" if math.isnan(row.p_adjusted) else p
    elif apart:
        ratio, sooner, p = "other tasks", "", ""
    return {
        ESCAPED: f"{row.escaped}/{row.runs}",
        MEDIAN: _median(row),
        PLATEAU: _steps(row.plateau.value) + "*" * (row.floor and row.is_baseline),
        RATIO: ratio,
        SOONER: sooner,
        P: p,
        TRAINED: _bounded(row.trained_escape.value, row),
        FINAL: short(row.final_loss.value, ".3g"),
        LOWEST: short(row.lowest_loss.value, ".3g"),
    }


def remarks(rows: Sequence[Row], apart: Collection[tuple[int, ...]] = ()) -> list[str]:
    """Return the lines under the table: the baseline, the diverged runs, what is missing."""
    lines, columns = [], _optional(rows, apart)
    if rows and PLATEAU in columns:
        lines.append(f"mean plateau: steps to escape, {rows[0].horizon} if it never does")
    if len(rows) > 1:
        shared = {
            name: value
            for name, value in rows[0].baseline.items()
            if all(row.baseline[name] == value for row in rows)
        }
        others = len(shared) < len(rows[0].baseline)
        lines.append("ratio: to the baseline's run of each seed, geometric mean; p: sign-flip test")
        if SOONER in columns:
            lines.append("sooner: share of the seeds on which it escapes before the baseline")
        lines.append(f"baseline: {label(shared)}" + ", other fields as in the row" * others)
    if apart:
        lines.append("other tasks: trained on others than the baseline, so that the losses differ")
    if any(row.floor for row in rows):
        lines.append(
            f"*: a median plateau of less than {paired.FLOOR} evaluations: hardly measured"
        )
    if len({row.batch for row in rows}) > 1:
        lines.append("batch sizes differ: ratio and p are of optimiser steps, not of examples seen")
    if TRAINED in columns:
        lines.append("trained escape: median, of the loss on the items that are trained on")
    shared_notes = _shared_notes(rows)
    lines += [f"note: all settings: {note}" for note in shared_notes]
    for row in rows:
        lines += endings([row])
        if row.runs and row.diverged < row.runs:
            where = label(row.setting) or "this setting"
            lines += [f"note: {where}: {note}" for note in _told(row) if note not in shared_notes]
    return lines


def endings(rows: Sequence[Row]) -> list[str]:
    """Return a line for each setting that was not run, or whose runs diverged or are unfinished."""
    lines = []
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
    return lines


def _shared_notes(rows: Sequence[Row]) -> list[str]:
    """Return the notes of all settings that were run, but for the baselines, if they are some."""
    others = [row for row in rows if row.runs and not row.is_baseline]
    if len(others) < 2:
        return []
    return [note for note in _told(others[0]) if all(note in row.notes for row in others)]


def _told(row: Row) -> list[str]:
    """Return the notes of a row that no mark in its line says, and that its numbers need."""
    marked = ("no interval of the plateau", "plateau shorter", "baseline's plateau shorter")
    return [note for note in row.notes if not note.startswith(marked)]


def show(rows: Sequence[Row], apart: Collection[tuple[int, ...]] = ()) -> None:
    """Print the table and its remarks: in colour on a terminal, plain text elsewhere."""
    print_table(table(rows, apart), remarks(rows, apart))


def text(rows: Sequence[Row], apart: Collection[tuple[int, ...]] = ()) -> str:
    """Return what `show` prints where there is no terminal."""
    buffer = io.StringIO()
    print_table(table(rows, apart), remarks(rows, apart), plain(buffer))
    return buffer.getvalue()


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


def _bounded(value: float, row: Row) -> str:
    return f"> {row.plateau_to:.0f}" if math.isinf(value) else _steps(value)


def _median(row: Row) -> str:
    if math.isinf(row.escape.value):
        low = row.escape.low
        reached = "" if math.isnan(low) or math.isinf(low) else f" [{_steps(low)}, inf]"
        return _bounded(row.escape.value, row) + reached
    return bracketed(row.escape, _steps)
