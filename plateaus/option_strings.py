"""Options that are short texts: names, numbers, shares, breakpoints; each way of reading them once.

What cannot be read is refused in one kind of message: the part that is wrong, unless that is the
whole text, and what it must be.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from plateaus.names import missing


def parts(text: str, separator: str = ",") -> tuple[str, ...]:
    """Return the parts of a text, without blanks around them and without empty ones.

    >>> parts("linear, ,relu ")
    ('linear', 'relu')
    """
    return tuple(part for part in map(str.strip, text.split(separator)) if part)


def known_names(text: str, names: Collection[str]) -> tuple[str, ...]:
    """Return the parts of a text that are among `names`, each once.

    >>> known_names("linear,liner,linear", ["linear", "relu"])
    ('linear',)
    """
    return tuple(dict.fromkeys(name for name in parts(text) if name in names))


def name_problems(
    text: str,
    names: Collection[str],
    fault: Callable[[str], str] | None = None,
    kind: str = "family",
) -> Iterator[str]:
    """Yield a line for a text without names, for a name's fault ("": none) and for a repetition.

    Without a `fault` of their own, names are at fault that are not among `names`.

    >>> list(name_problems("linear,relu,linear", ["linear", "relu"]))
    ["'linear': given twice"]
    """
    entries = parts(text)
    if not entries:
        yield f"must name at least one {kind} (known: {', '.join(names)})"
    for name in dict.fromkeys(entries):
        absent = "" if name in names else missing(kind, name, names)
        if message := absent if fault is None else fault(name):
            yield message
        elif entries.count(name) > 1:
            yield _problem(text, name, "given twice")


def whole_numbers(text: str) -> tuple[int, ...]:
    """Return the whole numbers of a text.

    Raises ValueError for a part that is none, and for one that is given twice.

    >>> whole_numbers("3, 4")
    (3, 4)
    """
    entries = text.split(",")
    for part in map(str.strip, entries):
        if not (part.isascii() and part.isdigit()):
            raise ValueError(_problem(text, part, "must be a whole number, or several with commas"))
    numbers = tuple(map(int, entries))
    _refuse_repetition(text, numbers)
    return numbers


def shares(text: str, count: int) -> dict[str, tuple[float, ...]]:
    """Return mixtures, each by how it is written: the parts of `count` tasks, in proportion.

    Raises ValueError for a part that is no mixture of so many tasks, and for a mixture given twice.

    >>> shares("1:3 2:2", 2)
    {'1:3': (1.0, 3.0), '2:2': (2.0, 2.0)}
    """
    labels = re.findall(r"[^\s,]+", text)
    mixtures = {}
    for label in labels or [text]:
        try:
            mixture = tuple(float(part) for part in label.split(":"))
        except ValueError:
            raise ValueError(_problem(text, label, "must be numbers with colons, as 1:9")) from None
        if len(mixture) != count:
            raise ValueError(_problem(text, label, f"must be {count} shares, one for each task"))
        if not all(0 <= part < math.inf for part in mixture) or not sum(mixture):
            raise ValueError(_problem(text, label, "must be finite, at least 0, and not all 0"))
        mixtures[label] = mixture
    _refuse_repetition(text, labels)
    return mixtures


def breakpoints(text: str, groups: Sequence[str]) -> tuple[NDArray, NDArray]:
    """Return the steps [P] from which the weights [P, G] hold; a group not named has weight 0.

    Raises ValueError for what cannot be read, an unknown group, a weight that is negative or not
    finite, a row that draws nothing, a first step that is not 0, and steps that do not increase.

    >>> steps, weights = breakpoints("0: linear=1; 1000: linear=1, relu=0.5", ("linear", "relu"))
    >>> steps.tolist(), weights.tolist()
    ([0, 1000], [[1.0, 0.0], [1.0, 0.5]])
    """
    steps, rows = [], []
    for part in parts(text, ";"):
        head, colon, tail = part.partition(":")
        if not colon or not head.strip().isdecimal():
            raise ValueError(_problem(text, part, "must read STEP: group=weight, group=weight"))
        row = [0.0] * len(groups)
        for pair in parts(tail):
            name, _, value = (word.strip() for word in pair.partition("="))
            if name not in groups:
                raise ValueError(missing("task", name, groups))
            try:
                weight = float(value)
            except ValueError:
                raise ValueError(_problem(text, pair, "must read group=weight")) from None
            if not 0 <= weight < math.inf:
                raise ValueError(_problem(text, pair, "must have a weight in [0, inf)"))
            row[list(groups).index(name)] = weight
        if not any(row):
            raise ValueError(_problem(text, part, "must have a weight above 0"))
        steps.append(int(head))
        rows.append(row)
    if not steps or steps[0] != 0:
        raise ValueError("must have its first breakpoint at step 0")
    for before, later in itertools.pairwise(steps):
        if later <= before:
            raise ValueError(_problem(text, later, f"must be a later step than {before}"))
    return np.asarray(steps, np.int32), np.asarray(rows, np.float32)


def _problem(text: str, part: object, what: str) -> str:
    return what if str(part) == text.strip() else f"{part!r}: {what}"


def _refuse_repetition(text: str, values: Iterable[object]) -> None:
    seen: set[object] = set()
    for part in values:
        if part in seen:
            raise ValueError(_problem(text, part, "given twice"))
        seen.add(part)
