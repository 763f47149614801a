"""Texts and ticks that fit: names broken into lines of a width, steps on a logarithmic axis."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    Locator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

SIZE = 8.0  # points, of ticks, legends and names
MOST = 96  # letters of a name; of a longer one the middle is left out
_TEXTS = TextToPath()
_PIECES = re.compile(r"[^\s_./=,:+-]*[\s_./=,:+-]+|[^\s_./=,:+-]+")  # a line may end after each


@functools.lru_cache(maxsize=4096)
def width(text: str, size: float = SIZE) -> float:
    """Return how wide a text is, in inches, at a size in points."""
    font = FontProperties(family="DejaVu Sans", size=size)
    return float(_TEXTS.get_text_width_height_descent(text, font, False)[0]) / 72


def lines(text: str, inches: float, size: float = SIZE) -> str:
    """Return a text in lines of at most so many inches, broken between its words if it can be.

    >>> lines("sparse_parity_2 + conjunction", 1.2)
    'sparse_parity_2 +\\nconjunction'
    """
    done: list[str] = []
    for part in text.split("\n"):
        line = ""
        for piece in _PIECES.findall(part):
            if line and width((line + piece).rstrip(), size) > inches:
                done.append(line.rstrip())
                line = ""
            line += piece
            while len(line) > 1 and width(line.rstrip(), size) > inches:
                most = next(n for n in range(len(line) - 1, 0, -1) if _fits(line[:n], inches, size))
                done.append(line[:most])
                line = line[most:]
        done.append(line.rstrip())
    return "\n".join(done)


def _fits(text: str, inches: float, size: float) -> bool:
    return len(text) == 1 or width(text, size) <= inches


def distinct(names: Sequence[str], most: int = MOST) -> list[str]:
    """Return names of at most about so many letters, the parts kept in which they differ.

    What all begin with is left out first, then the middle; names that would be alike stay whole.

    >>> distinct(["a_long_beginning_of_x", "a_long_beginning_of_y"], most=12)
    ['\N{HORIZONTAL ELLIPSIS}x', '\N{HORIZONTAL ELLIPSIS}y']
    """
    if max(map(len, names), default=0) <= most:
        return list(names)
    alike = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    shared = "".join(letters[0] for letters in alike) if len(names) > 1 else ""
    cut = max((shared.rfind(sign) + 1 for sign in " _./=,:+-"), default=0)
    short = ["…" * (cut > 0) + name[cut:] for name in names]
    half = most // 2
    short = [n if len(n) <= most else f"{n[:half]}…{n[-half:]}" for n in short]
    return short if len(set(short)) == len(set(names)) else list(names)


def count(value: float) -> str:
    """Return a number of steps, short where that loses nothing.

    >>> count(500), count(2000), count(12500), count(3e6)
    ('500', '2k', '12.5k', '3M')
    """
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.4g}{name}"
    return f"{value:.4g}"


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers between two, evenly on a logarithmic axis, at most so many if possible.

    >>> ticks(90, 21_000), ticks(0.4, 2.1)
    ([100.0, 300.0, 1000.0, 3000.0, 10000.0], [0.5, 0.7, 1.0, 1.5, 2.0])
    >>> ticks(0.95, 1.01)
    [0.96, 0.98, 1.0]
    """
    if high < 1.5 * low:  # where a logarithmic axis is as good as even
        even = MaxNLocator(max(1, most - 1), steps=[1, 2, 5, 10]).tick_values(low, high)
        return [float(f"{tick:.6g}") for tick in even if low <= tick <= high]
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    found: list[float] = []
    patterns = ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
    for every in (1, 2, 3, 5, 10):
        for pattern in patterns if every == 1 else ((1,),):
            found = [
                float(f"{part * 10.0**decade:.6g}")
                for decade in range(first - 1, last + 1)
                if decade % every == 0
                for part in pattern
            ]
            found = [tick for tick in found if low * 0.999 <= tick <= high * 1.001]
            if len(found) <= most:
                return found if len(found) > 1 else [float(f"{x:.2g}") for x in (low, high)]
    return found


def log_steps(axes: Axes, low: float, high: float, most: int = 6) -> list[float]:
    """Make the horizontal axis one of optimiser steps, logarithmic; return its ticks."""
    axes.set_xlim(low, high)  # first: the scale would look for numbers above zero, and find none
    axes.set_xscale("log")
    marks = [tick for tick in ticks(low, high, most) if low * 0.999 <= tick <= high * 1.001]
    plain_ticks(axes, marks, [count(mark) for mark in marks])
    axes.set_xlabel("optimiser steps")
    return marks


def plain_ticks(axes: Axes, marks: Sequence[float], labels: Sequence[str]) -> None:
    """Set the ticks of the horizontal, logarithmic axis, and unlabelled ones between."""
    axes.xaxis.set_major_locator(FixedLocator(list(marks)))
    axes.xaxis.set_major_formatter(FixedFormatter(list(labels)))
    between(axes.xaxis)


def between(axis: Axis) -> None:
    """Give a logarithmic axis unlabelled ticks between decades."""
    axis.set_minor_locator(LogLocator(subs=range(2, 10)))
    axis.set_minor_formatter(NullFormatter())


class RoundTicks(Locator):
    """Few round numbers on a logarithmic axis, whatever its limits become."""

    def __call__(self) -> list[float]:
        """Return them between the limits of the axis."""
        assert self.axis is not None  # matplotlib sets it
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """Return them between two numbers."""
        low, high = sorted((float(vmin), float(vmax)))
        return ticks(low, high, most=5) if 0 < low < high else []
