"""Write one self-contained HTML file of run folders: `python -m plateaus.report RUN...`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from plateaus.config.exit_codes import with_exit_code
from plateaus.config.options import Parser
from plateaus.config.schema import ConfigError
from plateaus.files import write_atomically
from plateaus.names import nearest

FILE = "report.html"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = Parser(
        prog="python -m plateaus.report",
        description="Write one self-contained HTML file of one or several run folders.",
        allow_abbrev=False,
    )
    made.add_argument("runs", metavar="RUN", nargs="+", help="a run folder, or a kept one")
    made.add_argument(
        "--output",
        metavar="FILE",
        help=f"the file (default: {FILE} in the run folder; of several, in the current one)",
    )
    return made


@with_exit_code
def main(argv: Sequence[str]) -> int:
    """Run a command line and return its exit code."""
    options, unknown = parser().parse_known_args(argv)
    if unknown:
        known = [name for action in parser()._actions for name in action.option_strings]
        flags = [word for word in unknown if word.startswith("-")]  # without their values
        raise ConfigError(*(_no_such(word, known) for word in flags or unknown))
    from plateaus.report.page import folders, writing  # slow to import: after the options

    several = len(options.runs) > 1
    output = Path(options.output or (FILE if several else Path(options.runs[0]) / FILE))
    found = [folders.read(folder) for folder in options.runs]
    if output.is_dir():
        raise ConfigError(f"{output}: a folder; --output names a file")
    write_atomically(output, writing.page(found).encode())
    print(f"written: {output}")
    return 0


def _no_such(word: str, known: Sequence[str]) -> str:
    name = word.partition("=")[0]
    close = nearest(name, known)
    return f"{name}: no such option; " + (f"did you mean {close}?" if close else "see --help")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
