"""A process that trains one way, with PCGrad or without: a line of JSON in, a line of JSON out.

    python -m experiments.benchmarks.gradient_geometry.worker KIND JOB PROBLEM

PROBLEM is a file of first weights and batches: the first process in JAX writes it, PyTorch's read
it. Asked "train STEPS", "gradient FILE" (the first step's) or "split".
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable

import numpy as np

from experiments.benchmarks.gradient_geometry import memory
from experiments.benchmarks.gradient_geometry.jobs import KINDS, restored
from experiments.benchmarks.processes import Answer, serve

ROOM = "experiments.benchmarks.gradient_geometry"


def _serve(kind: str, given: str, place: str, answer: Answer) -> None:
    job = restored(*json.loads(given))
    module = importlib.import_module(f"{ROOM}.{KINDS[kind].module}")
    trainer = module.Trainer(kind, job)
    trainer.prepare(place)
    before = memory.begin()
    losses = trainer.train(job.check(kind)).losses
    peak = memory.peak()
    answer(
        {
            "losses": losses.astype(float).tolist(),
            "peak_mib": peak,
            "before_mib": before,
            "planned_mib": trainer.planned_mib() if hasattr(trainer, "planned_mib") else None,
            "runs": len(losses),
        }
    )
    parts: Callable[[], dict[str, float]] | None = None
    for line in sys.stdin:
        what, *more = json.loads(line).split(maxsplit=1)
        if what == "train":
            answer(trainer.train(int(more[0])).sample._asdict())
        elif what == "gradient":
            np.savez(more[0], **trainer.first())
            answer({})
        else:
            if parts is None:
                from experiments.benchmarks.gradient_geometry import split

                parts = split.parts(trainer)
            answer(parts())


if __name__ == "__main__":
    serve(_serve)
