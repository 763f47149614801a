"""The command `plateaus list`: the presets, a line each."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from plateaus.config import presets
from plateaus.config.exit_codes import with_exit_code
from plateaus.config.options import Parser, only_known


def parser(program: str) -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = Parser(
        prog=program,
        description="Print the presets of the config files, a line each: its name and its claim.",
        allow_abbrev=False,
    )
    made.add_argument("files", metavar="FILE", nargs="*", help="of these only (default: all)")
    return made


@with_exit_code
def main(argv: Sequence[str], program: str = "plateaus list") -> int:
    """Run a command line and return its exit code."""
    options = only_known(parser(program), argv)
    files = [presets.find(name)[0] for name in options.files] or presets.config_files()
    print(*presets.listing(files), sep="\n")
    return 0
