"""Seeds and values written as ranges: `0:8`, `1e-4:1e-2:5log`."""

from __future__ import annotations

import re

MOST = 2**20  # seeds of a command, and values of a range
LARGEST = 2**31 - 1
_RANGE = re.compile(r"([^:]+):([^:]+):(\d+)(log)?")


def seeds(text: str) -> tuple[int, ...]:
    """Return the seeds that a text names: `N` 0 to N-1, `A:B` from A to B-1, `A,B,C` exactly those.

    Raises ValueError, whose message says what is allowed.

    >>> seeds("3"), seeds("5:6"), seeds("9,2")
    ((0, 1, 2), (5,), (9, 2))
    """
    comma, colon = "," in text, ":" in text
    try:
        numbers = [int(part) for part in re.split("[,:]", text)]
    except ValueError:
        raise ValueError("must be N, A:B or A,B,C of whole numbers") from None
    if (comma and colon) or (colon and len(numbers) != 2):
        raise ValueError("must be N, A:B or A,B,C of whole numbers")
    low, high = (numbers if colon else (0, numbers[0])) if not comma else (0, len(numbers))
    if min(numbers) < 0 or max(numbers) > LARGEST:
        raise ValueError(f"seeds must be in [0, {LARGEST}]")
    if low >= high:
        raise ValueError("names no seed" if colon else f"must be in [1, {MOST}]")
    if high - low > MOST:
        raise ValueError(f"names {high - low} seeds; at most {MOST}")
    if len(set(numbers)) < len(numbers) and comma:
        raise ValueError("names a seed twice")
    return tuple(numbers) if comma else tuple(range(low, high))


def values(text: str) -> tuple[str, ...]:
    """Return the values that one entry of a sweep stands for, both ends among them.

    `A:B:N` are N even steps, `A:B:Nlog` even in the logarithm, each to 6 digits; any other text
    stands for itself.

    Raises ValueError where the ends are no numbers, or N is less than 2.

    >>> values("1e-4:1e-2:5log"), values("0:1:3"), values("adam")
    (('0.0001', '0.000316228', '0.001', '0.00316228', '0.01'), ('0', '0.5', '1'), ('adam',))
    """
    if not (found := _RANGE.fullmatch(text)):
        return (text,)
    try:
        low, high, count = float(found[1]), float(found[2]), int(found[3])
    except ValueError:
        return (text,)
    if not 2 <= count <= MOST:
        raise ValueError(f"{text}: a range must have from 2 to {MOST} values")
    if found[4] and min(low, high) <= 0:
        raise ValueError(f"{text}: both ends must be above 0, to be even in the logarithm")
    parts = [i / (count - 1) for i in range(count)]
    if found[4]:
        return tuple(f"{low * (high / low) ** part:.6g}" for part in parts)
    return tuple(f"{low + part * (high - low):.6g}" for part in parts)
