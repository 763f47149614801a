"""The contenders' processes, and whether they compute the same."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import peers
import transformer
from gradient_geometry_jobs import KINDS, PASSES, Parity, Shape

FOLDER = Path(__file__).parent
# A torch.dot of millions of float32 numbers is off by 1e-4; what others do is exact to 1e-6 of the
# result in float64.
RTOL = {PASSES: 1e-3}
PACKAGE = "{} is not installed (pip install -e '.[bench]')"


class Worker(transformer.Worker):
    """The process of one contender."""

    def __init__(self, kind: str, job: Shape | Parity, problem: Path, quick: bool) -> None:
        """Start it, without waiting; raises `peers.Unavailable`."""
        self.name = kind
        for package in KINDS[kind].packages:
            if importlib.util.find_spec(package) is None:
                raise peers.Unavailable(PACKAGE.format(package))
        environment = {k: v for k, v in os.environ.items() if quick or k != "XLA_FLAGS"}
        environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # they share an accelerator
        given = json.dumps([type(job).__name__, dataclasses.asdict(job)])
        script = str(FOLDER / "gradient_geometry_worker.py")
        self.process = subprocess.Popen(
            [sys.executable, script, kind, given, str(problem)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def ready(self) -> dict[str, Any]:
        """Return its first steps' losses and facts; raises `peers.Unavailable`."""
        return self._answer()

    def gradient(self, place: Path) -> dict[str, np.ndarray]:
        """Return the first step's, by name."""
        self.ask(f"gradient {place}")
        return dict(np.load(place))


class Check:
    """What the first contender of a kind, plain or with PCGrad, has found."""

    def __init__(self) -> None:
        self.found: dict[bool, tuple[np.ndarray, dict[str, np.ndarray]]] = {}

    def __call__(self, worker: Worker, given: Any, folder: Path) -> dict[str, float]:
        """Return how far the worker is off; raises `peers.Disagreement`."""
        losses = np.asarray(given)
        gradient = worker.gradient(folder / "gradient.npz")
        surgery = KINDS[worker.name].surgery
        if surgery not in self.found:
            self.found[surgery] = losses, gradient
            return {}
        ours, expected = self.found[surgery]
        runs, steps = np.minimum(ours.shape, losses.shape)  # PyTorch trains the first run
        both = (x[:runs, :steps] for x in (ours, losses))
        off = peers.check_agreement(worker.name, *both)
        return {"off": off, "gradient_off": agreement(worker.name, expected, gradient)}


def agreement(name: str, ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> float:
    """Return the norm of the difference of two gradients over that of ours.

    Raises `peers.Disagreement` if it is above `peers.RTOL`, or what RTOL says.

    >>> agreement("a peer", {"w": np.ones(2)}, {"w": np.ones(2)})
    0.0
    """
    square = sum(float(np.sum(np.square(x, dtype=np.float64))) for x in ours.values())
    differences = (np.square(x - theirs[k], dtype=np.float64) for k, x in ours.items())
    off = float(np.sqrt(sum(float(np.sum(d)) for d in differences) / square))
    if not off <= RTOL.get(name, peers.RTOL):
        raise peers.Disagreement(
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
                    except (peers.Unavailable, peers.Disagreement) as reason:
                        skipped(kind, str(reason))
        yield agreed
