"""Speed and memory of steps with PCGrad over a batch's examples, beside plain steps and peers.

    python -m experiments.benchmarks.gradient_geometry [--json FILE] [--quick] [--rounds N]

A step from the Gram matrix of the examples' gradients (`plateaus.gram.engine`), at three shapes of
the transformer on linear regression (Adam), and for the MLP of parity (SGD), 96 runs mapped in one
program. Beside it: plain steps in JAX and PyTorch; the examples' gradients stacked by vmap;
TorchJD's engine; B backward passes. PCGrad goes through the examples in order, and projects only
where two conflict.

One program over both cores; JAX in scans, as `plateaus.train.phase` takes steps. Each contender in
a process of its own, slices in turn, medians over the rounds; one is timed only once its losses and
the gradient of its first step agree with those of its kind. Memory is the peak of the first steps,
and over what was resident before: compiled, first weights and batches read.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from experiments.benchmarks import timing
from experiments.benchmarks.gradient_geometry.jobs import (
    KINDS,
    OURS,
    PCGRAD,
    SHAPES,
    TINY,
    TORCHJD,
    Parity,
    Shape,
)
from experiments.benchmarks.gradient_geometry.peers import Worker, started
from experiments.benchmarks.gradient_geometry.table import lines
from experiments.benchmarks.timing import Contender, Sample

FORMAT = 1


def measure(job: Shape | Parity, rounds: int, quick: bool) -> dict[str, Any]:
    """Time the contenders at a job, in turn, those that agree."""
    skipped: dict[str, str] = {}
    with started(job, quick, skipped.__setitem__) as agreed:
        for kind, reason in skipped.items():
            timing.say(f"skipped: {kind}: {reason}")
        rows = {kind: facts for kind, (_, facts) in agreed.items()}
        contenders = {
            kind: _contender(worker, job, facts["runs"]) for kind, (worker, facts) in agreed.items()
        }
        samples = timing.in_turn(list(contenders.values()), rounds)
        parts = [agreed[OURS][0].ask("split") for _ in range(rounds)] if OURS in rows else []
    for kind, one in contenders.items():
        rows[kind] |= timing.microseconds(samples[kind], one.run_steps)
    result = {"job": dataclasses.asdict(job), "name": job.name, "rows": rows, "skipped": skipped}
    if OURS in rows:
        result |= _compared(rows, contenders, samples)
        scale = 1e6 / rows[OURS]["runs"]
        split = {name: scale * statistics.median(p[name] for p in parts) for name in parts[0]}
        result |= {"split_us": split, "share": split[PCGRAD] / rows[OURS]["wall_us"]}
    return result


def _compared(rows, contenders, samples) -> dict[str, Any]:
    """Return TorchJD's time over ours, and our time and memory over the faster plain step's."""
    # One run in PyTorch and many in a program of JAX: a plain step is of our own kind there.
    runs = rows[OURS]["runs"]
    plain = [k for k in rows if not KINDS[k].surgery and rows[k]["runs"] == runs]
    found: dict[str, Any] = {"plain": min(plain, key=lambda kind: rows[kind]["wall_us"])}
    ours, faster = contenders[OURS], contenders[found["plain"]]
    found["over_plain"] = timing.ratios(samples, ours, faster)["wall"]
    held = {k: rows[k]["peak_mib"] - rows[k]["before_mib"] for k in (OURS, found["plain"])}
    plainly = held[found["plain"]]  # less than a page at the smallest sizes
    found["memory_over_plain"] = held[OURS] / plainly if plainly else math.nan
    if TORCHJD in rows:
        found["torchjd_over"] = timing.ratios(samples, contenders[TORCHJD], ours)["wall"]
    return found


def _contender(worker: Worker, job: Shape | Parity, runs: int) -> Contender:
    steps = job.slice(worker.name)

    def work() -> Sample:
        return Sample(**worker.ask(f"train {steps}"))

    return Contender(worker.name, runs * steps, work)


def main(argv: Sequence[str]) -> int:
    """Time everything, print the table, write the JSON."""
    arguments = timing.parser(__doc__, "benchmark-gradient-geometry.json")
    arguments.add_argument("--rounds", type=int)
    options = arguments.parse_args(argv)
    load, rounds = timing.load(), options.rounds or (1 if options.quick else 5)
    results = []
    for job in TINY if options.quick else SHAPES:
        timing.say(f"timing {job.name}")
        results.append(measure(job, rounds, options.quick))
    timing.write(options, lines, load, format=FORMAT, rounds=rounds, jobs=results)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
