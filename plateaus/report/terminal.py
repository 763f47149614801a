"""Tables for the terminal: their columns, their numbers, and what is printed under them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from plateaus.report.survival import Interval

WIDTH = 200  # of a file; the table takes what it needs, under 100 for two swept fields


def empty_table(labels: Iterable[str], numbers: Iterable[str], **options: Any) -> Table:
    """Return a table of columns of text, then of numbers, set to the right, without a line yet.

    `options` are those of a column; a text that does not fit is folded by default.
    """
    options = {"overflow": "fold", "vertical": "bottom"} | options
    result = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in labels:
        result.add_column(heading, **options)
    for heading in numbers:
        result.add_column(heading, justify="right", **options)
    return result


def field_heading(name: str) -> str:
    r"""Return a dotted name broken after its section and its words, to leave space for numbers.

    >>> field_heading("data.zipf_exponent")
    'data.\nzipf_\nexponent'
    """
    return name.replace(".", ".\n", 1).replace("_", "_\n")


def short(value: float, form: str) -> str:
    """Return a number in a format; "-" where it is undefined.

    >>> short(0.125, ".2f"), short(math.nan, ".2f")
    ('0.12', '-')
    """
    return "-" if math.isnan(value) else format(value, form)


def bracketed(interval: Interval, form: Callable[[float], str]) -> str:
    """Return an estimate with the ends of its interval, if it has one.

    >>> bracketed(Interval(0.5, 0.25, 1.0), str)
    '0.5 [0.25, 1.0]'
    """
    value, low, high = interval
    missing = math.isnan(low) or math.isnan(high)
    return form(value) if missing else f"{form(value)} [{form(low)}, {form(high)}]"


def ratio_text(ratio: Interval, bound: str = "") -> str:
    """Return a ratio with its interval, in two digits; if it is a bound, so marked, without.

    >>> ratio_text(Interval(0.5, 0.25, 1.0)), ratio_text(Interval(2.1, 1.9, 2.3), ">")
    ('0.50 [0.25, 1.00]', '> 2.10')
    """
    if bound and not math.isnan(ratio.value):
        return f"{bound} {ratio.value:.2f}"
    return bracketed(ratio, lambda value: short(value, ".2f"))


def p_text(p: float) -> str:
    """Return a p-value in two digits.

    >>> p_text(0.0312), p_text(1e-9)
    ('0.031', '<1e-4')
    """
    return "<1e-4" if p < 1e-4 else short(p, ".2g")


def plain(file: TextIO | None = None) -> Console:
    """Return a console without colours, of a fixed width."""
    # rich would otherwise show it itself in a notebook, wherever standard output is sent
    return Console(file=file, width=WIDTH, color_system=None, highlight=False, force_jupyter=False)


def print_table(
    content: Table | None, lines: Iterable[str], console: Console | None = None
) -> None:
    """Print a table, if any, and the lines under it: in colour on a terminal, else plain."""
    if console is None:
        console = Console(highlight=False, force_jupyter=False)
        console = console if console.is_terminal else plain()
    if content is not None:
        console.print(content)
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
