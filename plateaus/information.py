"""What is only information can never stop a run: it is known, or it is not, and then why."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Unknown(NamedTuple):
    """Stands for a value that could not be found out, and says why."""

    reason: str


def informative(find: Callable[P, T]) -> Callable[P, T | Unknown]:
    """Make a function return why it failed, where it fails.

    >>> divided = informative(lambda a, b: a // b)
    >>> divided(1, 1), divided(1, 0)
    (1, Unknown(reason='ZeroDivisionError: integer division or modulo by zero'))
    """

    @functools.wraps(find)
    def known(*arguments: P.args, **options: P.kwargs) -> T | Unknown:
        try:
            return find(*arguments, **options)
        except Exception as error:
            return Unknown(failure(error, places=False))

    return known


def told(find: Callable[[], str]) -> str:
    """Return the text that `find` returns, or that it is not known, and why.

    >>> told(lambda: {}["name"])
    "not known (KeyError: 'name')"
    """
    text = informative(find)()
    return f"not known ({text.reason})" if isinstance(text, Unknown) else text


def failure(error: BaseException, places: bool = True) -> str:
    """Return an exception on one line: its type, its text's first line, and where it was raised.

    The place is the innermost in a file that is not of an installed package.
    """
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    line = f"{type(error).__name__}: {text}".rstrip(": ")
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "site-packages" not in f.filename and f.filename[0] != "<"]
    if not (places and ours):
        return line
    return f"{line} ({os.path.relpath(ours[-1].filename)}:{ours[-1].lineno})"
