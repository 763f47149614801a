"""Records on a coarser grid of evaluations than the one that their runs were evaluated on.

Training does not depend on `eval_every`: the evaluations of a coarser grid are among those of a
finer one, and what follows from them is computed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from plateaus.config.plan import Plan
from plateaus.config.schema import ConfigError
from plateaus.jobs import sweep
from plateaus.jobs.endings import AT_EVENT
from plateaus.jobs.records import passed, variables
from plateaus.report.store import ENDINGS
from plateaus.variables import EVALUATIONS, Variable


def spacing(arrays: Mapping[str, np.ndarray], log_every: int) -> int | None:
    """Return the steps between two evaluations of runs; None where there is one evaluation only.

    >>> spacing({"train_loss": np.zeros((3, 8)), "test_loss": np.zeros((3, 5))}, 10)
    20
    """
    windows, evaluations = (arrays[name].shape[1] for name in ("train_loss", "test_loss"))
    return log_every * windows // (evaluations - 1) if evaluations > 1 else None


def on_grid(
    plan: Plan,
    members: Sequence[sweep.Member | None],
    arrays: dict[str, np.ndarray],
    path: Path,
) -> dict[str, np.ndarray]:
    """Return the records of a file, stacked over runs, at the plan's evaluations.

    Raises ConfigError where they cannot be had from the recorded ones.
    """
    every, known = plan.config["eval_every"], next((m for m in members if m is not None), None)
    recorded = spacing(arrays, plan.config["log_every"])
    if known is None or recorded in (None, every):
        return arrays
    if every % recorded:
        raise ConfigError(
            f"eval_every = {every}: the runs in {path} were evaluated every {recorded} steps"
        )
    ended = arrays.get("ended_by", np.zeros(0))
    if early := int(np.isin(ended, AT_EVENT).sum()):
        raise ConfigError(
            f"eval_every = {every}: {early} run(s) in {path} ended at an event, which only their "
            f"evaluations every {recorded} steps show; use --config.eval_every={recorded} or "
            "another --workdir"
        )
    resolved = plan.resolved._replace(config=sweep.setting(plan, known))
    return thinned(arrays, variables(resolved), every // recorded, every)


def thinned(
    arrays: Mapping[str, np.ndarray], declared: Mapping[str, Variable], factor: int, every: int
) -> dict[str, np.ndarray]:
    """Return the records at every `factor`-th evaluation, which are then `every` steps apart.

    What no instrument declares any more stays as it is: no results hold it.
    """
    kept = {
        name: array[:, ::factor]
        if name in declared and declared[name].time == EVALUATIONS
        else array
        for name, array in arrays.items()
    }
    if "ended_by" in kept:  # one that was stopped goes as far as its last evaluation here
        stopped = kept["ended_by"] == ENDINGS.index("stopped")
        last = kept["last_step"]
        kept["last_step"] = np.where(stopped, last // every * every, last).astype(last.dtype)
    return kept | passed(kept, every * np.arange(kept["test_loss"].shape[1]))
