"""Curves as one line of text each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCKS, PLAIN = "▁▂▃▄▅▆▇█", "_.-:=+*#"
_LEAST = 10  # characters of a curve, however narrow the terminal


class Curves(NamedTuple):
    """The test losses of a job so far.

    Fields:
      title: name of the config, and the claim of the preset.
      every, steps, seeds: steps between evaluations, steps and seeds of a run.
      losses: setting, as text -> the losses of each of its runs so far, one an evaluation.
    """

    title: str
    every: int
    steps: int
    seeds: int
    losses: dict[str, list[Any]]


def drawn(curves: Curves, width: int, encoding: str = "utf-8") -> list[str]:
    """Return lines: what is shown, then each setting, its runs so far, its curve and last loss."""
    marks = BLOCKS if _writes(encoding, BLOCKS) else PLAIN
    lines = [curves.title]
    if not curves.losses:
        return [*lines, "no run has come to its first checkpoint yet"]
    medians = {name: median(runs) for name, runs in curves.losses.items()}
    heights = np.concatenate(list(medians.values()))
    heights = heights[np.isfinite(heights) & (heights > 0)]
    low, high = (float(heights.min()), float(heights.max())) if heights.size else (1.0, 1.0)
    lines.append(
        f"median test loss, {marks[-1]} {high:.2g} to {marks[0]} {low:.2g} in logarithm; "
        f"across: steps 0 to {curves.steps}"
    )
    longest = max(map(len, curves.losses))
    counts = {n: f"{len(runs)}/{curves.seeds} runs" for n, runs in curves.losses.items()}
    steps = {n: f"step {curves.every * (_end(runs) - 1)}" for n, runs in curves.losses.items()}
    count, step = (max(map(len, texts.values())) for texts in (counts, steps))
    room = max(_LEAST, width - longest - count - step - 16)
    places = curves.steps // curves.every + 1
    for name, values in medians.items():
        head = f"{name:<{longest}}  {counts[name]:>{count}}  {steps[name]:<{step}}"
        line = sparkline(values, places, room, low, high, marks)
        lines.append(f"{head}  {line:<{room}}  {values[-1]:.3g}")
    return lines


def median(runs: Sequence[NDArray]) -> NDArray:
    """Return the median of runs of several lengths, at each evaluation that one of them has.

    A run that diverged counts as infinitely high.

    >>> median([np.array([1.0, 3.0]), np.array([3.0])]).tolist()
    [2.0, 3.0]
    """
    table = np.full((len(runs), _end(runs)), np.nan)
    for row, run in zip(table, runs, strict=True):
        row[: len(run)] = np.where(np.isnan(run), np.inf, run)
    return np.array([np.median(column[~np.isnan(column)]) for column in table.T])


def sparkline(
    values: NDArray, places: int, width: int, low: float, high: float, marks: str = BLOCKS
) -> str:
    """Return values as text of at most `width` characters, of which `places` values fill all.

    Heights are even in the logarithm from `low` to `high`; a cell shows its last value.

    >>> sparkline(np.array([1.0, 0.1, 0.01]), 3, 3, 0.01, 1.0), sparkline(np.ones(1), 4, 2, 1, 1)
    ('█▅▁', '█')
    """
    cells = min(width, places)
    span = math.log(high / low) if high > low else 0.0
    text = ""
    for i in range(cells):
        start, end = i * places // cells, (i + 1) * places // cells
        if not len(inside := values[start:end]):
            break
        share = math.log(min(max(inside[-1], low), high) / low) / span if span else 1.0
        text += marks[min(len(marks) - 1, round(share * (len(marks) - 1)))]
    return text


def _end(runs: Sequence[NDArray]) -> int:
    return max(map(len, runs))


def _writes(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
