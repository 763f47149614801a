"""What every preset costs at a scale: an estimate, made without the devices that it is of.

    python -m experiments.benchmarks.costs [--scale medium] [--memory] [NAME]

A row for each preset, or for those whose `config:preset` contains NAME: runs; matrix products of a
step of the dearest program, its share of evaluation counted in, and of all runs; the minutes that
these take at 30% of the float32 peak of a T4 (8 TFLOP/s) and of an H200 (60). `--memory` compiles
that program, for this machine, at the width that a GPU gets by default, and says what it holds.
Nothing is trained.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.benchmarks.costs.operations import operations
from plateaus import train
from plateaus.build import recipes
from plateaus.config import presets
from plateaus.config.plan import Plan, checked_plan
from plateaus.jobs import devices, memory, sweep, tracing

SUSTAINED = {"T4": 0.3 * 8e12, "H200": 0.3 * 60e12}  # operations a second, assumed


class Cost(NamedTuple):
    """What a sweep costs, chunks being full."""

    runs: int
    step: float  # operations of the dearest program's run-step
    total: float  # operations of all runs
    width: int  # runs in a chunk of that program on a GPU, by default
    held: int | None  # bytes of such a chunk


def plan_of(path: Path, preset: str, scale: str) -> Plan:
    """Return the plan of a preset at a scale."""
    page = presets.load(path, preset, scale, False)
    parts = recipes.sections(page.fields)
    title = presets.title(page.doc)
    return checked_plan(preset, parts, page.fields, page.sweep, title, page.variants)


def cost(plan: Plan, compiling: bool) -> Cost:
    """Return what a plan costs; its memory only when `compiling`, which takes a while."""
    runs, total = 0, 0.0
    dearest: tuple[float, Any, Any] = (0.0, None, None)
    for program in sweep.programs(plan, sweep.members(plan)):
        compiled = tracing.compiled(program)
        held = tracing.held(program, compiled.recipe)
        phase = functools.partial(train.phase, compiled.recipe)
        step = operations(phase, *_run(held), np.int32(0)) / compiled.recipe.phase_steps
        runs += len(program.members)
        total += len(program.members) * step * compiled.recipe.steps
        dearest = max(dearest, (step, compiled, held), key=lambda it: it[0])
    step, compiled, held = dearest
    width = devices.width(held.parameters, "gpu")
    return Cost(runs, step, total, width, _bytes(compiled, held, width) if compiling else None)


def _run(held: tracing.Held) -> tuple:
    return held.state, held.seed, held.knobs, held.laws


def _bytes(compiled: tracing.Compiled, held: tracing.Held, width: int) -> int:
    """Return the bytes that a phase of `width` runs holds at once."""
    runs = jax.tree.map(lambda x: jax.ShapeDtypeStruct((width, *x.shape), x.dtype), _run(held))
    return memory.program_bytes(compiled.phase.lower(*runs, np.int32(0)).compile())


def rows(scale: str, compiling: bool, wanted: str) -> Iterator[str]:
    """Yield the rows of the table, in Markdown."""
    yield "| preset | runs | GFLOP a step | PFLOP | T4, minutes | H200, minutes | memory |"
    yield "|---|---|---|---|---|---|---|"
    for path in presets.config_files():
        for line in presets.listing([path])[1:]:
            name = f"{path.stem}{line.split()[0]}"
            if wanted not in name:
                continue
            it = cost(plan_of(path, name.partition(":")[2], scale), compiling)
            minutes = (f"{it.total / rate / 60:.1f}" for rate in SUSTAINED.values())
            held = f"{'' if it.held is None else memory.readable(it.held)} at {it.width}"
            columns = (f"`{name}`", it.runs, f"{it.step / 1e9:.1f}", f"{it.total / 1e15:.1f}")
            yield f"| {' | '.join(map(str, (*columns, *minutes, held)))} |"


def main() -> None:
    """Print the table of a command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--scale", default="medium")
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    devices.configure()
    for row in rows(options.scale, options.memory, options.name):
        print(row, flush=True)


if __name__ == "__main__":
    main()
