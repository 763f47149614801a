"""The table of adaptive mixing as CSV for machines and as text for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from plateaus.measures.mixing.rows import MEASURES, Compared, MixingRow
from plateaus.report import csv_columns, table
from plateaus.report.paired import FEWEST_FOR_INTERVAL, FEWEST_FOR_P
from plateaus.report.terminal import (
    empty_table,
    fitted,
    folded,
    p_text,
    print_table,
    ratio_text,
    setting_cells,
    setting_headings,
    short,
)


def csv_text(rows: Sequence[MixingRow]) -> str:
    """Return the table as CSV; losses are the test's, compute is in training steps."""
    return table.as_csv([_record(row) for row in rows])


def _record(row: MixingRow) -> dict[str, Any]:
    record = csv_columns.swept(row.setting) | {"runs": row.runs, "pairs": row.pairs}
    for name in MEASURES:
        columns = {"value": "loss", "ratio": "ratio", "lower": "lower"}
        columns |= {"p_value": "p", "p_adjusted": "p_holm"}
        columns = {field: f"{name}_{column}" for field, column in columns.items()}
        record |= csv_columns.fields(getattr(row, name), columns)
    record |= {
        "compute": csv_columns.number(row.compute),
        "equal_compute": csv_columns.number(row.shared),
    }
    record |= {"extra_compute_percent": csv_columns.number(100 * row.extra)}
    return record | {"baseline": table.label(row.baseline)}


def text_table(rows: Sequence[MixingRow]) -> Table:
    """Return the table for the terminal: what each setting cost, and its losses by ratio."""
    return fitted(lambda most: _text_table(rows, most))


def _text_table(rows: Sequence[MixingRow], most: int) -> Table:
    names, ratio = list(rows[0].setting), "ratio\n[95%]"
    numbers = ("extra\ncompute", "final\nloss", ratio, "p\n(Holm)", "worst\ngroup:\nratio")
    equal = (f"at equal\ncompute:\n{ratio}", "p\n(Holm)")
    result = empty_table(setting_headings(names, 1), (*numbers, *equal))
    for row in rows:
        values = [table.value_text(value) for value in row.setting.values()]
        result.add_row(
            *(folded(cell, most) for cell in setting_cells(values, 1)),
            "-" if math.isnan(row.extra) else f"{100 * row.extra:.3g}%",
            short(row.final.value.value, ".3g"),
            *_compared(row, row.final),
            "" if row.is_baseline else short(row.final_worst.ratio.value, ".2f"),
            *_compared(row, row.equal),
            style="bold" if row.is_baseline else None,
        )
    return result


def remarks(rows: Sequence[MixingRow]) -> list[str]:
    """Return the lines under the table."""
    return [
        "ratio: of losses to those of the baseline's run of each seed, geometric mean",
        f"p: sign flips of the log ratios, Holm over the settings; none below {FEWEST_FOR_P} "
        f"seeds, no interval below {FEWEST_FOR_INTERVAL}",
        "no equal compute: no setting came to the horizon"
        if math.isnan(rows[0].shared)
        else f"equal compute: {rows[0].shared:,.0f} training steps, extra work counted in",
    ]


def show(rows: Sequence[MixingRow]) -> None:
    """Print the table and its remarks."""
    print_table(text_table(rows), remarks(rows))


def _compared(row: MixingRow, measure: Compared) -> tuple[str, str]:
    if row.is_baseline:
        return "baseline", ""
    return ratio_text(measure.ratio), p_text(measure.p_adjusted)
