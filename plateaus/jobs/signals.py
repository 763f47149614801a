"""SIGINT, SIGTERM and SIGHUP as requests to save and stop."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

SAME = 1.0  # seconds


def _numbers() -> list[signal.Signals]:
    """Return the signals that are requests: of a terminal that closes too, but under nohup."""
    closes = getattr(signal, "SIGHUP", None)  # not on Windows
    if closes is None or signal.getsignal(closes) is signal.SIG_IGN:
        return [signal.SIGINT, signal.SIGTERM]
    return [signal.SIGINT, signal.SIGTERM, closes]


@contextlib.contextmanager
def requests(stop: threading.Event) -> Iterator[list[int]]:
    """Turn SIGINT, SIGTERM and SIGHUP into a request to save and stop; a later one kills at once.

    A signal at most `SAME` seconds after the first counts as the same request: a terminal or a
    scheduler signals a process and its group, and both arrive.
    """
    caught: list[int] = []
    first = 0.0

    def handle(number: int, frame: Any) -> None:
        nonlocal first
        if caught:
            if time.monotonic() - first <= SAME:
                return
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        first = time.monotonic()
        caught.append(number)
        stop.set()

    try:
        before = {n: signal.signal(n, handle) for n in _numbers()}
    except ValueError:  # not the main thread (a notebook's executor): signals are not ours
        before = {}
    try:
        yield caught
    finally:
        for number, old in before.items():
            signal.signal(number, old)
