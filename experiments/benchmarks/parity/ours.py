"""Our side: ensembles of sparse-parity runs, computed as experiments/run.py computes them.

From the command line's words to a plan, a program, chunks of `devices.width` runs, and one thread
a device that takes chunks and gives them to `worker.run_chunk`. The samples a chunk is evaluated on
and the state it starts from are computed beforehand: of a slice of a run, they would take more than
their share.
"""

from __future__ import annotations

import functools
import queue
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.benchmarks.timing import Contender, Sample, side_by_side
from plateaus.config import presets
from plateaus.config.arguments import parse
from plateaus.config.plan import Options, Plan
from plateaus.jobs import cli, devices, exactness, sweep, tracing, worker

CONFIG = str(presets.REPOSITORY / "experiments" / "configs" / "sparse_parity.py")
BARE = ("--config.eval_points=1",)  # still an evaluation every 200 steps: of one point
UNIFORM = ("--sweep", "optim.learning_rate=0.1")  # no knob of the sampling in use
ZIPF = ("--sweep", "data.zipf_exponent=0,0.5,0.75,1,1.25,1.5")


class Ensemble(NamedTuple):
    """Runs of one program, ready to be timed."""

    plan: Plan
    program: sweep.Program
    compiled: tracing.Compiled
    width: int


def plan(words: Sequence[str]) -> tuple[Plan, sweep.Program]:
    """Return plan and program of the words of a command line of run.py.

    Raises ConfigError as run.py would; ValueError if there is more than one program.
    """
    planned, _ = cli.planned(parse([f"--config={CONFIG}", *words]))
    (program,) = sweep.programs(planned, sweep.members(planned))
    return planned, program


@functools.cache
def ensemble(*words: str) -> Ensemble:
    """Build the ensemble of a command line; the same words again give the same programs."""
    planned, program = plan(words)
    compiled = tracing.compiled(program)
    parameters = tracing.held(program, compiled.recipe).parameters
    width = devices.width(parameters, jax.devices()[0].platform)
    return Ensemble(planned, program, compiled, width)


def members(group: Ensemble, runs: int) -> tuple[sweep.Member, ...]:
    """Return the first `runs` members of an ensemble, seeds fastest."""
    some = group.program.members[:runs]
    if len(some) < runs:
        raise ValueError(f"{runs} runs of {len(some)}")
    return some


def _of_length(program: sweep.Program, steps: int) -> sweep.Program:
    """Return the program of runs of `steps` steps."""
    resolved = program.resolved
    return program._replace(resolved=resolved._replace(config={**resolved.config, "steps": steps}))


def contender(name: str, group: Ensemble, runs: int, steps: int) -> Contender:
    """Return `runs` runs of `steps` steps each as something to time; compiles and warms up."""
    phases = group.plan.config["eval_every"]
    if steps % phases:
        raise ValueError(f"{steps} steps in phases of {phases}")
    program = _of_length(group.program, steps)._replace(members=members(group, runs))
    chunks = sweep.chunks(group.plan, program, group.width)
    used = jax.devices()[: len(chunks)]
    starts = {chunk.address: start(group, chunk) for chunk in chunks}
    for device in used:
        short = _of_length(program, phases)._replace(members=chunks[0].members)
        warm = sweep.chunks(group.plan, short, group.width)[0]
        run(group, warm, device, starts[chunks[0].address])

    def work() -> Sample:
        todo: queue.SimpleQueue[sweep.Chunk] = queue.SimpleQueue()
        for chunk in chunks:
            todo.put(chunk)

        def empty_queue(place: int) -> None:
            while True:
                try:
                    chunk = todo.get_nowait()
                except queue.Empty:
                    return
                run(group, chunk, used[place], starts[chunk.address])

        return side_by_side(empty_queue, len(used))[0]

    return Contender(name, runs * steps, work)


def start(group: Ensemble, chunk: sweep.Chunk) -> Any:
    """Return what a chunk starts from, on the host: its (laws, constants), (state, evaluation)."""
    seeds, knobs = tracing.arguments(group.plan, chunk, group.width)
    laws, constants = group.compiled.laws(seeds, knobs)
    return jax.device_get(((laws, constants), group.compiled.start(seeds, knobs, laws)))


def run(
    group: Ensemble, chunk: sweep.Chunk, device: jax.Device, begun: Any
) -> dict[str, np.ndarray]:
    """Run a chunk from a start computed before; return its records."""
    laws, state = (functools.partial(jax.device_put, part, device) for part in begun)
    programs = group.compiled._replace(laws=lambda *_: laws(), start=lambda *_: state())
    with tempfile.TemporaryDirectory() as folder:
        ended = worker.run_chunk(
            group.plan,
            chunk,
            programs,
            group.width,
            device,
            Path(folder),
            lambda report: None,
            lambda line: None,
            threading.Event(),
            exactness.record(device, group.width),
            Options(),
            Path(folder),
        )
    assert ended is not None  # nobody stops it
    return ended[0]
