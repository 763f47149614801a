"""The share of a run's time that its evaluation takes, as run.py computes both.

    python -m experiments.benchmarks.transformer.share [words of a command line of run.py]

Prints a line of JSON; the default config is that of in-context linear regression, small.
"""

from __future__ import annotations

import functools
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from plateaus.jobs import devices

ROUNDS = 3


def share(words: Sequence[str]) -> dict[str, Any]:
    r"""Return (l + (p + 1) e) / (l + e + p (phase)), and seconds of its parts, of one chunk.

    l: making the samples and asking the predictors, once a run; e: one evaluation, by itself; p
    phases, each of its steps and one evaluation; one more evaluation comes before the first step.
    """
    import jax
    import numpy as np

    from plateaus.config import presets
    from plateaus.config.arguments import parse
    from plateaus.evaluation import evaluate
    from plateaus.jobs import cli, sweep, tracing

    config = presets.REPOSITORY / "experiments" / "configs" / "linear_regression.py"
    planned, _ = cli.planned(parse([f"--config={config}", *words]))
    program = sweep.programs(planned, sweep.members(planned))[0]
    compiled = tracing.compiled(program)
    recipe, parameters = compiled.recipe, tracing.held(program, compiled.recipe).parameters
    platform = jax.devices()[0].platform
    width = devices.width(parameters, platform)
    chunk = sweep.chunks(planned, program, width)[0]
    seeds, knobs = tracing.arguments(planned, chunk, width)

    def evaluation(params, knobs, laws):
        plan = recipe.source.prepare(knobs.data, recipe.task.size)
        return evaluate(recipe, params, laws, plan, 0)

    evaluation = jax.jit(jax.vmap(evaluation))
    laws, constants = compiled.laws(seeds, knobs)
    state, _ = compiled.start(seeds, knobs, laws)
    first = jax.device_get(state)
    state, _ = compiled.phase(state, seeds, knobs, laws, np.int32(0))  # compiles
    jax.block_until_ready((constants, evaluation(state.params, knobs, laws)))
    took: dict[str, list[float]] = {"laws": [], "phase": [], "evaluate": []}
    for _ in range(1 if "--smoke" in words else ROUNDS):
        took["laws"].append(_seconds(lambda: compiled.laws(seeds, knobs)))
        state = jax.block_until_ready(jax.device_put(first))
        took["phase"].append(
            _seconds(functools.partial(compiled.phase, state, seeds, knobs, laws, np.int32(0)))
        )
        params = jax.device_put(first.params)
        took["evaluate"].append(_seconds(functools.partial(evaluation, params, knobs, laws)))
    times = {name: statistics.median(seconds) for name, seconds in took.items()}
    phases = program.config["steps"] // program.config["eval_every"]
    measured = times["laws"] + (phases + 1) * times["evaluate"]
    whole = times["laws"] + times["evaluate"] + phases * times["phase"]
    return {
        "share": measured / whole,
        **times,
        "preset": planned.name,
        "steps": program.config["steps"],
        "phase_steps": program.config["eval_every"],
        "width": width,
        "width_of_paper": devices.width(9_534_977, platform),
        "platform": platform,
    }


def _seconds(work: Callable[[], Any]) -> float:
    import jax

    began = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - began


if __name__ == "__main__":
    devices.configure()  # before anything else of JAX, as in run.py
    print(json.dumps(share(sys.argv[1:])))
