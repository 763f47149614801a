"""The task of a config: its shapes, and whether it fulfils the contract of tasks."""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Callable, Iterator
from typing import Any

from plateaus.config.component import Component
from plateaus.information import failure
from plateaus.tasks.contract import Traced, sound
from plateaus.types import Task


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Suspend garbage collection, which takes a quarter of a trace because of its many objects."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def unsound(task: Component, spec: Any) -> tuple[str, ...]:
    """Return the faults of the task itself, as opposed to faults of the config."""
    return _faults(task.make, task.knobs, task.inputs, spec)


def traced(task: Component, spec: Any) -> Traced:
    """Return the task of a spec, whose functions are traced only once."""
    return _traced(task.make, task.knobs, spec)


def shapes_of(task: Component, spec: Any) -> tuple[Task, Any]:
    """Return the task of a spec and the shapes of its examples."""
    made = traced(task, spec)
    return made.task, made.example


def predictors_of(task: Component, spec: Any) -> tuple[str, ...]:
    """Return the names of the predictors of the task of a spec."""
    return tuple(traced(task, spec).predictions)


@functools.cache
@uncollected()
def _faults(
    make: Callable[..., Task], knobs: Callable[[], Any], inputs: str, spec: Any
) -> tuple[str, ...]:
    try:
        return tuple(sound(_traced(make, knobs, spec), inputs))
    except Exception as error:
        return (failure(error),)


@functools.cache
def _traced(make: Callable[..., Task], knobs: Callable[[], Any], spec: Any) -> Traced:
    return Traced(make(spec), knobs())
