"""Names to objects: the only place that knows every registry."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np

from plateaus.data import design
from plateaus.experiment.schema import Component, ConfigError, Entry
from plateaus.experiment.values import nearest
from plateaus.fields import Field
from plateaus.models import mlp
from plateaus.optim import optimiser
from plateaus.tasks import sparse_parity
from plateaus.train import Recipe
from plateaus.types import Knobs


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSpec:
    """The lengths and counts of a run, the same for every task."""

    steps: Annotated[int, Field(help="optimiser steps", low=1, high=2**30, units="steps")] = 50_000
    batch: Annotated[int, Field(help="examples to a step", low=1, high=2**20)] = 20
    eval_every: Annotated[int, Field(help="steps between evaluations", low=1, high=2**30)] = 200
    log_every: Annotated[int, Field(help="steps averaged into a training loss", low=1)] = 100
    eval_points: Annotated[int, Field(help="examples of the test law", low=1, high=2**24)] = 2048
    seeds: Annotated[int, Field(help="number of seeds", low=1, high=2**20)] = 16


class NoKnobs(NamedTuple):
    """The run itself has no traced number."""


def _check_run(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if values["steps"] % values["eval_every"]:
        yield "eval_every", f"must divide steps ({values['steps']})"
    if values["eval_every"] % values["log_every"]:
        yield "log_every", f"must divide eval_every ({values['eval_every']})"
    if values["data.order"] == "epochs" and values["steps"] * values["batch"] >= 2**31:
        yield "steps", "steps x batch must be below 2^31 to go through the pool by epochs"
    if values["data.zipf_over"] == "batches" and values["task.dataset_size"] < values["batch"]:
        yield "batch", f"must be at most task.dataset_size ({values['task.dataset_size']})"


RUN = Component(RunSpec, NoKnobs, dict, _check_run)
DATA = Component(design.Spec, design.Knobs, design.design, design.check)
OPTIM = Component(optimiser.Spec, optimiser.Knobs, optimiser.optimiser)
TASKS = {
    "sparse_parity": Component(
        sparse_parity.Spec, sparse_parity.Knobs, sparse_parity.sparse_parity, sparse_parity.check
    ),
}
MODELS = {
    "mlp": Component(mlp.Spec, mlp.Knobs, lambda spec, x: mlp.mlp(spec, x.inputs.shape[-1])),
}


def sections(task: str, model: str) -> dict[str, Component]:
    """Return the sections of a config with this task and this model.

    Raises ConfigError, naming the nearest, for a name that is not registered.
    """
    problems = []
    for section, name, registry in (("task", task, TASKS), ("model", model, MODELS)):
        if name not in registry:
            near = nearest(str(name), registry)
            hint = f"; did you mean {near}?" if near else ""
            known = ", ".join(registry)
            problems.append(f"{section}.name = {name}: no such {section}{hint} (known: {known})")
    if problems:
        raise ConfigError(*problems)
    return {"": RUN, "task": TASKS[task], "data": DATA, "model": MODELS[model], "optim": OPTIM}


def used_knobs(schema: Mapping[str, Entry], config: Mapping[str, Any], swept) -> frozenset[str]:
    """Return the knobs that are swept or stand off their neutral value: what has to be compiled in.

    A function of what a run *is*, never of the values of a sweep, so that adding values later
    meets the same program.
    """
    return frozenset(
        name
        for name, entry in schema.items()
        if entry.knob and (name in swept or config[name] != entry.field.neutral)
    )


def _own(section: str, names) -> dict[str, str]:
    """Map the section's own field names to dotted names."""
    return {
        name.removeprefix(f"{section}."): name for name in names if name.startswith(f"{section}.")
    }


def make_spec(component: Component, section: str, config: Mapping[str, Any]) -> Any:
    """Return the component's spec with the values of its section."""
    own = {f.name for f in dataclasses.fields(component.spec)}
    names = _own(section, config)
    return component.spec(**{key: config[names[key]] for key in names if key in own})


def make_recipe(config: Mapping[str, Any], used: frozenset[str]) -> Recipe:
    """Build the static part of a program from one flat config (its knobs are not looked at)."""
    parts = sections(config["task.name"], config["model.name"])
    spec = {section: make_spec(part, section, config) for section, part in parts.items() if section}
    task = parts["task"].make(spec["task"])
    knobs = parts["task"].knobs()
    example = jax.eval_shape(
        lambda key: task.emit(key, task.init(key), 0, knobs), jax.eval_shape(jax.random.key, 0)
    )
    data_used, optim_used = (frozenset(_own(s, used)) for s in ("data", "optim"))
    return Recipe(
        task=task,
        source=parts["data"].make(spec["data"], config["batch"], task.size, data_used),
        model=parts["model"].make(spec["model"], example),
        optimiser=parts["optim"].make(spec["optim"], optim_used),
        phase_steps=config["eval_every"],
        log_every=config["log_every"],
        eval_points=config["eval_points"],
    )


def stack_knobs(schema: Mapping[str, Entry], configs: Sequence[Mapping[str, Any]]) -> Knobs:
    """Return the knobs of many runs with a leading runs axis: float32 and int32 arrays."""
    first = configs[0]
    parts = sections(first["task.name"], first["model.name"])

    def stack(section: str) -> Any:
        columns = {}
        for key in parts[section].knobs._fields:  # type: ignore[attr-defined] # a NamedTuple class
            name = f"{section}.{key}"
            dtype = np.int32 if schema[name].kind is int else np.float32
            columns[key] = np.asarray([config[name] for config in configs], dtype)
        return parts[section].knobs(**columns)

    return Knobs(*(stack(section) for section in Knobs._fields))
