"""A contender in a process of its own: a line of JSON in, a line of JSON out; whether it agrees."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]  # where `python -m experiments...` finds the benchmarks
RTOL = 1e-4  # of the losses of the first steps, to ours

Answer = Callable[[dict[str, Any]], None]


class Unavailable(Exception):
    """A contender cannot be asked here; says why in one line."""


class Disagreement(Exception):
    """A contender does not compute what we compute, so its time means nothing."""


def require(*packages: str) -> None:
    """Raise `Unavailable` where a package is not installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise Unavailable(f"{package} is not installed (pip install -e '.[bench]')")


class Process:
    """The process of one contender."""

    def __init__(self, name: str, module: str, *words: str, keep_flags: bool = False) -> None:
        """Start `python -m module words`, without waiting for it.

        Our XLA flags are ours: without `keep_flags` a contender gets one device over all cores, as
        its users do.
        """
        self.name = name
        environment = {k: v for k, v in os.environ.items() if keep_flags or k != "XLA_FLAGS"}
        environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # they share an accelerator
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            cwd=ROOT,
            env=environment,
        )

    def ready(self) -> dict[str, Any]:
        """Return what it says first, once it has compiled; ends it where it raises Unavailable."""
        try:
            return self._answer()
        except Unavailable:
            self.close()
            raise

    def ask(self, what: Any) -> dict[str, Any]:
        """Return its answer; raises `Unavailable`."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the missing answer says it
            self.process.stdin.write(json.dumps(what) + "\n")
            self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "its process has ended"}
        if "error" in answer:
            raise Unavailable(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        with self.process:  # waits, and closes the pipes
            pass


def serve(work: Callable[..., None]) -> None:
    """Do work(*words, answer), the work of such a process, which answers by `answer`."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is not an answer

    def answer(content: dict[str, Any]) -> None:
        print(json.dumps(content), file=out, flush=True)

    try:
        work(*sys.argv[1:], answer)
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}".splitlines()[0]})


def check_agreement(name: str, ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest relative difference of the losses [runs, steps].

    Raises Disagreement if one is off by more than RTOL of ours.

    >>> check_agreement("a peer", np.ones((2, 3)), np.ones((2, 3)))
    0.0
    """
    if ours.shape != theirs.shape:
        raise Disagreement(f"{name}: losses of shape {theirs.shape}, ours {ours.shape}")
    off = np.abs(theirs - ours) / np.abs(ours)
    off = np.where(np.isfinite(theirs), off, np.inf)
    if not (off <= RTOL).all():
        run, step = np.unravel_index(np.argmax(off > RTOL), off.shape)
        raise Disagreement(
            f"{name}: loss {theirs[run, step]:.6g} of run {run} at step {step}, ours "
            f"{ours[run, step]:.6g}: it trains something else, and is not timed"
        )
    return float(off.max())
