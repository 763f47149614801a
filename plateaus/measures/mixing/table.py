"""The table of adaptive mixing as CSV for machines and as text for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from plateaus.measures.mixing.rows import MEASURES, Compared, MixingRow
from plateaus.report import table


def csv_text(rows: Sequence[MixingRow]) -> str:
    """Return the table as CSV; losses are the test's, compute is in training steps."""
    return table.as_csv([_record(row) for row in rows])


def _record(row: MixingRow) -> dict[str, Any]:
    record = table.swept(row.setting) | {"runs": row.runs, "pairs": row.pairs}
    for name in MEASURES:
        one: Compared = getattr(row, name)
        record |= table.ends(f"{name}_loss", one.value) | table.ends(f"{name}_ratio", one.ratio)
        record |= {f"{name}_p": table.number(one.p_value)}
        record |= {f"{name}_p_holm": table.number(one.p_adjusted)}
    record |= {"compute": table.number(row.compute), "equal_compute": table.number(row.shared)}
    record |= {"extra_compute_percent": table.number(100 * row.extra)}
    return record | {"baseline": table.label(row.baseline)}


def text_table(rows: Sequence[MixingRow]) -> Table:
    """Return the table for the terminal: what each setting cost, and its losses by ratio."""
    result = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in rows[0].setting:
        heading = name.replace(".", ".\n", 1).replace("_", "_\n")
        result.add_column(heading, overflow="fold", vertical="bottom")
    for heading in (
        "extra\ncompute",
        "final\nloss",
        "ratio\n[95%]",
        "p\n(Holm)",
        "worst\ngroup",
        "ratio\n[95%]",
        "p\n(Holm)",
        "at equal\ncompute",
        "worst",
    ):
        result.add_column(heading, justify="right", overflow="fold", vertical="bottom")
    for row in rows:
        result.add_row(
            *(table.value_text(value) for value in row.setting.values()),
            "-" if math.isnan(row.extra) else f"{100 * row.extra:.3g}%",
            *_cells(row, row.final),
            *_cells(row, row.final_worst),
            _loss(row.equal),
            _loss(row.equal_worst),
            style="bold" if row.is_baseline else None,
        )
    return result


def remarks(rows: Sequence[MixingRow]) -> list[str]:
    """Return what is said under the table."""
    return [
        "worst group: its loss; ratio: to the baseline's mean, bootstrapped by seed",
        "p: paired t test of log losses over seeds, Holm over the settings",
        f"equal compute: {rows[0].shared:,.0f} training steps, extra work counted in",
    ]


def show(rows: Sequence[MixingRow]) -> None:
    """Print the table and its remarks."""
    table.print_lines(text_table(rows), remarks(rows))


def _cells(row: MixingRow, one: Compared) -> tuple[str, str, str]:
    if row.is_baseline:
        return _loss(one), "baseline", ""
    value, low, high = one.ratio
    if math.isnan(value):
        return _loss(one), "-", "-"
    ends = "" if math.isnan(low) else f" [{low:.2f}, {high:.2f}]"
    p = one.p_adjusted
    told = "-" if math.isnan(p) else "<1e-4" if p < 1e-4 else f"{p:.2g}"
    return _loss(one), f"{value:.2f}{ends}", told


def _loss(one: Compared) -> str:
    return "-" if math.isnan(one.value.value) else f"{one.value.value:.3g}"
