"""Of which kind the fields of a task are, before any of its functions is called."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from plateaus.types import Groups, Learned, OtherLaw, Reads, Task

_FUNCTION = (Callable, "a function")
_OPTIONAL = (Callable | None, "a function")
_TASK: dict[str, tuple[Any, str]] = {  # field -> what it may be, and the words for that
    **dict.fromkeys(
        ("init", "emit", "emit_test", "loss", "test_loss", "predictors", "at"), _FUNCTION
    ),
    **dict.fromkeys(("distance", "item"), _OPTIONAL),
    **dict.fromkeys(("metrics", "axes", "laws"), (Mapping, "a dict by names")),
    "reads": (Reads, "a Reads"),
    "groups": (Groups | None, "Groups or None"),
    **dict.fromkeys(("uninformed", "best"), (str, "the name of a predictor")),
}
_GROUPS: dict[str, tuple[Any, str]] = {
    **dict.fromkeys(("names", "target"), (tuple, "a tuple")),
    "of": _FUNCTION,
    "learned": (Learned | None, "a Learned or None"),
    **dict.fromkeys(("emit_target", "emit_mixed"), _OPTIONAL),
}


def problems(task: Any) -> Iterator[str]:
    """Yield a line for each field of a task that is not of its kind.

    >>> list(problems(None))
    ['must be made: a Task, not None (is a `return` missing?)']
    """
    if not isinstance(task, Task):
        hint = " (is a `return` missing?)" if task is None else ""
        yield f"must be made: a Task, not {_kind(task)}{hint}"
        return
    for name, kind in _TASK.items():
        yield from _unless(kind, name, getattr(task, name))
    if isinstance(task.groups, Groups):
        for name, kind in _GROUPS.items():
            yield from _unless(kind, f"groups.{name}", getattr(task.groups, name))
    whole = isinstance(task.size, numbers.Integral) and not isinstance(task.size, bool)
    if not whole or task.size < 1:
        yield f"size: must be an integer of at least 1, not {task.size!r}"
    yield from _entries(_FUNCTION, "metrics", task.metrics)
    yield from _entries((str, "the name of one axis"), "axes", task.axes)
    yield from _entries((OtherLaw, "an OtherLaw"), "laws", task.laws)
    for name, law in task.laws.items() if isinstance(task.laws, Mapping) else ():
        if isinstance(law, OtherLaw):
            field = f"laws[{name!r}].measures"
            yield from _unless((Mapping | None, "a dict by names"), field, law.measures)
            yield from _entries(_FUNCTION, field, law.measures)


def _unless(kind: tuple[Any, str], field: str, value: Any) -> Iterator[str]:
    """Yield a line unless a value is of a kind."""
    types, words = kind
    if not isinstance(value, types):
        yield f"{field}: must be {words}, not {_kind(value)}"


def _entries(kind: tuple[Any, str], field: str, values: Any) -> Iterator[str]:
    """Yield a line for each value of a dict that is not of a kind; nothing for what is no dict."""
    for name, value in values.items() if isinstance(values, Mapping) else ():
        yield from _unless(kind, f"{field}[{name!r}]", value)


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
