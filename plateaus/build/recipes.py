"""Names to objects: from a flat config to the parts of a run and the numbers of many."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from plateaus.build import gradients, mixing, own_parts, regrouping, run_fields
from plateaus.build.registry import DATA, MODELS, OPTIM, TASKS
from plateaus.build.run_fields import NoKnobs, batch_of, run_spec
from plateaus.build.soundness import shapes_of, unsound
from plateaus.config.component import Component, Entry, Resolved, faults
from plateaus.config.schema import ConfigError, lenient_spec
from plateaus.config.values import shown
from plateaus.data.designs import knobs_of, spec_of
from plateaus.fields import INFINITE
from plateaus.measures import registry as instruments
from plateaus.measures.instrument import Parts
from plateaus.names import hint
from plateaus.optim.optimisers import RATE, knobs_with_rates
from plateaus.recipe import Recipe
from plateaus.types import Knobs


def _check_run(
    of_task: Component, of_model: Component, values: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    yield from run_fields.check(values)
    if _refused(of_task, values):
        return  # the task says why: nothing can be built of it
    spec = of_task.spec_of("task", values)
    if difference := regrouping.differ(_groups(of_task, spec), values):
        yield "task.clusters", difference
        return
    if faults := unsound(of_task, spec):
        yield from (("task.name", fault) for fault in faults)
        return
    batch = batch_of(values)
    task, example = shapes_of(of_task, spec)
    if (groups := _groups(of_task, spec)) != task.group_names:
        says, has = (", ".join(names) or "none" for names in (groups, task.group_names))
        yield "task.name", f"`groups` of its component says {says}; the task's groups are {has}"
        return
    if task.size < values["data.items"] < INFINITE:
        yield "data.items", f"must be at most {task.size}: {values['task.name']} has no more"
    most = max(1, round(values["data.subset"] * min(values["data.items"], task.size)))
    if most <= values["data.curriculum_start"] < INFINITE:
        yield "data.curriculum_start", f"does not grow: {most} items are in play at most"
    least = min(most, values["data.curriculum_start"])
    if values["data.zipf_over"] == "batches" and least < batch:
        yield (
            "batch",
            f"must be at most the items in play ({least}), cut into batches",
        )
    opening = values["data.curriculum_step"]
    opening += round(values["data.curriculum_multiple"] * values["data.plateau_steps"])
    if values["data.curriculum_start"] < INFINITE and opening >= values["steps"]:
        yield "data.curriculum_start", f"does not grow: its first stage takes {opening} steps"
    still = values["data.curriculum_start"] == INFINITE and not opening
    if values["data.curriculum_doubling"] and still:
        yield "data.curriculum_doubling", "does not grow: give data.curriculum_start and a step"
    tokens = example.inputs.shape[0] if of_task.inputs == "tokens" else 0
    limited = values.get("model.positions") != "rotary" and "model.max_positions" in values
    if limited and tokens > values["model.max_positions"]:
        yield "model.max_positions", f"must be at least {tokens}, the tokens of a prompt"
    if values.get("model.fixed_instruction") and values.get("task.instruction") != "one_hot":
        yield "model.fixed_instruction", "needs task.instruction = one_hot, the token it replaces"
    if values.get("model.tied") and task.reads.vocabulary is None:
        yield "model.tied", "continuous tokens have no embedding to read out with"
    yield from instruments.check(values, task, tokens)
    layers = _layers(of_model, of_model.spec_of("model", values))
    yield from mixing.check(values, layers)
    for name in values:
        layer = name.removeprefix(f"optim.{RATE}")
        if layer != name and layer not in layers and values[name] != 1.0:
            yield name, f"no such layer here; there are {', '.join(layers)}"


def _refused(task: Component, values: Mapping[str, Any]) -> bool:
    """Return whether the task's check refuses the values or fails; its messages are its affair."""
    fields = {key: values[name] for key, name in task.config_names("task", values).items()}
    try:
        return task.check is not None and any(True for _ in task.check({**values, **fields}))
    except Exception:
        return True


def _layers(model: Component, spec: Any) -> tuple[str, ...]:
    """Return the layers of a model."""
    assert model.layers is not None
    return model.layers(spec)


def _groups(task: Component, spec: Any) -> tuple[str, ...]:
    """Return the names of a task's groups; () for a task without groups."""
    return () if task.groups is None else task.groups(spec)


def _unnamed(task: Component, spec: Any, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the problems with the names of a task's families, and with its domains.

    This check comes first, since the fields of `data` follow from these names. The task's check
    runs at the default sizes; `spec` has the sound values of `config`.
    """
    name = task.groups_from
    if task.groups is None:
        return
    if task.borrows:  # of files
        try:
            task.groups(spec)
        except ValueError as error:
            yield f"{name} = {shown(config.get(name, ''))}: {error}"
            return
    elif isinstance(config.get(name), str):
        assert task.check is not None
        sizes = {field.name: field.default for field in dataclasses.fields(task.spec)}
        for field, message in task.check({**sizes, "families": config[name]}):
            if field == "families":  # of other fields it is the config's values that count
                yield f"{name} = {shown(config[name])}: {message}"
                return
    else:
        return
    yield from regrouping.unnamed(task, spec, config)


def sections(config: Mapping[str, Any]) -> dict[str, Component]:
    """Return the sections of a flat config, by its `task.name` and `model.name`.

    The optimiser has a learning-rate multiplier for each layer of the model, the design the knobs
    of a mixture for each group of the task.
    Raises ConfigError, naming the nearest, for a name that is not registered, a family too, and for
    a model that does not take what the task emits.
    """
    problems = []
    for section, registry in (("task", TASKS), ("model", MODELS)):
        name = config[f"{section}.name"]
        if name not in registry:
            nearest = hint(str(name), registry)
            problems.append(f"{section}.name = {name}: no such {section}{nearest}")
    if problems:
        raise ConfigError(*problems)
    task, model = TASKS[config["task.name"]], MODELS[config["model.name"]]
    for section, part in (("task", task), ("model", model)):
        name = config[f"{section}.name"]
        problems += [f"{section}.name = {name}: {line}" for line in faults(part, section)]
    if problems:
        raise ConfigError(*problems)
    if task.inputs != model.inputs:
        fitting = ", ".join(name for name, other in MODELS.items() if other.inputs == task.inputs)
        raise ConfigError(
            f"model.name = {config['model.name']}: takes a {model.inputs}, but "
            f"{config['task.name']} emits {task.inputs}; use {fitting}"
        )
    of_task, of_model = (
        lenient_spec(part, section, config) for section, part in (("task", task), ("model", model))
    )
    if problems := list(_unnamed(task, of_task, config)):
        raise ConfigError(*problems)
    if problems := list(own_parts.faults()):
        raise ConfigError(*problems)
    try:
        run = Component(run_spec(), NoKnobs, dict, functools.partial(_check_run, task, model))
        data = DATA._replace(spec=spec_of(), knobs=knobs_of(_groups(task, of_task)))
        optim = OPTIM._replace(knobs=knobs_with_rates(_layers(model, of_model)))
    except TypeError as error:  # a part of one's own has a field that is there already
        raise ConfigError(str(error)) from error
    return {"": run, "task": task, "data": data, "model": model, "optim": optim}


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


def make_recipe(resolved: Resolved, used: frozenset[str]) -> Recipe:
    """Build the static part of a program from one setting (its knobs are not looked at)."""
    config, parts = resolved.config, resolved.sections
    spec = {section: resolved.spec(section) for section in parts}
    task, example = shapes_of(parts["task"], spec["task"])
    # a sweep over the depth may leave multipliers of layers not there
    names = _layers(parts["model"], spec["model"])
    knobs = {name: frozenset(parts[name].config_names(name, used)) for name in ("data", "optim")}
    rates = {name for name in knobs["optim"] if name.startswith(RATE)}
    gone = {name for name in rates if name.removeprefix(RATE) not in names}
    model = parts["model"].make(spec["model"], task, example)
    read_all = task._replace(reads=task.reads._replace(at=slice(None)))
    everywhere = parts["model"].make(spec["model"], read_all, example)
    measured = Parts(task, model, everywhere)
    layers = mixing.tracked_layers(
        config["data.mixer_layers"], names, config.get("model.tied", False)
    )
    use = mixing.in_use(spec["data"], model, task, layers)
    feedback = mixing.feedback(spec["data"], task, layers)
    surgery = gradients.surgery(spec["optim"])
    # Of the last layer alone, the groups' gradients come out of the ordinary backward pass for next
    # to nothing; of more layers they cost less from captured factors (benchmarks/mixing).
    below = feedback is not None and feedback.sums is not None and layers != names[-1:]
    captured = surgery is not None or below
    return Recipe(
        task=task,
        source=parts["data"].make(
            spec["data"], batch_of(config), task.size, knobs["data"], task.group_names, use
        ),
        model=model,
        optimiser=parts["optim"].make(spec["optim"], knobs["optim"] - gone),
        steps=config["steps"],
        phase_steps=config["eval_every"],
        log_every=config["log_every"],
        eval_points=config["eval_points"],
        pool_points=config["pool_points"],
        gradients=gradients.gradients_of(model, task) if captured else None,
        surgery=surgery,
        feedback=feedback,
        batch_probes=instruments.batch_probes(config, measured),
        probes=instruments.probes(config, measured),
    )


def stack_knobs(resolved: Resolved, configs: Sequence[Mapping[str, Any]]) -> Knobs:
    """Return the knobs of many settings with a leading runs axis: float32 and int32 arrays."""
    schema = resolved.schema
    knobs = [name for name, entry in schema.items() if entry.knob]

    def stack(section: str) -> Any:
        columns = {}
        for key, name in resolved.sections[section].config_names(section, knobs).items():
            dtype = np.int32 if schema[name].kind is int else np.float32
            columns[key] = np.asarray([config[name] for config in configs], dtype)
        return resolved.sections[section].knobs(**columns)

    return Knobs(*(stack(section) for section in Knobs._fields))
