"""Speed and memory of ensembles of small runs, beside their ceiling and beside peers.

    python -m experiments.benchmarks.parity [--json FILE] [--quick]

Sparse parity at the paper's scale, as experiments/run.py runs it. Contenders are timed in turn, and
medians are given over the rounds; peers only once their losses agree with ours.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

FORMAT = 1
COUNTS = (1, 16, 96, 512)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is timed. Steps are of one run."""

    steps: dict[int, int]  # of a slice, by the number of runs
    sampling: tuple[str, ...] = ("uniform", "zipf")
    evaluation: tuple[str, ...] = ("none", "preset")
    profile: tuple[str, ...] = ("uniform", "zipf", "curriculum", "epochs", "gradient bias")
    profile_slice: tuple[int, int] = (96, 2_000)  # runs and steps
    # Two sweeps of the same fields, for which one compilation has to do.
    other_values: tuple[str, str] = ("data.zipf_exponent=0,0.75", "data.zipf_exponent=0.3,1.2")
    rounds: int = 5
    peer_runs: int = 96
    peer_steps: int = 50  # whose losses must agree; and the batches that a peer goes round
    peer_share: float = 1.0  # of the steps of a timed slice
    ceiling_steps: int = 6_000


FULL = Sizes(steps={1: 10_000, 16: 10_000, 96: 2_000, 512: 400})
QUICK = Sizes(
    steps={1: 200, 32: 200},
    sampling=("uniform",),
    evaluation=("none",),
    profile=("uniform",),
    other_values=("optim.learning_rate=0.1", "optim.learning_rate=0.03,0.3"),
    profile_slice=(32, 200),
    rounds=1,
    peer_runs=4,
    peer_steps=3,
    peer_share=0.002,
    ceiling_steps=20,
)


def main(argv: Sequence[str]) -> int:
    """Time everything, print the table, write the JSON."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--json", type=Path, default=Path("benchmark-ensemble.json"))
    arguments.add_argument(
        "--quick", action="store_true", help="a few seconds; numbers mean little"
    )
    options = arguments.parse_args(argv)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache  # compilations start cold
        os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
        from plateaus.jobs import devices

        devices.configure()  # before anything else of JAX, as in run.py
        from experiments.benchmarks.parity import measure, table

        result = {"format": FORMAT, "quick": options.quick}
        result |= measure.everything(QUICK if options.quick else FULL, _say)
    print(*table.lines(result), sep="\n")
    options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwritten: {options.json}")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
