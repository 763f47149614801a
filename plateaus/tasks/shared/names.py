"""The names of the families of a mixture, as a config gives them: one text, with commas."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator


def given(text: str) -> tuple[str, ...]:
    """Return the names as they are given, without blanks.

    >>> given("linear, ,relu ")
    ('linear', 'relu')
    """
    return tuple(name.strip() for name in text.split(",") if name.strip())


def known(text: str, registry: Collection[str]) -> tuple[str, ...]:
    """Return the names that there are, each once.

    >>> known("linear,liner,linear", ["linear", "relu"])
    ('linear',)
    """
    return tuple(dict.fromkeys(name for name in given(text) if name in registry))


def problems(
    text: str, registry: Collection[str], fault: Callable[[str], str] | None = None
) -> Iterator[str]:
    """Yield a line for an empty mixture, for a name's fault ("": none) and for a repetition.

    Without a `fault` of their own, names are at fault that are not there.

    >>> list(problems("linear,linear", ["linear"], lambda name: ""))
    ['linear is named twice']
    """
    names = given(text)
    if not names:
        yield f"the mixture is empty; there are {', '.join(registry)}"
    for name in dict.fromkeys(names):
        missing = "" if name in registry else unknown(name, registry)
        if message := missing if fault is None else fault(name):
            yield message
        elif names.count(name) > 1:
            yield f"{name} is named twice"


def unknown(name: str, registry: Collection[str]) -> str:
    """Return the line for a name that is not there.

    >>> unknown("liner", ["linear", "relu"])
    "no family 'liner'; the nearest is 'linear'"
    """
    near = difflib.get_close_matches(name, registry, 1, 0.0)[0]
    return f"no family {name!r}; the nearest is {near!r}"
