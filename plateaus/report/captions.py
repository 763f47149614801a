"""The caption of a figure: what is drawn, from the docstring of its function, and of which runs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from plateaus.report.cells import swept_values
from plateaus.report.statistics import Row
from plateaus.report.table import value_text

# Sections of a docstring, and sentences about what a caller gets, which a reader does not need.
_SECTION = re.compile(r"\n\s*\n(Args|Raises|Returns|Example|>>>).*", re.DOTALL)
_FOR_CALLERS = re.compile(r"(None (where|unless|without|of)|.*; None without)\b")


def described(draw: Callable[..., Any]) -> str:
    """Return what a figure shows and what its marks mean, as its function says.

    >>> def any(dataset, rows):
    ...     '''Return the norm of each layer, where recorded.
    ...
    ...     None where there is none. Bands: 95%.
    ...     '''
    >>> described(any)
    'The norm of each layer, where recorded. Bands: 95%.'
    """
    text = _SECTION.sub("", inspect.getdoc(draw) or "").removeprefix("Return ")
    sentences = re.split(r"(?<=\.)\s+(?=[A-Z(])", " ".join(text.split()))
    kept = [one for one in sentences if not _FOR_CALLERS.match(one)]
    return (joined := " ".join(kept))[:1].upper() + joined[1:]


def caption(
    draw: Callable[..., Any], dataset: xr.Dataset, rows: Sequence[Row], commits: Sequence[str]
) -> str:
    """Return the caption of a figure of these results, as Markdown.

    Args:
      draw: the function that draws it.
      dataset, rows: what it is drawn of.
      commits: of the code that made the runs, where known.
    """
    facts = {
        "Runs": _runs(dataset, rows),
        "Settings": _settings(dataset),
        "Marks": MARKS if len(rows) > 1 else "",
        "Device": ", ".join(_devices(dataset)),
        "Commit": ", ".join(commits),
    }
    lines = [f"- {name}: {fact}" for name, fact in facts.items() if fact]
    title = str(dataset.attrs.get("title", ""))
    return "\n\n".join(filter(None, (described(draw), title and f"*{title}*", "\n".join(lines))))


MARKS = (
    "where lines are settings, the baseline is heavy, and black among categories; values that have "
    "an order go from dark to light in it; a panel's range is mostly that of the medians, so that "
    "a line of a seed may leave it"
)


def _runs(dataset: xr.Dataset, rows: Sequence[Row]) -> str:
    """Return how many runs there are, of how many seeds, how far, and how many are incomplete."""
    seeds = dataset["seed"].values.tolist()
    counts = {
        "diverged": sum(row.diverged for row in rows),
        "unfinished": sum(row.unfinished for row in rows),
        "stopped at their event": sum(row.stopped for row in rows),
    }
    each = sorted({row.runs for row in rows})
    several = f"{each[0]} to {each[-1]}" if len(each) > 1 else f"{each[0]}" if each else "0"
    text = f"{sum(row.runs for row in rows)}, n = {several} seeds a setting ({spans(seeds)})"
    text += f", {dataset.attrs['horizon']:,} steps each"
    return text + "".join(f", {count} {name}" for name, count in counts.items() if count)


def spans(numbers: Sequence[int]) -> str:
    """Return whole numbers in their order, neighbours as a span.

    >>> spans([0, 1, 2, 5, 1000, 1001])
    '0 to 2, 5, 1000 to 1001'
    """
    ordered = np.array(sorted(numbers))
    groups = np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1)
    texts = [f"{g[0]} to {g[-1]}" if g.size > 1 else f"{g[0]}" for g in groups if g.size]
    return ", ".join(texts)


def _settings(dataset: xr.Dataset) -> str:
    """Return the swept fields with their values."""
    return "; ".join(
        f"{name} = {', '.join(map(value_text, values))}"
        for name, values in swept_values(dataset).items()
    )


def _devices(dataset: xr.Dataset) -> list[str]:
    """Return the names of the devices that runs were made on."""
    if "device" not in dataset:
        return []
    names = str(dataset["device"].attrs.get("flag_meanings", "")).split()
    used = sorted({int(flag) for flag in dataset["device"].values.ravel() if flag > 0})
    return [names[flag].replace("_", " ") for flag in used if flag < len(names)]
