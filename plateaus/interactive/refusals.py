"""Refusals of a command, as exceptions of one line that name arguments instead of options."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from plateaus.config.schema import ConfigError
from plateaus.interactive.names import plain


class Refused(ConfigError, ValueError):
    """Something asked for is refused: `problems` holds one line for each reason.

    A notebook shows these lines alone, without a traceback.
    """

    def _render_traceback_(self) -> list[str]:  # IPython asks for it
        return [f"{type(self).__name__}: {self}"]


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Raise `Refused` where a ConfigError is raised within.

    >>> with refusals():
    ...     raise ConfigError("runs/a holds other runs; use another --workdir")
    Traceback (most recent call last):
    plateaus.interactive.refusals.Refused: runs/a holds other runs; use another folder
    """
    try:
        yield
    except ConfigError as error:
        raise Refused(*map(reworded, error.problems)) from None


def reworded(line: str) -> str:
    """Return a message of the command as one of Python's arguments.

    >>> reworded("steps: cannot be swept; use --config.steps=VALUE")
    'steps: cannot be swept; use replace(steps=VALUE)'
    >>> reworded("--runs-per-batch = 0: must be in [1, inf)")
    'runs_per_batch = 0: must be in [1, inf)'
    """
    line = re.sub(
        r"--config\.([\w.]+)=VALUE", lambda found: f"replace({plain(found[1])}=VALUE)", line
    )
    line = re.sub(r"--workdir\b", "folder", line)
    return re.sub(r"--([a-z][\w-]*)", lambda found: found[1].replace("-", "_"), line)
