"""The table of adaptive mixing as CSV for machines and as text for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from plateaus.measures.mixing.rows import MEASURES, Compared, MixingRow
from plateaus.report import table
from plateaus.report.paired import FEWEST_FOR_INTERVAL, FEWEST_FOR_P
from plateaus.report.terminal import (
    empty_table,
    field_heading,
    p_text,
    print_table,
    ratio_text,
    short,
)


def csv_text(rows: Sequence[MixingRow]) -> str:
    """Return the table as CSV; losses are the test's, compute is in training steps."""
    return table.as_csv([_record(row) for row in rows])


def _record(row: MixingRow) -> dict[str, Any]:
    record = table.swept(row.setting) | {"runs": row.runs, "pairs": row.pairs}
    for name in MEASURES:
        columns = {"value": "loss", "ratio": "ratio", "lower": "lower"}
        columns |= {"p_value": "p", "p_adjusted": "p_holm"}
        columns = {field: f"{name}_{column}" for field, column in columns.items()}
        record |= table.fields(getattr(row, name), columns)
    record |= {"compute": table.number(row.compute), "equal_compute": table.number(row.shared)}
    record |= {"extra_compute_percent": table.number(100 * row.extra)}
    return record | {"baseline": table.label(row.baseline)}


def text_table(rows: Sequence[MixingRow]) -> Table:
    """Return the table for the terminal: what each setting cost, and its losses by ratio."""
    compared = ("ratio\n[95%]", "p\n(Holm)")
    losses = ("final\nloss", *compared, "worst\ngroup", *compared, "at equal\ncompute", "worst")
    result = empty_table(map(field_heading, rows[0].setting), ("extra\ncompute", *losses))
    for row in rows:
        result.add_row(
            *(table.value_text(value) for value in row.setting.values()),
            "-" if math.isnan(row.extra) else f"{100 * row.extra:.3g}%",
            *_cells(row, row.final),
            *_cells(row, row.final_worst),
            short(row.equal.value.value, ".3g"),
            short(row.equal_worst.value.value, ".3g"),
            style="bold" if row.is_baseline else None,
        )
    return result


def remarks(rows: Sequence[MixingRow]) -> list[str]:
    """Return the lines under the table."""
    return [
        "worst group: its loss; ratio: to the baseline's run of each seed, geometric mean",
        f"p: sign flips of the log ratios, Holm over the settings; none below {FEWEST_FOR_P} "
        f"seeds, no interval below {FEWEST_FOR_INTERVAL}",
        "no equal compute: no setting came to the horizon"
        if math.isnan(rows[0].shared)
        else f"equal compute: {rows[0].shared:,.0f} training steps, extra work counted in",
    ]


def show(rows: Sequence[MixingRow]) -> None:
    """Print the table and its remarks."""
    print_table(text_table(rows), remarks(rows))


def _cells(row: MixingRow, measure: Compared) -> tuple[str, str, str]:
    loss = short(measure.value.value, ".3g")
    if row.is_baseline:
        return loss, "baseline", ""
    return loss, ratio_text(measure.ratio), p_text(measure.p_adjusted)
