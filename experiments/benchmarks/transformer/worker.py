"""A process that trains the transformer one way: a line of JSON in, a line of JSON out.

    python -m experiments.benchmarks.transformer.worker KIND JOB PROBLEM

PROBLEM is a file of first weights and batches: "one program" writes it, PyTorch reads it.
"""

from __future__ import annotations

import dataclasses
import json
import sys

import numpy as np

from experiments.benchmarks.processes import Answer, serve
from experiments.benchmarks.timing import side_by_side

ONE, EACH, TORCH = "one program", "a program a core", "torch"


def _serve(kind: str, given: str, place: str, answer: Answer) -> None:
    if kind == TORCH:
        from experiments.benchmarks.transformer import in_torch
        from experiments.benchmarks.transformer.shapes import Job

        job = Job(**json.loads(given))
        train, bounds = in_torch.trainer(job, dict(np.load(place))), []
        facts = {"platform": in_torch.DEVICE, "runs": 1}
    else:
        from plateaus.jobs import devices

        if kind == EACH:
            devices.configure()  # before JAX starts
        import jax

        from experiments.benchmarks.transformer.ours import save, trainer
        from experiments.benchmarks.transformer.shapes import Job, ceiling

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
    serve(_serve)
