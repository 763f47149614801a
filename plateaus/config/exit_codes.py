"""What a command line says of what it refuses, and the exit code it ends with. No jax."""

from __future__ import annotations

import sys
from collections.abc import Callable

from plateaus.config.schema import ConfigError


def exit_code(command: Callable[[], int]) -> int:
    """Return what a command returns, or 2 (refused, its problems told) or 130 (interrupted).

    >>> exit_code(lambda: 0)
    0
    """
    try:
        return command()
    except ConfigError as error:
        problems = [line.replace("\n", "\\n") for line in error.problems]
        many = len(problems) > 1
        lines = [f"{len(problems)} problems in the configuration"] if many else []
        lines += [f"  {line}" if many else line for line in problems]
        print("error:", "\n".join(lines), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
