"""What every preset costs at a scale: an estimate, made without the device that it is of.

    python -m experiments.benchmarks.scales [--scale medium] [--runs-per-batch 8] [--memory] [NAME]

A row for each preset whose config's or preset's name contains NAME: runs, matrix products of a step
and of the whole sweep, and the minutes these take at 30% of the float32 peak of a T4 (8 TFLOP/s)
and of an H200 (60). Runs are counted as chunks compute them, filled up to `--runs-per-batch`.
`--memory` compiles the first program, for this machine, at the width that a GPU gets by default:
bytes of a run, and of the chunk. Nothing is trained.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from experiments.benchmarks.scales.operations import operations
from plateaus import train
from plateaus.build import recipes
from plateaus.config import presets
from plateaus.config.plan import Plan, checked_plan
from plateaus.jobs import devices, memory, sweep, tracing

SUSTAINED = {"T4": 0.3 * 8e12, "H200": 0.3 * 60e12}  # operations a second, assumed


class Cost(NamedTuple):
    """What a sweep costs."""

    runs: int
    programs: int
    step: float  # operations of a run-step of the first program, its share of evaluation included
    total: float  # operations of all runs, and of those that fill chunks up
    width: int  # runs in a chunk on a GPU, by default
    held: int | None  # bytes of such a chunk


def plan_of(path: Path, preset: str, scale: str) -> Plan:
    """Return the plan of a preset at a scale."""
    page = presets.load(path, preset, scale, False)
    parts = recipes.sections(page.fields)
    return checked_plan(
        preset, parts, page.fields, page.sweep, presets.title(page.doc), page.variants
    )


def cost(plan: Plan, width: int, compiling: bool) -> Cost:
    """Return what a plan costs with `width` runs in a chunk."""
    programs = sweep.programs(plan, sweep.members(plan))
    steps: list[float] = []
    total, default, held_bytes = 0.0, 0, None
    for program in programs:
        compiled = tracing.compiled(program)
        held = tracing.held(program, compiled.recipe)
        phase = functools.partial(train.phase, compiled.recipe)
        run = (held.state, held.seed, held.knobs, held.laws)
        steps.append(operations(phase, *run, np.int32(0)) / compiled.recipe.phase_steps)
        total += -(-len(program.members) // width) * width * steps[-1] * compiled.recipe.steps
        if program is programs[0]:
            default = devices.width(held.parameters, "gpu")
            if compiling:
                runs = jax.tree.map(
                    lambda x: jax.ShapeDtypeStruct((default, *x.shape), x.dtype), run
                )
                held_bytes = memory.program_bytes(
                    compiled.phase.lower(*runs, np.int32(0)).compile()
                )
    runs = sum(len(program.members) for program in programs)
    return Cost(runs, len(programs), steps[0], total, default, held_bytes)


def rows(scale: str, width: int, compiling: bool, wanted: str) -> Iterator[str]:
    """Yield the rows of the table, in Markdown."""
    yield "| preset | runs | programs | GFLOP a step | PFLOP | T4, min | H200, min | memory |"
    yield "|---|---|---|---|---|---|---|---|"
    for path in presets.config_files():
        for line in presets.listing([path])[1:]:
            name = f"{path.stem}{line.split()[0]}"
            if wanted not in name:
                continue
            it = cost(plan_of(path, name.partition(":")[2], scale), width, compiling)
            minutes = (f"{it.total / rate / 60:.0f}" for rate in SUSTAINED.values())
            held = "" if it.held is None else f"{memory.readable(it.held)} at {it.width}"
            columns = (name, it.runs, it.programs, f"{it.step / 1e9:.1f}", f"{it.total / 1e15:.1f}")
            yield f"| {' | '.join(map(str, (*columns, *minutes, held)))} |"


def main() -> None:
    """Print the table of a command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--scale", default="medium")
    parser.add_argument("--runs-per-batch", type=int, default=8)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    devices.configure()
    for row in rows(options.scale, options.runs_per_batch, options.memory, options.name):
        print(row, flush=True)


if __name__ == "__main__":
    main()
