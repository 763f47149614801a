"""Values that are only information: a failure to find one is reported and never stops a run."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Unknown(NamedTuple):
    """The reason why a value could not be found, in place of the value."""

    reason: str


def informative(find: Callable[P, T]) -> Callable[P, T | Unknown]:
    """Make a function return `Unknown`, with the reason, where it would raise an exception.

    >>> divided = informative(lambda a, b: a // b)
    >>> divided(1, 1), divided(1, 0)
    (1, Unknown(reason='ZeroDivisionError: integer division or modulo by zero'))
    """

    @functools.wraps(find)
    def attempt(*arguments: P.args, **options: P.kwargs) -> T | Unknown:
        try:
            return find(*arguments, **options)
        except Exception as error:
            return Unknown(failure(error, places=False))

    return attempt


def text_or_reason(find: Callable[[], str]) -> str:
    """Return the text that `find` returns or, where it fails, "not known" and the reason.

    >>> text_or_reason(lambda: {}["name"])
    "not known (KeyError: 'name')"
    """
    text = informative(find)()
    return f"not known ({text.reason})" if isinstance(text, Unknown) else text


def failure(error: BaseException, places: bool = True) -> str:
    """Return an exception on one line: its type, its text's first line, and where it was raised.

    The place is the innermost frame in a file that belongs to no installed package.
    """
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    line = f"{type(error).__name__}: {text}".rstrip(": ")
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "site-packages" not in f.filename and f.filename[0] != "<"]
    if not (places and ours):
        return line
    return f"{line} ({os.path.relpath(ours[-1].filename)}:{ours[-1].lineno})"
