"""SIGINT and SIGTERM as requests to save and stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def requests(stop: threading.Event) -> Iterator[list[int]]:
    """Turn SIGINT and SIGTERM into a request to save and stop; a second one kills at once."""
    caught: list[int] = []

    def handle(number: int, frame: Any) -> None:
        if caught:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        caught.append(number)
        stop.set()

    try:
        before = {n: signal.signal(n, handle) for n in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread (a notebook's executor): signals are not ours
        before = {}
    try:
        yield caught
    finally:
        for number, old in before.items():
            signal.signal(number, old)
