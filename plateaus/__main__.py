"""The command `plateaus`, as `python -m plateaus` and as the script that pip installs."""

import sys

from plateaus.commands.main import main as _main


def main() -> int:
    """Run the command line of this process; return its exit code."""
    return _main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
