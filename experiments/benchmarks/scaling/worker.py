"""A process that trains so many runs once as one program, for its memory, then in chunks, for time.

    python -m experiments.benchmarks.scaling.worker JOB RUNS QUICK

It answers with a line of JSON, and ends. Memory is what the process holds at most while it makes
the start of the runs and trains a phase of them in one program, over what it held once compiled.
"""

from __future__ import annotations

import statistics
from typing import Any

from experiments.benchmarks.processes import Answer, serve
from experiments.benchmarks.scaling.jobs import JOBS, steps, words

ROUNDS = 3


def _serve(name: str, runs: str, quick: str, answer: Answer) -> None:
    from plateaus.jobs import devices

    devices.configure()  # before anything else of JAX, as in run.py
    from experiments.benchmarks.parity import ours
    from plateaus.config.arguments import parse
    from plateaus.jobs import cli, sweep, tracing

    job, count = JOBS[name], int(runs)
    planned, _ = cli.planned(parse(words(job, count)))
    (program,) = sweep.programs(planned, sweep.members(planned))
    compiled = tracing.compiled(program)
    parameters = tracing.held(program, compiled.recipe).parameters
    memory = _memory(planned, program, compiled)
    import jax

    width = devices.width(parameters, jax.devices()[0].platform)
    group = ours.Ensemble(planned, program, compiled, width)
    one = ours.contender(name, group, count, steps(job, count, quick == "quick"))
    samples = [one.work() for _ in range(1 if quick == "quick" else ROUNDS)]
    scale = 1e6 / one.run_steps
    answer(
        {
            **memory,
            "width": width,
            "devices": len(jax.devices()),
            "wall_us": statistics.median(s.wall for s in samples) * scale,
            "cpu_us": statistics.median(s.cpu for s in samples) * scale,
        }
    )


def _memory(planned: Any, program: Any, compiled: Any) -> dict[str, float]:
    """Return MiB of one program of all runs: as the compiler plans it, and as measured."""
    import jax
    import numpy as np

    from experiments.benchmarks.gradient_geometry import memory
    from plateaus.jobs import sweep, tracing
    from plateaus.jobs.memory import program_bytes

    chunk = sweep.chunk(planned, program, program.members)
    seeds, knobs = tracing.arguments(planned, chunk, len(program.members))
    laws = compiled.laws.lower(seeds, knobs).compile()
    shapes, _ = jax.eval_shape(compiled.laws, seeds, knobs)
    start = compiled.start.lower(seeds, knobs, shapes).compile()
    state, _ = jax.eval_shape(compiled.start, seeds, knobs, shapes)
    phase = compiled.phase.lower(state, seeds, knobs, shapes, np.int32(0)).compile()
    planned_mib = max(program_bytes(one) for one in (laws, start, phase)) / 2**20
    before = memory.begin()
    samples, _ = laws(seeds, knobs)
    begun, _ = start(seeds, knobs, samples)
    ended = phase(begun, seeds, knobs, samples, np.int32(0))
    jax.block_until_ready(ended)
    return {"planned_mib": planned_mib, "peak_mib": memory.peak() - before, "before_mib": before}


if __name__ == "__main__":
    serve(_serve)
