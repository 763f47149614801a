"""Counting what JAX compiles, and how long that takes."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator

import jax

_REQUEST = "/jax/core/compile/backend_compile_duration"
_HIT = "/jax/compilation_cache/cache_hits"
_EVENTS: Counter[str] = Counter()
_listening = False


def _listen() -> None:
    global _listening
    if not _listening:
        jax.monitoring.register_event_listener(lambda event, **_: _EVENTS.update([event]))
        jax.monitoring.register_event_duration_secs_listener(
            lambda event, duration_secs, **_: _EVENTS.update([event])
        )
    _listening = True


@contextlib.contextmanager
def counted() -> Iterator[dict[str, float]]:
    """Fill a dict, when the block ends, with what happened in it.

    `requests`: programs that no jit had at hand; `cached`: those of them read from the disk;
    `compiled`: those that were compiled; `seconds`: of the whole block.
    """
    _listen()
    before, began = Counter(_EVENTS), time.perf_counter()
    found: dict[str, float] = {}
    yield found
    requests, hits = (_EVENTS[name] - before[name] for name in (_REQUEST, _HIT))
    found.update(
        requests=requests,
        cached=hits,
        compiled=requests - hits,
        seconds=time.perf_counter() - began,
    )
