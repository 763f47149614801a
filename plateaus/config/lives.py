"""How long runs are to last, and what is to be kept of them: --budget, --stop-when, --keep."""

from __future__ import annotations

import itertools
import math
import re
from typing import NamedTuple

from plateaus.config import ranges
from plateaus.names import nearest

EVENTS = ("escaped", "completed")  # at which --stop-when ends a run
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+")
_KEPT = "must be state, weights or weights=STEPS, as in weights=100,1000 or weights=100:10000:9log"


class Keep(NamedTuple):
    """What is kept of a run beside its record.

    Fields:
      state: whether all that it takes to go on is kept at the run's end.
      weights: whether weights are kept; at the run's end if there are no `steps`.
      steps: of the weights, each an exact step or, `rounded`, the nearest evaluation.
    """

    state: bool = False
    weights: bool = False
    steps: tuple[int, ...] = ()
    rounded: bool = False


KEEP_NOTHING = Keep()


def duration(text: str) -> float:
    """Return the seconds of a duration, as `8m`, `90s` or `1h30m`.

    Raises ValueError, whose message says what is allowed.

    >>> duration("8m"), duration("1h30m"), duration("0.5m")
    (480.0, 5400.0, 30.0)
    """
    plain = text.strip().lower()
    if not _DURATION.fullmatch(plain):
        raise ValueError("must be a duration, as 90s, 8m or 1h30m")
    parts = re.findall(r"([\d.]+)([smhd])", plain)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not 0 < seconds < float("inf"):
        raise ValueError("must be longer than 0")
    return seconds


def event(text: str) -> str:
    """Return the event of --stop-when that a text names.

    Raises ValueError, whose message says what is allowed.
    """
    if text in EVENTS:
        return text
    close = nearest(text, EVENTS)
    raise ValueError(f"must be {' or '.join(EVENTS)}" + (f"; did you mean {close}?" * bool(close)))


def keep(text: str) -> Keep:
    """Return what a text asks to keep.

    Steps are written as the values of a sweep; where a range is among them, each is the nearest
    evaluation.

    Raises ValueError, whose message says what is allowed.

    >>> keep("state")
    Keep(state=True, weights=False, steps=(), rounded=False)
    >>> keep("weights=100,200").steps, keep("weights=1:1000:4log").steps
    ((100, 200), (1, 10, 100, 1000))
    """
    name, equals, steps = (part.strip() for part in text.partition("="))
    if name == "state" and not equals:
        return Keep(state=True)
    if name != "weights" or (equals and not steps):
        raise ValueError(_KEPT)
    entries = [entry.strip() for entry in steps.split(",")] if steps else []
    texts = list(itertools.chain.from_iterable(map(ranges.values, entries)))
    try:
        numbers = [float(one) for one in texts]
    except ValueError:
        raise ValueError(_KEPT) from None
    rounded = any(":" in entry for entry in entries)
    if not all(0 <= n < math.inf and (rounded or n.is_integer()) for n in numbers):
        raise ValueError("steps must be whole numbers of at least 0")
    return Keep(weights=True, steps=tuple(round(number) for number in numbers), rounded=rounded)


def joined(texts: list[str]) -> Keep:
    """Return what several --keep options ask for together; see `keep`."""
    each = [keep(text) for text in texts]
    if sum(one.weights for one in each) > 1 or sum(one.state for one in each) > 1:
        raise ValueError("given twice for the same; give all steps at once")
    return Keep(
        any(one.state for one in each),
        any(one.weights for one in each),
        *next(((one.steps, one.rounded) for one in each if one.weights), ((), False)),
    )


def evaluations(keep: Keep, steps: int, eval_every: int) -> tuple[int, ...]:
    """Return the steps, evaluations all, at which weights are kept of a run of so many steps.

    Raises ValueError for a step that is given exactly and is no evaluation of the run.

    >>> evaluations(Keep(weights=True), 400, 50)
    (400,)
    >>> evaluations(Keep(weights=True, steps=(1, 30, 400), rounded=True), 400, 50)
    (0, 50, 400)
    """
    if not keep.weights:
        return ()
    wanted: dict[int, None] = {}
    for step in keep.steps or (steps,):
        near = min(eval_every * round(step / eval_every), steps // eval_every * eval_every)
        if near != step and not keep.rounded:
            raise ValueError(
                f"weights are kept at evaluations, every {eval_every} steps up to {steps}: "
                f"{step} is none; the nearest is {near}"
            )
        wanted[near] = None
    return tuple(sorted(wanted))
