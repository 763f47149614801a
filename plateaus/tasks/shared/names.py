"""The names of the families of a mixture, as a config gives them: one text, with commas."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from plateaus.names import missing


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
        absent = "" if name in registry else missing("family", name, registry)
        if message := absent if fault is None else fault(name):
            yield message
        elif names.count(name) > 1:
            yield f"{name} is named twice"
