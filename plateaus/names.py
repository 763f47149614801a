"""A name that is not there: the one that was meant, and those that there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name most like `name`, as a whole or in its last dotted part, if any is close.

    >>> nearest("exponent", ["data.zipf_exponent", "data.subset"])
    'data.zipf_exponent'
    """

    def likeness(other: str) -> float:
        last, other_last = name.split(".")[-1].lower(), other.split(".")[-1].lower()
        whole = difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio()
        part = 0.7 if len(last) > 3 and last in other_last else 0.0
        return max(whole, part, 0.95 * difflib.SequenceMatcher(None, last, other_last).ratio())

    best = max(names, key=likeness, default=None)
    return best if best is not None and likeness(best) >= 0.6 else None


def hint(name: str, names: Iterable[str]) -> str:
    """Return how a message about a name that is not among `names` ends.

    >>> hint("liner", ["linear", "relu"]), hint("zzz", ["linear", "relu"])
    ('; did you mean linear? (known: linear, relu)', ' (known: linear, relu)')
    """
    names = list(names)
    close = nearest(name, names)
    return (f"; did you mean {close}?" if close else "") + f" (known: {', '.join(names)})"


def missing(kind: str, name: str, names: Iterable[str]) -> str:
    """Return the message for a name that is not among `names`.

    >>> missing("family", "liner", ["linear", "relu"])
    "no family 'liner'; did you mean linear? (known: linear, relu)"
    """
    return f"no {kind} {name!r}{hint(name, names)}"
