"""A process that trains one way, with PCGrad or without: a line of JSON in, a line of JSON out.

    python gradient_geometry_worker.py KIND JOB PROBLEM

PROBLEM is a file of first weights and batches: the first process in JAX writes it, PyTorch's read
it. Asked "train STEPS", "gradient FILE" (the first step's) or "split".
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import gradient_geometry_memory as memory
import numpy as np
from gradient_geometry_jobs import KINDS, restored


def _main(kind: str, given: str, place: str) -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is not an answer

    def answer(content: dict[str, Any]) -> None:
        print(json.dumps(content), file=out, flush=True)

    try:
        _serve(kind, given, place, answer)
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}".splitlines()[0]})


def _serve(kind: str, given: str, place: str, answer: Callable[[dict[str, Any]], None]) -> None:
    job = restored(*json.loads(given))
    module = importlib.import_module(KINDS[kind].module)
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
                import gradient_geometry_split

                parts = gradient_geometry_split.parts(trainer)
            answer(parts())


if __name__ == "__main__":
    _main(*sys.argv[1:])
