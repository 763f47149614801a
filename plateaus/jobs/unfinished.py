"""Runs that are not at their end: whether a record goes far enough, and records of checkpoints."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from plateaus.config.plan import Plan
from plateaus.jobs import begun, checkpoint, endings, observations
from plateaus.jobs.records import Facts, records_of
from plateaus.jobs.sweep import Chunk, Member
from plateaus.report.store import ENDINGS


class Partial(NamedTuple):
    """The record of a run until its last checkpoint."""

    record: dict[str, np.ndarray]
    name: Any  # of the run, in files
    exactness: Mapping[str, Any]
    observed: Mapping[str, Any]


def goes_far_enough(record: Mapping[str, np.ndarray], steps: int, event: str | None) -> bool:
    """Return whether a run's record comes to a plan's horizon, or to the event that ends it.

    A record that stops at an event does not hold what comes after it, so that only a command that
    stops there as well has no use for more.
    """
    if ENDINGS[int(record["ended_by"])] == "diverged" or int(record["last_step"]) >= steps:
        return True
    return event is not None and not np.isnan(float(record[endings.EVENTS[event]]))


def length(record: Mapping[str, np.ndarray]) -> float:
    """Return how far a record goes, in steps: infinitely for a run that diverged."""
    if ENDINGS[int(record["ended_by"])] == "diverged":
        return math.inf
    return float(record["last_step"])


def records(
    plan: Plan,
    place: Path,
    chunks: tuple[Chunk, ...],
    facts: Callable[[Chunk], tuple[Facts, int]],
) -> dict[Member, Partial]:
    """Return the records of the runs of chunks that have a checkpoint, until there.

    Args:
      facts: chunk -> the facts that its records follow from, and the parameters of its model.
    """
    found: dict[Member, Partial] = {}
    for chunk in chunks:
        saved = checkpoint.load(begun.place_of(place, chunk), lambda line: None)
        if saved is None or saved[1]["chunk"] != chunk.address:
            continue
        arrays, meta = saved
        config, members = chunk.program.config, len(chunk.members)
        diverged_at = arrays["state.diverged_at"][:members]
        curves = {name: value for name, value in arrays.items() if not name.startswith("state.")}
        done = meta["phases"] * config["eval_every"]
        never = np.full(members, np.nan)
        ended = endings.ends(never, diverged_at, done, config["steps"], None)
        known, parameters = facts(chunk)
        stacked = records_of(curves, ended, known, config, members, parameters)
        for i, member in enumerate(chunk.members):
            record = {name: array[i] for name, array in stacked.items()}
            observed = observations.of(plan)
            found[member] = Partial(record, chunk.names[i], meta["exactness"], observed)
    return found
