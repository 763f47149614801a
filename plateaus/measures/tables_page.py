"""The page of the columns of all CSV tables: `python -m plateaus.measures.tables_page`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from plateaus.measures.columns import COLUMNS, Column
from plateaus.report import kept_columns

_HEAD = """<!-- Written by `python -m plateaus.measures.tables_page`; edits by hand are lost. -->
# The tables of a run folder

Every table is a CSV file of UTF-8 with one line of names, and stands in the run folder where there
is something to say in it. First come the swept fields under their dotted names (`inf`: an infinite
pool), then the columns below.

- **Empty**: undefined or not recorded; `notes` say why, where that may be asked.
- **`inf`**: a median that fewer than half of the runs reached by the horizon.
- **A bound** stands beside its ratio, in a column of its own: `>` where no run of the setting
  escaped, so that the ratio is at least this; `<` where none of the baseline did. It has no ends.
- **`NAME_low`, `NAME_high`**: the ends of a 95% interval, written `NAME [..]` below. Of ratios:
  all that the sign-flip test does not reject; empty below 8 pairs. There is no p below 6.
- A ratio below 1 means sooner, or lower. Runs of a seed are compared as a pair.
- A *step* is an optimiser step, *loss* is in the unit of the task's losses (1: the best without
  context, where they are normalised). A yes is 1, a no 0.

What is printed after a run is the part of these that answers what the settings were made for, in at
most eight columns: mixed prompts; ways to mix, where they differ; each task among others beside
itself alone, where settings train on different tasks; settings beside their baseline.

"""

_RUNS = """A row for each run and task, and one for the run as a whole. Empty: undefined, never
reached, or later than the run was followed.

"""
_CURVES_HEAD = """It begins with a line `# {..}`: JSON of the version, attributes, coordinates
and sizes, and of every variable its dimensions, type, meaning (`long_name`) and unit. Then a row
for each number, at some 60 steps of each curve:

"""

CURVES = {  # of curves.csv.gz, after the swept fields and the seed
    "task": "empty: the run as a whole",
    "variable": "its name in results.nc",
    "axis": "places along further axes, `NAME=PLACE`, `;` between",
    "step": "empty: of no step; a training variable is a mean since the row before",
    "value": "the number; one that is undefined has no row",
}


def documented() -> str:
    """Return the page of all tables, docs/tables.md, as Markdown."""
    parts = [_HEAD]
    for file, (rows, columns) in COLUMNS.items():
        parts.append(f"## {file}\n\nA row for {rows}.\n\n{_as_table(columns.items())}\n")
    parts.append(f"## runs.csv\n\n{_RUNS}{kept_columns.documented()}\n\n")
    lines = ["| column | meaning |", "|---|---|", "| dotted names, `seed` | the run |"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in CURVES.items()]
    curves = "\n".join(lines)
    return "".join([*parts, f"## curves.csv.gz\n\n{_CURVES_HEAD}{curves}\n"])


def _as_table(columns: Iterable[tuple[str, Column]]) -> str:
    lines = ["| column | meaning | unit |", "|---|---|---|"]
    for name, (meaning, units, ends) in columns:
        lines.append(f"| `{name}{' [..]' * ends}` | {meaning} | {units} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(documented())
