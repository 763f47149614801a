"""The command `plateaus wandb`: the results of run folders, sent to Weights & Biases."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from plateaus.config.exit_codes import with_exit_code
from plateaus.config.options import Parser, only_known


def parser(program: str) -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = Parser(
        prog=program,
        description="Send the results of run folders to Weights & Biases, a run a setting. Nothing "
        "is ever sent but by this command; WANDB_MODE=offline keeps it on this disk.",
        allow_abbrev=False,
    )
    made.add_argument("runs", metavar="RUN", nargs="+", help="a finished run folder")
    made.add_argument("--project", default="plateaus", help="the project (default: plateaus)")
    return made


@with_exit_code
def main(argv: Sequence[str], program: str = "plateaus wandb") -> int:
    """Run a command line and return its exit code."""
    options = only_known(parser(program), argv)
    from plateaus.report.mirror import mirror

    for name in options.runs:
        print(f"{name}: {mirror(Path(name), options.project)} runs sent to {options.project}")
    return 0
