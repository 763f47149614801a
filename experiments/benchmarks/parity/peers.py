"""Peers: other ways to train the same runs, each in a process of its own with its usual settings.

Run as a module this file is such a process.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarks.processes import (
    Answer,
    Disagreement,
    Process,
    Unavailable,
    check_agreement,
    require,
    serve,
)
from experiments.benchmarks.timing import stopwatch

ROOM = "experiments.benchmarks.parity"


class Kind(NamedTuple):
    """A peer: where it is, what it needs, and how long a slice of its work is."""

    module: str  # of this room
    package: str
    title: str
    alone: bool  # one run at a time, or all of them at once
    steps: int  # of a timed slice
    aim: float | None  # how many times our time it should take at least


KINDS = {
    "torch_eager": Kind("in_torch", "torch", "PyTorch, eager loop, run after run", True, 2000, 50),
    "torch_func": Kind("in_torch", "torch", "torch.func vmap, all runs", False, 300, 4),
    "torch_func_compiled": Kind("in_torch", "torch", "the same under torch.compile", False, 300, 4),
    "jax_step": Kind("in_jax", "jax", "jitted JAX step in a loop, run after run", True, 8000, 8),
    "jax_vmap_step": Kind("in_jax", "jax", "jitted vmapped JAX step, all runs", False, 1000, None),
}


class Peer(Process):
    """A peer's process."""

    def __init__(self, name: str, problem: Path) -> None:
        """Start it on a saved problem, and wait until it is ready; raises Unavailable."""
        require(KINDS[name].package)
        super().__init__(name, f"{ROOM}.peers", name, str(problem))
        self.ready()

    def train(self, runs: int, steps: int) -> dict[str, Any]:
        """Return its "losses" [runs, steps], and the "wall" and "cpu" seconds that they took."""
        return self.ask([runs, steps])


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


def _serve(name: str, place: str, answer: Answer) -> None:
    """Answer requests until there are none."""
    arrays = dict(np.load(place))
    params = {k.removeprefix("params/"): v for k, v in arrays.items() if k.startswith("params/")}
    rate = float(arrays["learning_rate"])
    make = importlib.import_module(f"{ROOM}.{KINDS[name].module}").PEERS[name]
    train = make(params, arrays["inputs"], arrays["targets"], rate)
    answer({"ready": True})
    for line in sys.stdin:
        runs, steps = json.loads(line)
        took = stopwatch()
        losses, sample = train(runs, steps), took()
        # The losses of a timed slice are many, and nobody reads them.
        answer(
            {
                **sample._asdict(),
                "losses": losses[:, : len(arrays["inputs"])].astype(float).tolist(),
            }
        )


if __name__ == "__main__":
    serve(_serve)
