"""Speed and memory of ensembles of small runs, beside their ceiling and beside peers.

    python -m experiments.benchmarks.parity [--json FILE] [--quick]

Sparse parity at the paper's scale, as experiments/run.py runs it. Contenders are timed in turn, and
medians are given over the rounds; peers only once their losses agree with ours.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from collections.abc import Sequence

FORMAT = 1


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
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache  # compilations start cold
        os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # which JAX reads when it is imported
        from experiments.benchmarks import timing
        from plateaus.jobs import devices

        devices.configure()  # before anything else of JAX, as in run.py
        from experiments.benchmarks.parity import measure, table

        options = timing.parser(__doc__, "benchmark-ensemble.json").parse_args(argv)
        load = timing.load()
        measured = measure.everything(QUICK if options.quick else FULL, timing.say)
        timing.write(options, table.lines, load, format=FORMAT, **measured)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
