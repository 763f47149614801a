"""A task as a config describes it: its shapes, and whether it keeps to the contract of tasks."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax

from plateaus.build.registry import TASKS
from plateaus.config.component import Component
from plateaus.information import failure
from plateaus.tasks.contract import predicted, sound
from plateaus.types import Draw, Task


def make_spec(component: Component, section: str, config: Mapping[str, Any]) -> Any:
    """Return the component's spec with the values of its section."""
    return component.spec_of(section, config)


def unsound(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what is wrong with the task itself, not with what is asked of it."""
    name = config["task.name"]
    return _faults(name, make_spec(TASKS[name], "task", config))


@functools.cache
def _faults(name: str, spec: Any) -> tuple[str, ...]:
    try:
        task = TASKS[name].make(spec)
    except Exception as error:
        return (failure(error),)
    return tuple(sound(task, TASKS[name].knobs()))


@functools.cache
def _made(name: str, spec: Any) -> tuple[Task, Any]:
    task, knobs = TASKS[name].make(spec), TASKS[name].knobs()
    key = jax.eval_shape(jax.random.key, 0)
    return task, jax.eval_shape(
        lambda key, w: task.emit(key, task.init(w), Draw(0), knobs), key, key
    )


def shapes_of(config: Mapping[str, Any]) -> tuple[Task, Any]:
    """Return the task of a config and the shapes of its examples."""
    name = config["task.name"]
    return _made(name, make_spec(TASKS[name], "task", config))


@functools.cache
def _predictors(name: str, spec: Any) -> tuple[str, ...]:
    return tuple(predicted(_made(name, spec)[0], TASKS[name].knobs())[1])


def predictors_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the predictors of a config's task."""
    name = config["task.name"]
    return _predictors(name, make_spec(TASKS[name], "task", config))
