"""Tables for the terminal: their columns, their numbers, and what is printed under them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from plateaus.report.survival import Interval

WIDTH = 200  # of a file; a table takes what it needs, at most `WIDEST` where that is possible
WIDEST = 100  # letters
MOST_COLUMNS = 8  # of a table
_PIECES = re.compile(r"[^\s_.,+=-]*[\s_.,+=-]+|[^\s_.,+=-]+")  # a line may end after each


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


def setting_headings(names: Sequence[str], most: int) -> list[str]:
    r"""Return the headings of the swept fields: a column each, or one for all of more than `most`.

    >>> setting_headings(["data.subset", "optim.beta1"], 1)
    ['data.\nsubset,\noptim.\nbeta1']
    """
    headings = [*map(field_heading, names)]
    return headings if len(names) <= most else [",\n".join(headings)]


def setting_cells(values: Sequence[str], most: int) -> list[str]:
    """Return the swept values of a line, as they stand under `setting_headings`.

    >>> setting_cells(["0.1", "0.9"], 1)
    ['0.1, 0.9']
    """
    return [*values] if len(values) <= most else [", ".join(values)]


def folded(text: str, most: int) -> str:
    r"""Return a text in lines of at most so many letters, broken after its words where it can be.

    >>> folded("sparse_parity_2 + conjunction", 18)
    'sparse_parity_2 +\nconjunction'
    """
    done, line = [], ""
    for piece in _PIECES.findall(text):
        if line and len((line + piece).rstrip()) > most:
            done.append(line.rstrip())
            line = ""
        line += piece
    return "\n".join([*done, line.rstrip()])


def fitted(build: Callable[[int], Table]) -> Table:
    """Return a table whose texts are folded only as far as it needs to be `WIDEST` at most.

    `build` makes it with texts of at most so many letters a line.
    """
    for most in (*range(WIDEST, 20, -4), *range(20, 8, -2)):
        result = build(most)
        if plain().measure(result).maximum <= WIDEST:
            break
    return result


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

    From 10 on with fewer digits behind the point, as there are more before it.

    >>> ratio_text(Interval(0.5, 0.25, 1.0)), ratio_text(Interval(2.1, 1.9, 2.3), ">")
    ('0.50 [0.25, 1.00]', '> 2.10')
    >>> ratio_text(Interval(23.456, 9.5, 123.4))
    '23.5 [9.50, 123]'
    """

    def form(value: float) -> str:
        return short(value, ".2f" if value < 9.995 else ".1f" if value < 99.95 else ".0f")

    if bound and not math.isnan(ratio.value):
        return f"{bound} {form(ratio.value)}"
    return bracketed(ratio, form)


def p_text(p: float) -> str:
    """Return a p-value in two digits.

    >>> p_text(0.0312), p_text(1e-9)
    ('0.031', '<1e-4')
    """
    return "<1e-4" if p < 1e-4 else short(p, ".2g")


def plain(file: TextIO | None = None) -> Console:
    """Return a console without colours, of a fixed width."""
    options: dict[str, Any] = {"color_system": None, "highlight": False, "force_jupyter": False}
    return Console(file=file, width=WIDTH, **options)


def print_table(
    content: Table | None, lines: Iterable[str], console: Console | None = None
) -> None:
    """Print a table, if any, and the lines under it: in colour on a terminal, else plain.

    Plain text has no spaces at the ends of its lines, and no empty line under a table.
    """
    if console is None:
        console = Console(highlight=False, force_jupyter=False)  # where output is text, too
        console = console if console.is_terminal else plain()
    if content is not None and console.is_terminal:
        console.print(content)
    elif content is not None:
        with console.capture() as printed:
            console.print(content)
        told = [line.rstrip() for line in printed.get().splitlines()]
        console.print("\n".join(told).rstrip(), markup=False, soft_wrap=True)
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
