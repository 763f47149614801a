"""Peers: other ways to train the same runs, each in a process of its own with its usual settings.

Run as a script this file is such a process: a line of JSON in, a line of JSON out.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

RTOL = 1e-4  # of the losses of the first steps, to ours


class Kind(NamedTuple):
    """A peer: where it is, what it needs, and how long a slice of its work is."""

    module: str
    package: str
    title: str
    alone: bool  # one run at a time, or all of them at once
    steps: int  # of a timed slice
    aim: float | None  # how many times our time it should take at least


KINDS = {
    "torch_eager": Kind(
        "torch_peers", "torch", "PyTorch, eager loop, run after run", True, 2000, 50
    ),
    "torch_func": Kind("torch_peers", "torch", "torch.func vmap, all runs", False, 300, 4),
    "torch_func_compiled": Kind(
        "torch_peers", "torch", "the same under torch.compile", False, 300, 4
    ),
    "jax_step": Kind("jax_peers", "jax", "jitted JAX step in a loop, run after run", True, 8000, 8),
    "jax_vmap_step": Kind(
        "jax_peers", "jax", "jitted vmapped JAX step, all runs", False, 1000, None
    ),
}


class Unavailable(Exception):
    """A peer cannot be asked here; says why in one line."""


class Disagreement(Exception):
    """A peer does not compute what we compute, so its time means nothing."""


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


class Peer:
    """A peer's process."""

    def __init__(self, name: str, problem: Path) -> None:
        """Start it on a problem saved by `save`; raises Unavailable."""
        self.name = name
        if importlib.util.find_spec(KINDS[name].package) is None:
            raise Unavailable(f"{KINDS[name].package} is not installed (pip install -e '.[bench]')")
        # Our XLA flags are ours: a peer gets one device over all cores, as its users do.
        environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, name, str(problem)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        try:
            self._answer()
        except Unavailable:
            self.close()
            raise

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "its process has ended"}
        if "error" in answer:
            raise Unavailable(answer["error"])
        return answer

    def train(self, runs: int, steps: int) -> dict[str, Any]:
        """Return its "losses" [runs, steps], and the "wall" and "cpu" seconds that they took."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the missing answer says it
            self.process.stdin.write(json.dumps([runs, steps]) + "\n")
            self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        with self.process:  # waits, and closes the pipes
            pass


@contextlib.contextmanager
def started(
    names: list[str], problem: Any, skipped: Callable[[str, str], None]
) -> Iterator[dict[str, tuple[Peer, float]]]:
    """Start peers, and keep those that agree, each with its largest relative difference.

    `problem` is an `problem.Problem`; `skipped` is told of every other peer's name and the reason.
    """
    runs, steps = problem.losses.shape
    agreed: dict[str, tuple[Peer, float]] = {}
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "problem.npz"
        params = {f"params/{name}": value for name, value in problem.params.items()}
        rest = problem._asdict() | params
        del rest["params"]
        np.savez(place, **rest)
        for name in names:
            try:
                peer = Peer(name, place)
                stack.callback(peer.close)
                theirs = np.asarray(peer.train(runs, steps)["losses"])
                agreed[name] = (peer, check_agreement(name, problem.losses, theirs))
            except (Unavailable, Disagreement) as reason:
                skipped(name, str(reason))
        yield agreed


def _serve(name: str, place: str, answer: Callable[[dict[str, Any]], None]) -> None:
    """Answer requests until there are none."""
    arrays = dict(np.load(place))
    params = {k.removeprefix("params/"): v for k, v in arrays.items() if k.startswith("params/")}
    rate = float(arrays["learning_rate"])
    make = importlib.import_module(KINDS[name].module).PEERS[name]
    train = make(params, arrays["inputs"], arrays["targets"], rate)
    answer({"ready": True})
    for line in sys.stdin:
        runs, steps = json.loads(line)
        wall, cpu = time.perf_counter(), time.process_time()
        losses = train(runs, steps)
        took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        # The losses of a timed slice are many, and nobody reads them.
        answer({**took, "losses": losses[:, : len(arrays["inputs"])].astype(float).tolist()})


def _main(name: str, place: str) -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not an answer

    def answer(content: dict[str, Any]) -> None:
        print(json.dumps(content), file=out, flush=True)

    try:
        _serve(name, place, answer)
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}".splitlines()[0]})


if __name__ == "__main__":
    _main(*sys.argv[1:])
