"""From the curves of a chunk to the records of its runs: the variables of results.nc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from plateaus import train
from plateaus.build import mixing_cost
from plateaus.build.recipes import batch_of
from plateaus.measures import plateau
from plateaus.measures.by_task import passages
from plateaus.report.store import DIVERGED, FINISHED

BOUNDS = ("uninformed_loss", "best_loss")  # of the plateau, constant over a run
WINDOW = 3  # evaluations averaged to tell a passage


def records_of(
    curves: Mapping[str, np.ndarray],
    diverged_at: np.ndarray,
    config: Mapping[str, Any],
    members: int,
    constants: tuple[str, ...] = BOUNDS,
    learned_below: tuple[float, ...] = (),
    gradients: float = 0.0,
    parameters: int = 0,
) -> dict[str, np.ndarray]:
    """Return the variables of results.nc for the members of a chunk, stacked on the first axis.

    `constants` are the curves that hold one measurement for the whole run.
    """
    stacked = {
        name: array[:members, 0] if name in constants else array[:members]
        for name, array in mixing_cost.kept_model(config, curves).items()
    }
    steps = config["eval_every"] * np.arange(stacked["test_loss"].shape[1])
    level = plateau.normalised(stacked["test_loss"], *(stacked[name] for name in BOUNDS))
    for name, threshold in plateau.THRESHOLDS.items():
        stacked[name] = plateau.passage_step(level, steps, threshold, WINDOW)
    if "test_loss_trained" in stacked:
        level = plateau.normalised(
            stacked["test_loss_trained"], *(stacked[name] for name in BOUNDS)
        )
        for name, threshold in plateau.THRESHOLDS.items():
            stacked[f"trained_{name}"] = plateau.passage_step(level, steps, threshold, WINDOW)
    if learned_below:
        stacked |= passages.by_task(stacked, config["log_every"], learned_below)
    stacked |= passages.mixed(stacked, steps)
    stacked |= mixing_cost.records(config, stacked, steps, gradients)
    stacked["parameters"] = np.full(members, parameters, np.int64)
    stacked["batch_size"] = np.full(members, batch_of(config), np.int32)
    diverged = diverged_at[:members] != train.NEVER
    stacked["status"] = np.where(diverged, DIVERGED, FINISHED).astype(np.int8)
    stacked["last_step"] = np.where(diverged, diverged_at[:members], config["steps"]).astype(
        np.int32
    )
    return stacked
