"""A process's resident memory (MiB), and its peak since a moment of our choice."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
from pathlib import Path

STATUS, REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def begin() -> float:
    """Forget the peak so far; return what is resident now, or NaN where the system does not say.

    What a compiler has freed goes back to the system first: reused, it would hide what follows.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        REFERENCES.write_text("5", encoding="utf-8")  # Linux: the peak becomes what is resident
    except OSError:
        return math.nan
    return _field("VmRSS")


def peak() -> float:
    """Return the peak since `begin`, in all; NaN where the system does not say."""
    return _field("VmHWM")


def _field(name: str) -> float:
    try:
        lines = STATUS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return math.nan
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024
