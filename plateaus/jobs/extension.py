"""More steps for finished runs: which runs of a folder can go on, and which would be others.

Nothing in training knows how long a run will be. What a run is compared with may: the predictors
of its training law are those of its last step.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.jobs import identities, sweep
from plateaus.jobs.sweep import Member, Program
from plateaus.jobs.tracing import Compiled, arguments, laws_of


def steps_before(place: Path, plan: Plan) -> int | None:
    """Return the number of steps of a folder's runs if it is below the plan's; else None."""
    try:
        steps = identities.steps_of(identities.held(place))
    except identities.UNREADABLE:
        return None
    return steps if steps < plan.config["steps"] else None


def refuse(
    place: Path,
    plan: Plan,
    before: int,
    short: Collection[Member],
    going_on: Collection[Member],
    compiled: Mapping[str, Compiled],
    programs: Sequence[Program],
) -> None:
    """Raise ConfigError where a folder's runs of `before` steps cannot go on to the plan's.

    Args:
      short: the runs with a record that ends too early.
      going_on: those of them whose state was kept.
    """
    steps = plan.config["steps"]
    if lacking := len({*short} - {*going_on}):
        raise ConfigError(
            f"{place} holds runs of {before} steps, and the state of {lacking} of them was not "
            f"kept (--keep state), so that {steps} steps would train them again: use another "
            "--workdir"
        )
    for program in programs:
        runs = [member for member in program.members if member in short]
        if program.address not in compiled or not runs:
            continue
        if differ := _other_laws(plan, program, compiled[program.address], before, runs):
            raise ConfigError(
                f"{place} holds runs of {before} steps, which are no beginning of runs of "
                f"{steps}: with the last step, {', '.join(differ)} would be other; use "
                "another --workdir"
            )


def _other_laws(
    plan: Plan, program: Program, compiled: Compiled, before: int, runs: Sequence[Member]
) -> list[str]:
    """Return what a run is compared with and would be other, had it more steps."""
    one_each = list({member.values: member for member in runs}.values())
    seeds, knobs = arguments(plan, sweep.chunk(plan, program, one_each), len(one_each))
    shorter = compiled.recipe._replace(steps=before)
    laws = laws_of(shorter)
    both = [keyed(*make(seeds, knobs)) for make in (compiled.laws, laws)]
    return [
        name for name in both[0] if not np.array_equal(both[0][name], both[1][name], equal_nan=True)
    ][:3]


def keyed(laws: Any, constants: Any) -> dict[str, np.ndarray]:
    """Return the arrays of laws and constants by name."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(laws)
    samples = {f"law {jax.tree_util.keystr(path)}": np.asarray(leaf) for path, leaf in leaves}
    return {name: np.asarray(value) for name, value in constants.items()} | samples
