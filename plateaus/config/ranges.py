"""Seeds and values written as ranges: `0:8`, `1e-4:1e-2:5log`."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

from plateaus.config.values import LARGEST_INT, convert
from plateaus.fields import Field

MOST_SEEDS = 2**20  # of a command
MOST_VALUES = 10_000  # of a range: as many settings as the checks of a sweep look at
_SEED = Field(help="a seed", low=0, high=LARGEST_INT)
_RANGE = re.compile(r"\s*([^:]+?)\s*:\s*([^:]+?)\s*:\s*(\d+)\s*(log)?\s*")
_COMMA = re.compile(r",(?![^(]*\))")  # not inside parentheses
_CALL = re.compile(r"\s*(?:j?np\.|numpy\.)?(logspace|geomspace|linspace|a?range)\((.*)\)\s*")
_FORMS = f"must be N, A:B or A,B,C of integers in {_SEED.allowed()}"


def seeds(text: str) -> tuple[int, ...]:
    """Return the seeds that a text names: `N` 0 to N-1, `A:B` from A to B-1, `A,B,C` exactly those.

    Raises ValueError, whose message says what is allowed.

    >>> seeds("3"), seeds("5:6"), seeds("9,2")
    ((0, 1, 2), (5,), (9, 2))
    """
    listed, colons = "," in text, text.count(":")
    try:
        numbers = [convert(int, _SEED, part) for part in re.split("[,:]", text)]
    except ValueError:
        raise ValueError(_FORMS) from None
    if colons > 1 or (listed and colons):
        raise ValueError(_FORMS)
    if listed:
        if len(set(numbers)) < len(numbers):
            raise ValueError("names a seed twice")
        return tuple(numbers)
    low, high = numbers if colons else (0, numbers[0])
    if low >= high:
        raise ValueError("names no seed" if colons else f"must be in [1, {MOST_SEEDS}]")
    if high - low > MOST_SEEDS:
        raise ValueError(f"names {high - low} seeds; at most {MOST_SEEDS}")
    return tuple(range(low, high))


def values(text: str) -> tuple[str, ...]:
    """Return the values that one entry of a sweep stands for, both ends among them as written.

    `A:B:N` are N even steps, `A:B:Nlog` even in the logarithm; those between the ends are rounded
    to 6 digits unless they are whole. Any other text stands for itself.

    Raises ValueError for ends that are not finite, or not above 0 in a logarithm, and for N.

    >>> values("1e-4:1e-2:5log"), values("0:1:3"), values("adam")
    (('1e-4', '0.000316228', '0.001', '0.00316228', '1e-2'), ('0', '0.5', '1'), ('adam',))
    >>> values("1:1048576:3log")
    ('1', '1024', '1048576')
    """
    if not (found := _RANGE.fullmatch(text)):
        return (text,)
    first, last, count, log = found[1], found[2], int(found[3]), found[4]
    try:
        low, high = float(first), float(last)
    except ValueError:
        return (text,)
    if not 2 <= count <= MOST_VALUES:
        raise ValueError(f"{text}: a range must have from 2 to {MOST_VALUES} values")
    if not math.isfinite(low) or not math.isfinite(high):
        raise ValueError(f"{text}: both ends must be finite")
    if log and min(low, high) <= 0:
        raise ValueError(f"{text}: both ends must be above 0, to be even in the logarithm")
    parts = [i / (count - 1) for i in range(1, count - 1)]
    inner = [low * (high / low) ** part if log else low + part * (high - low) for part in parts]
    return (first, *map(_short, inner), last)


def listed(text: str) -> tuple[str, ...]:
    """Return the values of a --sweep option: split at commas, ranges written out.

    One pair of brackets around them all is left away, as Python writes a list.

    Raises ValueError for a bad range, see `values`.

    >>> listed("[1e-4, 1e-3]"), listed("0:1:3,5"), listed("")
    (('1e-4', '1e-3'), ('0', '0.5', '1', '5'), ())
    """
    text = text.strip()
    if text[:1] + text[-1:] in ("[]", "()") and not set(text[1:-1]) & set("[]()"):
        text = text[1:-1]
    parts = _COMMA.split(text) if text.strip() else []
    return tuple(itertools.chain.from_iterable(values(part.strip()) for part in parts))


def hint(value: Any) -> str:
    """Return how to write as a range what was meant as one, for the end of a message; else "".

    >>> hint("1e-4:1e-2"), hint("np.logspace(-4, -2, 3)"), hint("fast")
    ('; a range is 1e-4:1e-2:5, or 1e-4:1e-2:5log', '; write 0.0001:0.01:3log', '')
    """
    if not isinstance(value, str):
        return ""
    if call := _CALL.fullmatch(value):
        try:
            low, high, *count = (float(part) for part in call[2].split(","))
            ends = (10**low, 10**high) if call[1] == "logspace" else (low, high)
            number = int(count[0]) if count else 50  # as numpy has it
            log = "" if call[1] == "linspace" else "log"
            if call[1] not in ("range", "arange") and number >= 2:
                return f"; write {ends[0]:g}:{ends[1]:g}:{number}{log}"
        except (ValueError, OverflowError, IndexError):
            pass
        return "; a range is A:B:N, or A:B:Nlog"
    texts = value.split(":")
    if len(texts) == 2 and all(map(_is_number, texts)):
        return f"; a range is {value}:5, or {value}:5log"
    return ""


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _short(value: float) -> str:
    """Return a number as text: whole where it is, but for rounding, else to 6 digits."""
    whole = round(value)
    return str(whole) if math.isclose(value, whole, rel_tol=1e-9) else f"{value:.6g}"
