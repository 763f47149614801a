"""Of which kind the fields of a task are, before any of its functions is called."""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from plateaus.types import Groups, Learned, OtherLaw, Reads, Task

_FUNCTIONS = ("init", "emit", "emit_test", "loss", "test_loss", "predictors", "at")
_OPTIONAL = ("distance", "item")


def problems(task: Any) -> Iterator[str]:
    """Yield a line for each field of a task that is not of its kind.

    >>> list(problems(None))
    ['must be made: a Task, not None (is a `return` missing?)']
    """
    if not isinstance(task, Task):
        hint = " (is a `return` missing?)" if task is None else ""
        yield f"must be made: a Task, not {_kind(task)}{hint}"
        return
    for name in (*_FUNCTIONS, *_OPTIONAL):
        value = getattr(task, name)
        if not (callable(value) or (value is None and name in _OPTIONAL)):
            yield f"{name}: must be a function, not {_kind(value)}"
    for name in ("metrics", "axes", "laws"):
        if not isinstance(value := getattr(task, name), Mapping):
            yield f"{name}: must be a dict by names, not {_kind(value)}"
    if not isinstance(task.reads, Reads):
        yield f"reads: must be a Reads, not {_kind(task.reads)}"
    if isinstance(task.groups, Groups):
        yield from _of_groups(task.groups)
    elif task.groups is not None:
        yield f"groups: must be Groups or None, not {_kind(task.groups)}"
    for name in ("uninformed", "best"):
        if not isinstance(value := getattr(task, name), str):
            yield f"{name}: must be the name of a predictor, not {_kind(value)}"
    whole = isinstance(task.size, numbers.Integral) and not isinstance(task.size, bool)
    if not whole or task.size < 1:
        yield f"size: must be an integer of at least 1, not {task.size!r}"
    yield from _entries("metrics", task.metrics)
    for name, axis in task.axes.items() if isinstance(task.axes, Mapping) else ():
        if not isinstance(axis, str):
            yield f"axes[{name!r}]: must be the name of one axis, not {_kind(axis)}"
    for name, law in task.laws.items() if isinstance(task.laws, Mapping) else ():
        if not isinstance(law, OtherLaw):
            yield f"laws[{name!r}]: must be an OtherLaw, not {_kind(law)}"
        elif law.measures is not None and not isinstance(law.measures, Mapping):
            yield f"laws[{name!r}].measures: must be a dict by names, not {_kind(law.measures)}"
        else:
            yield from _entries(f"laws[{name!r}].measures", law.measures or {})


def _of_groups(groups: Groups) -> Iterator[str]:
    for name in ("names", "target"):
        if not isinstance(value := getattr(groups, name), tuple):
            yield f"groups.{name}: must be a tuple, not {_kind(value)}"
    if not callable(groups.of):
        yield f"groups.of: must be a function, not {_kind(groups.of)}"
    if not isinstance(groups.learned, Learned | None):
        yield f"groups.learned: must be a Learned or None, not {_kind(groups.learned)}"
    for name in ("emit_target", "emit_mixed"):
        if not (callable(value := getattr(groups, name)) or value is None):
            yield f"groups.{name}: must be a function, not {_kind(value)}"


def _entries(field: str, functions: Any) -> Iterator[str]:
    for name, function in functions.items() if isinstance(functions, Mapping) else ():
        if not callable(function):
            yield f"{field}[{name!r}]: must be a function, not {_kind(function)}"


def inputs_problems(task: Task, example: Any, inputs: str) -> Iterator[str]:
    """Yield what is wrong with what a model is given, where it takes `inputs`; "": not known."""
    leaves = jax.tree.leaves(example.inputs)
    array = hasattr(example.inputs, "shape")
    are = shown(example.inputs) if array else f"{_kind(example.inputs)} of {shown(leaves)}"
    if inputs == "vector" and not (array and len(example.inputs.shape) == 1):
        yield f"inputs: must be a vector, are {are}"
    if inputs == "tokens" and not (array and len(example.inputs.shape) in (1, 2)):
        yield f"inputs: must be a sequence of tokens, are {are}"
    images = isinstance(example.inputs, tuple) and len(example.inputs) == 2
    if inputs == "image_text" and not images:
        yield f"inputs: must be an image and its captions, are {are}"
    discrete = len(leaves) == 1 and jnp.issubdtype(leaves[0].dtype, jnp.integer)
    if inputs in ("", "tokens") and discrete and task.reads.vocabulary is None:
        yield "reads.vocabulary: must be given where inputs are integers: how many tokens there are"
    if inputs == "tokens" and array:
        rank = len(example.inputs.shape)
        if discrete and task.reads.vocabulary is not None and rank != 1:
            yield f"inputs: tokens must be integers of one axis, are {are}"
        if not discrete and rank == 1:
            yield f"inputs: numbers must be vectors, one a token, are {are}"
    if task.reads.vocabulary is not None and len(leaves) == 1 and not discrete:
        yield f"reads.vocabulary: is given, but inputs are {shown(leaves[0])}, not tokens"


def shown(tree: Any) -> str:
    """Return shapes as a reader writes them.

    >>> shown({"x": jnp.zeros((2, 3)), "y": jnp.int32(0)})
    'float32[2, 3], int32[]'
    """
    leaves = [x for x in jax.tree.leaves(tree) if hasattr(x, "shape")]
    return ", ".join(f"{x.dtype}[{', '.join(map(str, x.shape))}]" for x in leaves) or repr(tree)


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
