"""Speed of a transformer's training, beside its matrix products and beside PyTorch.

    python -m experiments.benchmarks.transformer [--json FILE] [--quick] [--paper | --no-paper]

Steps of in-context linear regression (squared error at the x positions, Adam) by
`plateaus.train.phase`, on batches made beforehand, at three small shapes; `--paper` adds the
paper's model at batch 128 for one seed and for many (`--seeds`), float32 and bfloat16: minutes on a
CPU, the default on an accelerator. Ours runs as one program over all cores, and as run.py does, a
single-threaded program a core; each contender in a process of its own, slices in turn, medians over
the rounds. PyTorch is timed only once its losses agree with ours.

The ceiling is what the step's matrix products take, one by one, at the model's batched shapes
(`shapes`), in the same process. Last comes the share of a run's time that its
evaluation takes (`share`).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmarks import timing
from experiments.benchmarks.processes import (
    ROOT,
    Disagreement,
    Process,
    Unavailable,
    check_agreement,
    require,
)
from experiments.benchmarks.timing import Contender, Sample
from experiments.benchmarks.transformer.shapes import Job, flops
from experiments.benchmarks.transformer.table import lines
from experiments.benchmarks.transformer.worker import EACH, ONE, TORCH

FORMAT = 1
ROOM = "experiments.benchmarks.transformer"
SHAPES = (
    Job(batch=64, tokens=8, width=192, depth=6, heads=6, steps=12),
    Job(batch=32, tokens=82, width=64, depth=4, heads=2, steps=12),
    Job(batch=32, tokens=82, width=256, depth=12, heads=8, steps=8),
)
PAPER = Job(batch=128, tokens=82, width=256, depth=12, heads=8, steps=4)
TINY = Job(batch=4, tokens=8, width=32, depth=2, heads=4, steps=3, max_positions=8)


class Worker(Process):
    """The process of one contender."""

    def __init__(self, kind: str, job: Job, problem: Path, quick: bool = False) -> None:
        """Start it, and wait; `quick`: it keeps our XLA flags. Raises `Unavailable`."""
        if kind == TORCH:
            require("torch")
        words = (kind, json.dumps(dataclasses.asdict(job)), str(problem))
        super().__init__(kind, f"{ROOM}.worker", *words, keep_flags=kind == EACH or quick)
        self.facts = self.ready()


def measure(job: Job, rounds: int, each: bool, quick: bool = False) -> dict[str, Any]:
    """Time the contenders at a job, in turn, those that agree; `each`: with a program a core."""
    flop = flops(job)
    rows: dict[str, dict[str, Any]] = {}
    skipped: dict[str, str] = {}
    kinds = (ONE, EACH, TORCH) if each else (ONE, TORCH)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for kind in kinds:
            try:
                worker = Worker(kind, job, Path(folder) / "problem.npz", quick)
                stack.callback(worker.close)
                losses = np.asarray(worker.ask("train")["losses"])
                rows[kind] = {"runs": worker.facts["runs"], "platform": worker.facts["platform"]}
                if kind == ONE:
                    ours = losses
                else:  # seed 0 is everyone's
                    rows[kind]["off"] = _agreement(kind, job, ours[:1], losses[:1])
                workers[kind] = worker
            except (Unavailable, Disagreement) as reason:
                skipped[kind] = str(reason)
                timing.say(f"skipped: {kind}: {reason}")
        contenders = {k: _contender(w, job, "train") for k, w in workers.items()}
        asked = {k: _contender(w, job, "ceiling") for k, w in workers.items() if k != TORCH}
        samples = timing.in_turn([*contenders.values(), *asked.values()], rounds)
    for kind in list(workers):
        one, row = contenders[kind], rows[kind]
        row |= timing.microseconds(samples[one.name], one.run_steps)
        row["tokens_per_second"] = job.batch * job.tokens / row["wall_us"] * 1e6
        row["gflops"] = flop / row["wall_us"] / 1e3
        if kind in asked:
            pairs = zip(samples[asked[kind].name], samples[one.name], strict=True)
            share = statistics.median(c.wall * job.steps / s.wall for c, s in pairs)
            row |= {"of_ceiling": share, "ceiling_gflops": row["gflops"] / share}
        if TORCH in workers and kind != TORCH:
            row["over_torch"] = timing.ratios(samples, one, contenders[TORCH])["wall"]
    timed = {kind: rows[kind] for kind in workers}
    return {"job": dataclasses.asdict(job), "flops": flop, "rows": timed, "skipped": skipped}


def _agreement(kind: str, job: Job, ours: np.ndarray, theirs: np.ndarray) -> float:
    if job.compute == "float32":
        return check_agreement(kind, ours, theirs)
    return float(np.max(np.abs(theirs - ours) / np.abs(ours)))  # bfloat16 rounds: only said


def _contender(worker: Worker, job: Job, what: str) -> Contender:
    def work() -> Sample:
        answer = worker.ask(what)
        return Sample(answer["wall"], answer.get("cpu", answer["wall"]))

    return Contender(f"{worker.name}, {what}", worker.facts["runs"] * job.steps, work)


def main(argv: Sequence[str]) -> int:
    """Time everything, print the table, write the JSON."""
    arguments = timing.parser(__doc__, "benchmark-transformer.json")
    arguments.add_argument("--paper", action=argparse.BooleanOptionalAction)
    arguments.add_argument("--seeds", type=int, help="of the paper's mapped runs")
    arguments.add_argument("--rounds", type=int)
    options = arguments.parse_args(argv)
    load, rounds = timing.load(), options.rounds or (1 if options.quick else 5)
    words = ("--smoke",) if options.quick else ()
    timing.say("timing the evaluation")
    command = [sys.executable, "-m", f"{ROOM}.share", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT)
    evaluation = json.loads(done.stdout)
    accelerator = evaluation["platform"] != "cpu"
    jobs = [TINY] if options.quick else list(SHAPES)
    if accelerator if options.paper is None else options.paper:
        base = TINY if options.quick else PAPER
        for compute in ("float32", "bfloat16"):
            job = dataclasses.replace(base, compute=compute)
            many = options.seeds or evaluation["width_of_paper"]
            jobs += [job, dataclasses.replace(job, seeds=max(2, many))]
    results = []
    for job in jobs:
        timing.say(f"timing {job.name}")
        each = job.seeds == 1 and not accelerator
        results.append(measure(job, rounds, each, options.quick))
    timing.write(
        options, lines, load, format=FORMAT, rounds=rounds, jobs=results, evaluation=evaluation
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
