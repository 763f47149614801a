"""Write one self-contained HTML file of run folders: `python -m plateaus.report RUN...`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from plateaus.config.exit_codes import with_exit_code
from plateaus.config.options import Parser, only_known
from plateaus.config.schema import ConfigError
from plateaus.files import write_atomically

FILE = "report.html"
PROGRAM = "python -m plateaus.report"


def parser(program: str = PROGRAM) -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = Parser(
        prog=program,
        description="Write one self-contained HTML file of one or several run folders.",
        allow_abbrev=False,
    )
    made.add_argument(
        "runs", metavar="RUN", nargs="+", help="a run folder, or one of experiments/results"
    )
    made.add_argument(
        "--output",
        metavar="FILE",
        help=f"the file (default: {FILE} in the run folder; of several, in the current one)",
    )
    return made


@with_exit_code
def main(argv: Sequence[str], program: str = PROGRAM) -> int:
    """Run a command line and return its exit code."""
    options = only_known(parser(program), argv)
    from plateaus.report.page import folders, writing  # slow to import: after the options

    several = len(options.runs) > 1
    output = Path(options.output or (FILE if several else Path(options.runs[0]) / FILE))
    places = {Path(run).resolve(): run for run in reversed(options.runs)}  # each once
    found = [folders.read(run) for run in reversed(places.values())]
    if output.is_dir():
        raise ConfigError(f"{output}: a folder; --output names a file")
    write_atomically(output, writing.page(found).encode())
    print(f"written: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
