"""The table of mixed prompts as CSV for machines and as text for the terminal."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
from rich.table import Table

from plateaus.measures.superposition.rows import RELEASED_SATURATION, MixedRow
from plateaus.report import csv_columns, table
from plateaus.report.survival import Interval
from plateaus.report.terminal import (
    empty_table,
    fitted,
    folded,
    print_table,
    setting_cells,
    setting_headings,
)

MOST = 12  # lines of a setting
MEASURES = {field.name: field.name for field in dataclasses.fields(MixedRow)[7:]}


def csv_text(rows: Sequence[MixedRow]) -> str:
    """Return the table as CSV: a line for each answer to each mixture; entropies are in nats."""
    records = []
    for row in rows:
        record = csv_columns.swept(row.setting) | {"mixture": row.mixture, "answer": row.answer}
        record |= {"runs": row.runs, "share_asked": csv_columns.number(row.named_share)}
        records.append(record | csv_columns.fields(row, MEASURES))
    return table.as_csv(records)


def text_table(rows: Sequence[MixedRow]) -> Table:
    """Return the table for the terminal: a line a mixture, at most `MOST` of a setting.

    Of two tasks, P and what depends on the answer are the first one's; of more, P of each, and
    means over them. Entropies, and of two tasks with the paper's P the completed answers, are in
    the CSV only.
    """
    return fitted(lambda most: _text_table(rows, most))


def _text_table(rows: Sequence[MixedRow], most: int) -> Table:
    names = rows[0].answers
    two = len(names) == 2
    paper = any(not math.isnan(row.paper) for row in rows)
    labels = [":\n".join(names) if two else "mixture"]
    numbers = (
        f"P({names[0]})\n[95%]" if two else "mean P\nof each",
        *(["paper"] if paper else []),
        "satu-\nration",
        "switch-\ning",
        "KL,\nnats",
        *([] if paper else [f"completed\nof {len(names)}"]),
        "last\nexample",
    )
    fields = list(rows[0].setting)
    result = empty_table([*setting_headings(fields, 1), *labels], numbers)
    for _, setting in itertools.groupby(rows, key=lambda row: row.index):
        mixtures = [list(group) for _, group in itertools.groupby(setting, lambda r: r.mixture)]
        for place, mixture in enumerate(_shown(mixtures)):
            first, averaged = mixture[0], mixture[:1] if two else mixture
            values = [table.value_text(value) for value in first.setting.values()]
            here = [folded(cell, most) for cell in setting_cells(values, 1)]
            result.add_row(
                *(here if not place else [""] * len(here)),
                folded(first.mixture, most),
                _bracketed(first.probability) if two else " ".join(map(_short, mixture)),
                *([_number(first.paper)] if paper else []),
                _number(_mean([row.saturation.value for row in averaged])),
                _number(first.switching.value),
                _number(first.kl.value),
                *([] if paper else [_number(first.completed.value, 2)]),
                _number(_mean([row.recency.value for row in averaged])),
            )
    return result


def remarks(rows: Sequence[MixedRow]) -> list[str]:
    """Return the lines under the table."""
    low, high = RELEASED_SATURATION
    lines = [
        "P: mean over prompts, 95% t interval over seeds; KL: of the shares from P",
        "saturation: var P / (mean (1 - mean)) over prompts; 1: each P is 0 or 1, 0: all are equal",
        "switching: 1 - E[H] / H(E P), the part of the mean's entropy that is between prompts",
        "last example: P where it is of that task, less P where it is not",
    ]
    if not all(math.isnan(row.paper) for row in rows):
        prompts = f"two tasks, 100 examples; their saturation is {low} to {high}"
        lines.append(f"paper: released models, {prompts}")
    return lines


def show(rows: Sequence[MixedRow]) -> None:
    """Print the table and its remarks."""
    print_table(text_table(rows), remarks(rows))


def _shown(mixtures: list[list[MixedRow]]) -> list[list[MixedRow]]:
    """Return the mixtures that are shown: evenly among all, or those of most even shares first."""
    if len(mixtures) <= MOST:
        return mixtures
    chosen = np.unique(np.linspace(0, len(mixtures) - 1, MOST).round().astype(int))
    even = min(range(len(mixtures)), key=lambda m: max(row.named_share for row in mixtures[m]))
    if even not in chosen:  # in the place of its neighbour
        chosen[np.argmin(np.abs(chosen[1:-1] - even)) + 1] = even
    return [mixtures[m] for m in sorted(chosen)]


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if not math.isnan(value)]
    return sum(finite) / len(finite) if finite else math.nan


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}"  # no -0


def _short(row: MixedRow) -> str:
    return _number(row.probability.value, 2).removeprefix("0")


def _bracketed(interval: Interval) -> str:
    if math.isnan(interval.low):
        return _number(interval.value)
    return f"{_number(interval.value)} [{_number(interval.low, 2)}, {_number(interval.high, 2)}]"
