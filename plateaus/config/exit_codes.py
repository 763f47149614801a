"""The exit codes of a command, and its messages where it refuses its arguments. No jax."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

from plateaus import output
from plateaus.config.schema import ConfigError

P = ParamSpec("P")


def with_exit_code(command: Callable[P, int]) -> Callable[P, int]:
    """Make a command print its problems and return its code.

    It is 2 on ConfigError, 1 where the file system refuses something, and 130 on an interrupt.

    Nothing that it prints can fail meanwhile (`plateaus.output`).

    >>> with_exit_code(lambda: 0)()
    0
    """

    @functools.wraps(command)
    def complete(*arguments: P.args, **options: P.kwargs) -> int:
        with output.forgiving() as stdout:
            code = _code(lambda: command(*arguments, **options))
            stdout.flush()
            if stdout.failure:
                lost = f"warning: standard output was not written: {stdout.failure}"
                print(lost, file=sys.stderr)
            return code

    return complete


def _code(command: Callable[[], int]) -> int:
    try:
        if sys.platform == "win32":
            raise ConfigError("Windows is not supported: use Linux, macOS, or WSL on Windows")
        return command()
    except ConfigError as error:
        problems = [line.replace("\n", "\\n") for line in error.problems]
        many = len(problems) > 1
        lines = [f"{len(problems)} problems in the configuration"] if many else []
        lines += [f"  {line}" if many else line for line in problems]
        print("error:", "\n".join(lines), file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
