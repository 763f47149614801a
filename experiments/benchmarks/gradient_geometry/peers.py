"""The contenders' processes, and whether they compute the same."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import processes
from experiments.benchmarks.gradient_geometry.jobs import KINDS, PASSES, Parity, Shape
from experiments.benchmarks.processes import (
    Disagreement,
    Process,
    Unavailable,
    check_agreement,
    require,
)

# A torch.dot of millions of float32 numbers is off by 1e-4; what others do is exact to 1e-6 of the
# result in float64.
RTOL = {PASSES: 1e-3}


class Worker(Process):
    """The process of one contender."""

    def __init__(self, kind: str, job: Shape | Parity, problem: Path, quick: bool) -> None:
        """Start it, without waiting; raises `Unavailable`."""
        require(*KINDS[kind].packages)
        given = json.dumps([type(job).__name__, dataclasses.asdict(job)])
        module = "experiments.benchmarks.gradient_geometry.worker"
        super().__init__(kind, module, kind, given, str(problem), keep_flags=quick)

    def gradient(self, place: Path) -> dict[str, np.ndarray]:
        """Return the first step's, by name."""
        self.ask(f"gradient {place}")
        return dict(np.load(place))


class Check:
    """What the first contender of a kind, plain or with PCGrad, has found."""

    def __init__(self) -> None:
        self.found: dict[bool, tuple[np.ndarray, dict[str, np.ndarray]]] = {}

    def __call__(self, worker: Worker, given: Any, folder: Path) -> dict[str, float]:
        """Return how far the worker is off; raises `Disagreement`."""
        losses = np.asarray(given)
        gradient = worker.gradient(folder / "gradient.npz")
        surgery = KINDS[worker.name].surgery
        if surgery not in self.found:
            self.found[surgery] = losses, gradient
            return {}
        ours, expected = self.found[surgery]
        runs, steps = np.minimum(ours.shape, losses.shape)  # PyTorch trains the first run
        both = (x[:runs, :steps] for x in (ours, losses))
        off = check_agreement(worker.name, *both)
        return {"off": off, "gradient_off": agreement(worker.name, expected, gradient)}


def agreement(name: str, ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float:
    """Return the norm of the difference of two gradients over that of ours.

    Raises `Disagreement` if it is above `processes.RTOL`, or what RTOL says.

    >>> agreement("a peer", {"w": np.ones(2)}, {"w": np.ones(2)})
    0.0
    """
    square = sum(float(np.sum(np.square(x, dtype=np.float64))) for x in ours.values())
    differences = (np.square(x - theirs[k], dtype=np.float64) for k, x in ours.items())
    off = float(np.sqrt(sum(float(np.sum(d)) for d in differences) / square))
    if not off <= RTOL.get(name, processes.RTOL):
        raise Disagreement(
            f"{name}: the first step's gradient is off by {off:.1e} of ours, and is not timed"
        )
    return off


@contextlib.contextmanager
def started(
    job: Shape | Parity, quick: bool, skipped: Callable[[str, str], None]
) -> Iterator[dict[str, tuple[Worker, dict[str, Any]]]]:
    """Start all contenders and keep those that agree, each with its facts.

    `skipped` is told of every other's name and the reason. The first writes what PyTorch reads; the
    others start together.
    """
    first, *others = KINDS
    begun: dict[str, Worker] = {}
    agreed: dict[str, tuple[Worker, dict[str, Any]]] = {}
    check = Check()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def start(kind: str) -> None:
            begun[kind] = Worker(kind, job, folder / "problem.npz", quick)
            stack.callback(begun[kind].close)

        def admit(kind: str) -> None:
            facts = begun[kind].ready()
            agreed[kind] = begun[kind], facts | check(begun[kind], facts.pop("losses"), folder)

        for kinds in ([first], others):
            for work in (start, admit):
                for kind in kinds if work is start else [k for k in kinds if k in begun]:
                    try:
                        work(kind)
                    except (Unavailable, Disagreement) as reason:
                        skipped(kind, str(reason))
        yield agreed
