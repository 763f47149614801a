"""A process that trains the transformer one way: a line of JSON in, a line of JSON out.

    python transformer_worker.py KIND JOB PROBLEM

PROBLEM is a file of first weights and batches: "one program" writes it, PyTorch reads it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from timing import Sample

ONE, EACH, TORCH = "one program", "a program a core", "torch"
BATCHES = 4  # that training goes round


class Trained(NamedTuple):
    """What a slice took, and its losses [runs, steps]."""

    sample: Sample
    losses: np.ndarray


def side_by_side(work: Callable[[int], Any], count: int) -> tuple[Sample, list[Any]]:
    """Do work(0), work(1), ... in a thread each; return what they took together, and returned."""
    results: list[Any] = [None] * count

    def one(place: int) -> None:
        results[place] = work(place)

    threads = [threading.Thread(target=one, args=(place,)) for place in range(count)]
    wall, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Sample(time.perf_counter() - wall, time.process_time() - cpu), results


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
    if kind == TORCH:
        import transformer_torch
        from transformer_shapes import Job

        job = Job(**json.loads(given))
        train, bounds = transformer_torch.trainer(job, dict(np.load(place))), []
        facts = {"platform": transformer_torch.DEVICE, "runs": 1}
    else:
        from plateaus.jobs import devices

        if kind == EACH:
            devices.configure()  # before JAX starts
        import jax
        from transformer_ours import save, trainer
        from transformer_shapes import Job, ceiling

        job = Job(**json.loads(given))
        used = jax.devices()
        used = used if kind == EACH else used[:1]
        if kind == ONE:
            save(dataclasses.replace(job, seeds=1), place)
        train = trainer(job, used)
        repeats = 5 if used[0].platform == "cpu" else 50
        bounds = [ceiling(job, repeats, device) for device in used]
        facts = {"platform": used[0].platform, "runs": job.seeds * len(used)}
    train()  # compiles
    answer(facts)
    for line in sys.stdin:
        if json.loads(line) == "ceiling":
            _, took = side_by_side(lambda place: bounds[place](), len(bounds))
            answer({"wall": max(took)})
        else:
            done = train()
            answer({**done.sample._asdict(), "losses": done.losses.astype(float).tolist()})


if __name__ == "__main__":
    _main(*sys.argv[1:])
