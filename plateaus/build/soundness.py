"""A task as a config describes it: its shapes, and whether it keeps to the contract of tasks."""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Callable, Iterator
from typing import Any

import jax

from plateaus.config.component import Component
from plateaus.information import failure
from plateaus.tasks.contract import predicted, sound
from plateaus.types import Draw, Task


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage meanwhile: among a trace's many objects, looking takes a quarter of it."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def unsound(task: Component, spec: Any) -> tuple[str, ...]:
    """Return what is wrong with the task itself, not with what is asked of it."""
    return _faults(task.make, task.knobs, task.inputs, spec)


def shapes_of(task: Component, spec: Any) -> tuple[Task, Any]:
    """Return the task of a spec and the shapes of its examples."""
    return _made(task.make, task.knobs, spec)


def predictors_of(task: Component, spec: Any) -> tuple[str, ...]:
    """Return the names of the predictors of the task of a spec."""
    return _predictors(task.make, task.knobs, spec)


@functools.cache
@uncollected()
def _faults(
    make: Callable[..., Task], knobs: Callable[[], Any], inputs: str, spec: Any
) -> tuple[str, ...]:
    try:
        return tuple(sound(_task(make, spec), knobs(), inputs))
    except Exception as error:
        return (failure(error),)


@functools.cache
@uncollected()
def _made(make: Callable[..., Task], knobs: Callable[[], Any], spec: Any) -> tuple[Task, Any]:
    task, values = _task(make, spec), knobs()
    key = jax.eval_shape(jax.random.key, 0)
    return task, jax.eval_shape(
        lambda key, w: task.emit(key, task.init(w), Draw(0), values), key, key
    )


@functools.cache
def _task(make: Callable[..., Task], spec: Any) -> Task:
    return make(spec)


@functools.cache
@uncollected()
def _predictors(make: Callable[..., Task], knobs: Callable[[], Any], spec: Any) -> tuple[str, ...]:
    return tuple(predicted(_made(make, knobs, spec)[0], knobs())[1])
