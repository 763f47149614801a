"""What several seeds have in common and how far they are apart, without assuming a law of them.

Losses and shares have ends, and passages differ in time: a mean of them with an interval of
Student's shows levels that no run is at, and leaves the range of the data. Quartiles never do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from plateaus.report.style import Look
from plateaus.report.survival import FEWEST_RUNS

MOST_SPREADS = 6  # settings in a panel: of more, bands would hide the lines


def quartiles(values: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Return the median over runs of [run, ..], and the lower and the upper quartile, [..] each.

    What is not finite is left out; NaN where no run is left.

    >>> [float(part) for part in quartiles(np.array([1.0, 2.0, np.nan, 3.0, 8.0, 9.0]))]
    [3.0, 2.0, 8.0]
    """
    ordered = np.sort(np.where(np.isfinite(values), values, np.nan), axis=0)  # NaN comes last
    runs = np.isfinite(values).sum(axis=0)
    levels = np.full((3, *runs.shape), np.nan)
    for count in np.unique(runs[runs > 0]):  # at once; `nanquantile` goes from column to column
        alike = runs == count
        levels[:, alike] = np.quantile(ordered[:count, alike], (0.25, 0.5, 0.75), axis=0)
    low, middle, high = levels
    return middle, low, high


def median_curve(
    axes: Axes, x: NDArray, values: NDArray, look: Look, *, spread: bool = True, **options: Any
) -> None:
    """Draw the median over runs of [run, x], and with `spread` how far the runs are apart.

    That is the middle half of them as a band or, of fewer than 8 runs, each run as a thin line.
    `options` are those of the line.
    """
    middle, low, high = quartiles(values)
    runs = values[np.isfinite(values).any(axis=1)]
    steps = {"drawstyle": options["drawstyle"]} if "drawstyle" in options else {}
    if spread and len(runs) >= FEWEST_RUNS:
        edge = "pre" if steps.get("drawstyle") == "steps-pre" else None
        axes.fill_between(x, low, high, color=look.color, alpha=0.16, lw=0, step=edge)  # type: ignore[arg-type] # None is allowed
    elif spread and len(runs) > 1:
        axes.plot(x, runs.T, color=look.color, lw=0.5, alpha=0.4, zorder=1.5, **steps)
    axes.plot(x, middle, **look.line | options)


def median_point(
    axes: Axes, at: float, values: NDArray, look: Look, *, sideways: bool = False, **options: Any
) -> None:
    """Draw the median over runs of [run] at a place, over a faint dot for each run.

    Of 8 runs and more a bar spans their middle half. `sideways`: values go to the right, and `at`
    is the height; `options` are those of the median's mark.
    """
    usable = values[np.isfinite(values)]
    if not usable.size:
        return
    middle, low, high = quartiles(usable)

    def draw(along: NDArray | list, across: NDArray | list, **style: Any) -> None:
        x, y = (along, across) if sideways else (across, along)
        axes.plot(x, y, **style)

    dots = {"marker": "o", "ms": 3, "mew": 0, "ls": "", "alpha": 0.4, "zorder": 1.5}
    draw(usable, np.full(usable.size, at), color=look.color, **dots)
    if usable.size >= FEWEST_RUNS:
        draw([low, high], [at, at], color=look.color, lw=1.6)
    draw([middle], [at], color=look.color, ls="", **{"ms": 6, "zorder": 3} | look.mark | options)
