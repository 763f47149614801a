"""The fields of a config outside its sections: lengths and counts, and the size of a batch."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

from plateaus.data.designs import groups_of
from plateaus.data.mixtures import positive
from plateaus.fields import INFINITE, Field, joined
from plateaus.measures.instrument import Instrument
from plateaus.measures.registry import INSTRUMENTS, fields
from plateaus.optim.optimisers import NO_AGGREGATOR


@dataclasses.dataclass(frozen=True, kw_only=True)
class _RunSpec:
    """The lengths and counts of a run, the same for every task, and its instruments."""

    steps: Annotated[
        int, Field(help="optimiser steps", low=1, high=2**30, units="steps", sweepable=False)
    ] = 50_000
    batch: Annotated[int, Field(help="examples to a step", low=1, high=2**20)] = 20
    eval_every: Annotated[
        int, Field(help="steps between evaluations", low=1, high=2**30, sweepable=False)
    ] = 200
    log_every: Annotated[
        int, Field(help="steps averaged into a training loss", low=1, sweepable=False)
    ] = 100
    eval_points: Annotated[
        int, Field(help="examples of the test law", low=1, high=2**24, sweepable=False)
    ] = 2048
    pool_points: Annotated[
        int,
        Field(
            help="fresh examples of the training law evaluated on",
            low=0,
            high=2**24,
            sweepable=False,
        ),
    ] = 0
    batch_per_item: Annotated[
        float,
        Field(help="batch as a multiple of data.items; 0: `batch`", low=0, neutral=0.0),
    ] = 0.0
    seeds: Annotated[int, Field(help="number of seeds", low=1, high=2**20, sweepable=False)] = 16


def run_spec() -> Any:
    """Return the class `RunSpec` with the fields of all instruments that are registered by now."""
    return _run_spec(tuple(INSTRUMENTS.values()))


@functools.cache
def _run_spec(instruments: tuple[Instrument, ...]) -> Any:
    return joined(_RunSpec, fields(instruments))


class NoKnobs(NamedTuple):
    """The run itself has no traced number."""


def batch_of(values: Mapping[str, Any]) -> int:
    """Return the examples to a step: `batch`, or that of each group, or a multiple of the items.

    >>> batch_of({"batch": 20, "batch_per_item": 0.25, "data.items": 64})
    16
    """
    if values.get("data.batch_split") == "per_task":
        return values["batch"] * max(1, len(_in_mixture(values)))
    if not values["batch_per_item"]:
        return values["batch"]
    return max(1, round(values["batch_per_item"] * values["data.items"]))


def design_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section `data` of a flat config, without the prefix of its names."""
    return {n.removeprefix("data."): v for n, v in values.items() if n.startswith("data.")}


def _in_mixture(values: Mapping[str, Any]) -> list[str]:
    """Return the groups that a flat config draws."""
    design = design_of(values)
    return positive(design, groups_of(design))


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for lengths that do not fit one another, whatever the task."""
    if values["steps"] % values["eval_every"]:
        yield "eval_every", f"must divide steps ({values['steps']})"
    if values["eval_every"] % values["log_every"]:
        yield "log_every", f"must divide eval_every ({values['eval_every']})"
    batch = batch_of(values)
    if values["batch_per_item"] and values["data.batch_split"] == "per_task":
        yield "batch_per_item", "cannot be combined with data.batch_split = per_task"
    if values["eval_points"] < len(families := groups_of(design_of(values))):
        yield "eval_points", f"must be at least {len(families)}, the number of families"
    tasks = len(_in_mixture(values))
    if values["data.mixing"] == "split" and batch < tasks:
        yield "batch", f"must be at least {tasks}, the number of tasks in the mixture"
    if values["batch_per_item"] and values["data.items"] == INFINITE:
        yield "batch_per_item", "needs a finite data.items"
    elif batch > 2**20:
        yield "batch_per_item", f"gives {batch} examples to a step: at most {2**20}"
    if values["optim.aggregator"] != NO_AGGREGATOR and batch < 2:
        yield "optim.aggregator", f"needs two examples to a step to combine; there is {batch}"
    if values["data.order"] == "epochs" and values["steps"] * batch >= 2**31:
        yield "steps", "steps x batch must be below 2^31 to go through the pool by epochs"
