"""The command `plateaus compare`: several run folders in one table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plateaus import paths
from plateaus.config.exit_codes import with_exit_code
from plateaus.config.options import Parser, only_known

if TYPE_CHECKING:
    from rich.table import Table

    from plateaus.report.page.folders import Folder

NOTE = (
    "ratio: steps to escape over those of the folder's own baseline, paired by seed; "
    "folders are set side by side, not tested against each other"
)


def parser(program: str) -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = Parser(
        prog=program,
        description="Print one table of the settings of several run folders.",
        allow_abbrev=False,
    )
    made.add_argument(
        "runs", metavar="RUN", nargs="+", help="a run folder, or one of experiments/results"
    )
    return made


@with_exit_code
def main(argv: Sequence[str], program: str = "plateaus compare") -> int:
    """Run a command line and return its exit code."""
    options = only_known(parser(program), argv)
    from plateaus.report.page import folders
    from plateaus.report.terminal import print_table

    runs = [folders.read(folder) for folder in options.runs]
    names = paths.distinct([Path(folder) for folder in options.runs])
    print_table(table(names, runs), [NOTE])
    return 0


def table(names: Sequence[str], runs: Sequence[Folder]) -> Table:
    """Return the table: a line for each setting of each folder."""
    from plateaus.report.table import label
    from plateaus.report.terminal import bracketed, empty_table, short

    made = empty_table(
        ["run folder", "setting"],
        ["escaped", "median escape,\nsteps", "ratio to its\nbaseline", "final\nloss"],
    )
    for name, folder in zip(names, runs, strict=True):
        for i, row in enumerate(folder.rows):
            its_own = row.setting == row.baseline
            made.add_row(
                name if i == 0 else "",
                label(row.setting) or "as configured",
                f"{row.escaped}/{row.runs}",
                short(row.escape.value, ".0f"),
                "1" if its_own else bracketed(row.ratio, lambda value: short(value, ".2f")),
                short(row.final_loss.value, ".3g"),
                end_section=i == len(folder.rows) - 1,
            )
    return made
