"""A schedule of weights by breakpoints, as text: "0: linear=1; 1000: linear=1, relu=0.5"."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from plateaus.names import missing


def breakpoints(text: str, groups: Sequence[str]) -> tuple[NDArray, NDArray]:
    """Return the steps [P] from which the weights [P, G] hold; a group not named has weight 0.

    Raises ValueError, in one line, for what cannot be read, an unknown group (with the nearest),
    a weight that is negative or not finite, a row that draws nothing, a first step that is not 0,
    and steps that do not increase.

    >>> steps, weights = breakpoints("0: linear=1; 1000: linear=1, relu=0.5", ("linear", "relu"))
    >>> steps.tolist(), weights.tolist()
    ([0, 1000], [[1.0, 0.0], [1.0, 0.5]])
    """
    steps, rows = [], []
    for part in filter(None, map(str.strip, text.split(";"))):
        head, colon, tail = part.partition(":")
        if not colon or not head.strip().isdecimal():
            raise ValueError(f"{part!r}: must read STEP: group=weight, group=weight")
        row = [0.0] * len(groups)
        for pair in filter(None, map(str.strip, tail.split(","))):
            name, _, value = (word.strip() for word in pair.partition("="))
            row[_place(name, groups)] = _weight(pair, value)
        if not any(row):
            raise ValueError(f"{part!r}: nothing is drawn from there on")
        steps.append(int(head))
        rows.append(row)
    if not steps or steps[0] != 0:
        raise ValueError("the first breakpoint must be at step 0")
    if any(later <= before for before, later in itertools.pairwise(steps)):
        raise ValueError(f"breakpoints must increase: {', '.join(map(str, steps))}")
    return np.asarray(steps, np.int32), np.asarray(rows, np.float32)


def _place(name: str, groups: Sequence[str]) -> int:
    if name not in groups:
        raise ValueError(missing("task", name, groups))
    return list(groups).index(name)


def _weight(pair: str, value: str) -> float:
    try:
        weight = float(value)
    except ValueError:
        raise ValueError(f"{pair!r}: must read group=weight") from None
    if not math.isfinite(weight) or weight < 0:
        raise ValueError(f"{pair!r}: a weight must be at least 0")
    return weight
