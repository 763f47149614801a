"""Reading one value of a config: from a Python value or its text, to the declared type and range.

Knows types, ranges and near misses; the table of fields is `plateaus.config.schema`.
"""

from __future__ import annotations

import math
import numbers
import struct
from collections.abc import Iterable
from typing import Any

from plateaus.config.elsewhere import meant
from plateaus.fields import INFINITE, Field
from plateaus.names import nearest

LARGEST_INT = 2**31 - 1  # what JAX's default int32 holds
LARGEST_FLOAT, SMALLEST_FLOAT = 3.4028234e38, 1.1754944e-38  # float32; XLA flushes subnormals
NOUNS = {bool: "true or false", int: "an integer", float: "a number", str: "text"}


def convert(kind: type, field: Field, value: Any) -> Any:
    """Return `value`, a Python value or the text of one, as `kind` and within `field`'s range.

    Raises ValueError, with the allowed values, for a wrong type, range or choice.

    "inf" is the top of a lazy range.

    >>> convert(int, Field(help="optimiser steps", low=1), "1e6")
    1000000
    """
    value = _plain(value)
    real = isinstance(value, numbers.Real | str) and not isinstance(value, numbers.Integral)
    text = str(value).strip().lower() if real else ""
    if kind is int and field.high == INFINITE and text in ("inf", "infinity"):
        return INFINITE
    number = kind in (int, float)
    bounded = number and (field.low is not None or field.high is not None)
    typed = _typed(kind, value)
    if typed is None:
        noun = f"{NOUNS[kind]} in {field.allowed()}" if bounded else NOUNS[kind]
        raise ValueError(f"must be {field.allowed() if field.choices else noun}")
    if field.choices and typed not in field.choices:
        close = nearest(str(typed), field.choices)
        raise ValueError(f"must be {field.allowed()}" + (f"; did you mean {close}?" * bool(close)))
    if not field.contains(typed):
        raise ValueError(f"must be in {field.allowed()}" if bounded else "must be finite")
    if kind is int and abs(typed) > LARGEST_INT:
        raise ValueError(f"must be at most {LARGEST_INT} (int32)")
    if kind is float and typed and not SMALLEST_FLOAT <= abs(typed) <= LARGEST_FLOAT:
        raise ValueError("must be 0 or from 1.2e-38 to 3.4e38 in size (float32)")
    return typed


def _plain(value: Any) -> Any:
    """Return the number that an array without dimensions holds, as one of JAX's; else `value`.

    In 32 bits it becomes the shortest decimal that is rounded to it.
    """
    if isinstance(value, numbers.Number | str) or getattr(value, "shape", None) != ():
        return value
    number = value.item()
    if str(getattr(value, "dtype", "")).endswith("float32") and math.isfinite(number):
        texts = (f"{number:.{digits}g}" for digits in range(1, 10))
        return next(
            float(t) for t in texts if struct.pack("f", float(t)) == struct.pack("f", number)
        )
    return number


def _typed(kind: type, value: Any) -> Any:
    """Return `value` as `kind`, or None where it is not one (NaN and inf stay floats)."""
    if kind is str:
        return value if isinstance(value, str) else None
    if isinstance(value, bool) or kind is bool:
        if isinstance(value, str):
            return {"true": True, "false": False}.get(value.strip().lower())
        return value if isinstance(value, bool) and kind is bool else None
    if not isinstance(value, numbers.Real | str):
        return None
    try:
        if kind is int and isinstance(value, numbers.Integral | str):
            return int(value)  # exact where a float would round
    except ValueError:
        pass  # "1e6" is an integer too
    try:
        number = float(value) + 0.0  # -0.0 becomes 0.0: equal values must look equal
    except (ValueError, OverflowError):
        return None
    if kind is int:
        return int(number) if math.isfinite(number) and number.is_integer() else None
    return number


def shown(value: Any, kind: type = str) -> str:
    """Return `value` as a message shows it: short, on one line, the text of a number unquoted.

    >>> shown("1.5", float), shown("fast", float)
    ('1.5', "'fast'")
    """
    # "3.5" for an integer field was meant as a number too
    typed = None if kind is str else _typed(kind, value)
    if typed is None and kind is int:
        typed = _typed(float, value)
    text = _repr(value if typed is None else typed)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _repr(value: Any) -> str:
    """Return the `repr` of whatever stands in a config file: of some there is none."""
    try:
        return " ".join(repr(value).split()) if not isinstance(value, str) else repr(value)
    except Exception:  # of an integer of more than 4300 digits, say
        return f"<{type(value).__name__}>"


def unknown(name: str, names: Iterable[str]) -> str:
    """Return why `name` is not a field, with the nearest of `names` that is.

    >>> unknown("data.zipf_exponet", ["data.zipf_exponent", "steps"])
    'no such field; did you mean data.zipf_exponent?'
    """
    names = list(names)
    inside = [n for n in names if n.startswith(f"{name}.")]
    if inside:
        return f"a group of fields; set one of {', '.join(inside)}"
    if elsewhere := meant(name, names):
        return f"no such field; {elsewhere}"
    close = nearest(name, names)
    if close:
        return f"no such field; did you mean {close}?"
    group = [n for n in names if n.startswith(name.split(".")[0] + ".")]
    return f"no such field; there are {', '.join(group or names)}"
