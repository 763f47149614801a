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

from plateaus.build.recipes import make_recipe
from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.jobs import sweep
from plateaus.jobs.keeping import Kept
from plateaus.jobs.sweep import Member, Program
from plateaus.jobs.tracing import arguments, laws_of
from plateaus.report.store import DIVERGED


def refuse(
    place: Path,
    plan: Plan,
    before: Mapping[Member, int],
    complete: Collection[Member],
    records: Mapping[Member, Mapping[str, np.ndarray]],
    states: Sequence[Kept],
    anew: Collection[Member],
) -> None:
    """Raise ConfigError where finished runs of fewer steps cannot go on to the plan's.

    All of the folder's runs are looked at, not only those that a command asks for: its results
    show them side by side.

    Args:
      before: the steps that each run was to have.
      complete: the runs whose records go as far as is wanted.
      records: of the runs.
      states: what is kept.
      anew: the runs that the command would train from the start.
    """
    steps = plan.config["steps"]
    shorter = {run: count for run, count in before.items() if count < steps}
    kept = {run for one in states for run in one.members}
    if lacking := [run for run in shorter if run not in complete and run not in kept]:
        raise ConfigError(
            f"{place} holds runs of {shorter[lacking[0]]} steps, and the state of {len(lacking)} "
            f"of them was not kept (--keep state), so that {steps} steps would train them again: "
            "use another --workdir"
        )
    if unfit := [run for run in shorter if run not in complete and run in anew]:
        raise ConfigError(
            f"{place} holds runs of {shorter[unfit[0]]} steps, and the kept state of {len(unfit)} "
            "of them is of another chunk width, or with other observations or evaluations, so "
            f"that {steps} steps would train them again: go on as there, or use another --workdir"
        )
    sound = [run for run in shorter if int(records[run]["status"]) != DIVERGED]
    for program in sweep.programs(plan, sound):
        for count in sorted({shorter[run] for run in program.members}):
            runs = [run for run in program.members if shorter[run] == count]
            if differ := _other_laws(plan, program, count, runs):
                raise ConfigError(
                    f"{place} holds runs of {count} steps, which are no beginning of runs of "
                    f"{steps}: with the last step, {', '.join(differ)} would be other; use "
                    "another --workdir"
                )


def _other_laws(plan: Plan, program: Program, before: int, runs: Sequence[Member]) -> list[str]:
    """Return what a run is compared with and would be other, had it more steps."""
    one_each = list({member.values: member for member in runs}.values())
    seeds, knobs = arguments(plan, sweep.chunk(plan, program, one_each), len(one_each))
    recipe = make_recipe(program.resolved, program.used)
    shorter = recipe._replace(steps=before)
    both = [by_name(*laws_of(one)(seeds, knobs)) for one in (recipe, shorter)]
    return [
        name for name in both[0] if not np.array_equal(both[0][name], both[1][name], equal_nan=True)
    ][:3]


def by_name(laws: Any, constants: Any) -> dict[str, np.ndarray]:
    """Return the arrays of laws and constants by name."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(laws)
    samples = {f"law {jax.tree_util.keystr(path)}": np.asarray(leaf) for path, leaf in leaves}
    return {name: np.asarray(value) for name, value in constants.items()} | samples
