"""Compile the programs of a command for a TPU that is not there: a line each, of seconds and GiB.

    python tests/compiled/tpu.py --config=configs/linear_regression.py --scale paper

It takes the options of `experiments/run.py`, and needs libtpu (`pip install 'jax[tpu]'`) on Linux.
Nothing is run: a program that compiles may still be wrong there, or slow.
"""

import os
import sys
import time
from pathlib import Path

TOPOLOGY = "v5e:2x2"
GIB = 16  # of memory that one such chip has
_HOST = {  # of a TPU's host, as libtpu would otherwise ask a server for it
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
}


def compiled(words):
    """Yield (name, runs, seconds, GiB) of what the runs of the first program of a plan need."""
    import jax
    import numpy as np
    from jax.experimental import topologies

    from plateaus.config.arguments import parse
    from plateaus.jobs import cli, devices, memory, sweep, tracing

    given = parse(words)
    plan, _ = cli.planned(given)
    program = sweep.programs(plan, sweep.members(plan))[0]
    functions = tracing.compiled(program)
    held = tracing.held(program, functions.recipe)
    width = given.options.runs_per_batch or devices.width(held.parameters, "tpu")
    chip = topologies.get_topology_desc(platform="tpu", topology_name=TOPOLOGY).devices[0]
    placed = jax.sharding.SingleDeviceSharding(chip)

    def shape(x, *runs):
        return jax.ShapeDtypeStruct((*runs, *np.shape(x)), x.dtype, sharding=placed)

    seeds, knobs, laws, state = jax.tree.map(
        lambda x: shape(x, width), (held.seed, held.knobs, held.laws, held.state)
    )
    step = shape(np.int32(0))
    for name, function, arguments in (
        ("phase", functions.phase, (state, seeds, knobs, laws, step)),
        ("start", functions.start, (seeds, knobs, laws)),
        ("laws", functions.laws, (seeds, knobs)),
    ):
        lowered = function.trace(*arguments).lower(lowering_platforms=("tpu",))
        began = time.monotonic()
        try:
            bytes_ = memory.program_bytes(lowered.compile())
        except jax.errors.JaxRuntimeError as error:
            sys.exit(f"{name}, {width} runs: {str(error).splitlines()[0]}")
        yield name, width, time.monotonic() - began, bytes_ / 2**30


if __name__ == "__main__":
    os.environ.update(_HOST, JAX_PLATFORMS="cpu")
    os.environ.pop("XLA_FLAGS", None)  # of which libtpu knows others
    sys.path.insert(0, str(Path(__file__).parents[2]))
    most = 0.0
    for name, runs, seconds, gib in compiled(sys.argv[1:]):
        print(f"{name:<6} {runs:>4} runs {seconds:6.1f} s {gib:8.3f} GiB", flush=True)
        most = max(most, gib)
    sys.exit(most > GIB)
