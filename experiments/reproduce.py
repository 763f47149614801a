"""Decide claims by runs: `python experiments/reproduce.py --list`, `--claim ID`, `--paper 1`."""

import sys
from pathlib import Path

try:
    from plateaus.evidence.cli import main
except ModuleNotFoundError as error:
    if error.name != "plateaus":
        raise
    print("error: plateaus is not installed; run `pip install -e .` first", file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).parent))
