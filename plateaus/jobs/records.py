"""From the curves of a chunk to the records of its runs: the variables of results.nc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from plateaus import groups
from plateaus.build import gradients, mixing_cost
from plateaus.build.run_fields import batch_of
from plateaus.build.soundness import predictors_of, shapes_of
from plateaus.config.component import Resolved
from plateaus.config.schema import ConfigError
from plateaus.data import mixtures
from plateaus.jobs.endings import AVERAGED, BOUNDS, Ends, cut
from plateaus.measures import plateau
from plateaus.measures import registry as instruments
from plateaus.measures.by_task import passages
from plateaus.report.store import ENDING_OF, ENDINGS, FINISHED
from plateaus.tasks import recorded
from plateaus.variables import ONCE, WINDOWS, Variable

STEPS = "optimiser steps"
_PASSAGE = "first evaluation at which the mean over three evaluations of the normalised test loss"
VARIABLES = {
    "train_loss": Variable(
        "training loss, mean over the log window that ends at `step`", "loss", time=WINDOWS
    ),
    **{
        name: Variable(f"{_PASSAGE} is under {threshold}; NaN if never", STEPS, time=ONCE)
        for name, threshold in plateau.THRESHOLDS.items()
    },
    **{
        f"trained_{name}": Variable(f"{name}, of the loss on trained items only", STEPS, time=ONCE)
        for name in plateau.THRESHOLDS
    },
    "parameters": Variable("numbers in the model's weights", time=ONCE),
    "batch_size": Variable("examples to an optimiser step", "examples", time=ONCE),
    "status": Variable(
        "what became of the run",
        time=ONCE,
        notes={
            "flag_values": [0, 1, 2, 3],
            "flag_meanings": "not_run finished diverged unfinished",
        },
    ),
    "ended_by": Variable(
        "why the run ended: at the horizon, diverged, at the event of --stop-when, or stopped by a "
        "budget or a signal, in which case it can go on",
        time=ONCE,
        notes={"flag_values": [*range(len(ENDINGS))], "flag_meanings": " ".join(ENDINGS)},
    ),
    "last_step": Variable(
        "last evaluation of the run, or the step at which it diverged", STEPS, time=ONCE
    ),
}


class Facts(NamedTuple):
    """The facts about a program that its runs' records follow from, beside their curves."""

    variables: Mapping[str, Variable]
    learned_below: tuple[float, ...]  # of the task's groups
    gradients: float  # the cost of the groups' gradients, as a part of a step: see `mixing_cost`


def variables(resolved: Resolved) -> dict[str, Variable]:
    """Return the variables that runs of a config may record, with any instruments, by name."""
    section, spec = resolved.sections["task"], resolved.spec("task")
    task, model = shapes_of(section, spec)[0], resolved.sections["model"]
    assert model.layers is not None
    layers = model.layers(resolved.spec("model"))
    by_task = groups.VARIABLES | mixtures.VARIABLES | passages.VARIABLES | mixing_cost.VARIABLES
    others = {
        **(by_task if task.groups else {}),
        **gradients.VARIABLES,
        **instruments.variables(task, layers),
        **VARIABLES,
    }
    measured = recorded.variables(task, predictors_of(section, spec))
    if both := sorted({*measured} & {*others}):
        raise ConfigError(f"{', '.join(both)}: of every run; give the task's law another name")
    return measured | others


def records_of(
    curves: Mapping[str, np.ndarray],
    ended: Ends,
    facts: Facts,
    config: Mapping[str, Any],
    members: int,
    parameters: int,
) -> dict[str, np.ndarray]:
    """Return the variables of results.nc for the members of a chunk, stacked on the first axis.

    Args:
      curves: of all runs of the chunk, padded ones included; nothing after a run's end is used.
      ended: where the records of the members end.
      parameters: the number of the model's weights.
    """
    curves = {name: array[:members] for name, array in curves.items()}
    intervals = config["log_every"], config["eval_every"]
    whole = ended.ending != ENDINGS.index("diverged")  # these have their NaN where it belongs
    last = np.where(whole, ended.step, config["steps"])
    curves = cut(curves, last, facts.variables, *intervals)
    kept = mixing_cost.kept_model(config, curves, facts.variables)
    stacked = {
        name: array[:, 0] if facts.variables[name].time == ONCE else array
        for name, array in kept.items()
    }
    steps = config["eval_every"] * np.arange(stacked["test_loss"].shape[1])
    if facts.learned_below:
        stacked |= passages.by_task(stacked, config["log_every"], facts.learned_below)
    stacked |= passed(stacked, steps)
    stacked |= mixing_cost.records(config, stacked, steps, facts.gradients)
    stacked["parameters"] = np.full(members, parameters, np.int64)
    stacked["batch_size"] = np.full(members, batch_of(config), np.int32)
    stacked["last_step"], stacked["ended_by"] = ended
    stacked["status"] = _status(ended.ending)
    return stacked


def passed(stacked: Mapping[str, np.ndarray], steps: np.ndarray) -> dict[str, np.ndarray]:
    """Return the steps at which curves over the evaluations pass a level; `steps` are those of T.

    They follow from the curves [R, T, ...] in `stacked`, and so from the grid of the evaluations.
    """
    found: dict[str, np.ndarray] = {}
    for loss, prefix in (("test_loss", ""), ("test_loss_trained", "trained_")):
        if loss in stacked:
            level = plateau.normalised(stacked[loss], *(stacked[name] for name in BOUNDS))
            for name, threshold in plateau.THRESHOLDS.items():
                step = plateau.passage_step(level, steps, threshold, AVERAGED)
                found[f"{prefix}{name}"] = step
    return found | passages.mixed(stacked, steps)


def _status(ending: np.ndarray) -> np.ndarray:
    by_name = {name: status for status, name in ENDING_OF.items()}
    by_ending = np.asarray([by_name.get(name, FINISHED) for name in ENDINGS], np.int8)
    return by_ending[ending]
