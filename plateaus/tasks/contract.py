"""What every task keeps to, as far as shapes tell: checked before anything is trained."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from plateaus.names import hint
from plateaus.tasks import kinds, recorded
from plateaus.tasks.kinds import shown
from plateaus.types import Draw, Example, Model, Task

KEPT = 16  # functions of tasks that are traced once: JAX knows them by identity
_POINTS = 7  # examples of the batch that predictors are asked about: enough to rank some


class Unsound(Exception):
    """A task breaks its contract; the message is one line."""


def sound(task: Any, knobs: Any, inputs: str = "") -> Iterator[str]:
    """Yield a line for each way in which a task breaks its contract; `knobs` at any values.

    `inputs`: what its component says that it emits, if it is known.

    Only shapes and names are looked at, by `jax.eval_shape`: nothing is computed. Checked are that
    every function of the task can be called as `Task` says; that losses are one number and metrics
    one number, or a vector where `axes` names it; that all laws emit examples of one structure;
    that names refer to what there is; and that what is told by group is told of each.

    >>> from plateaus.tasks.laws.sparse_parity import Knobs, Spec, sparse_parity
    >>> task = sparse_parity(Spec(dimension=4, relevant_bits=2))
    >>> list(sound(task, Knobs())), list(sound(task._replace(best="parities"), Knobs()))
    ([], ["best: 'parities' is none of its predictors; did you mean parity? (known: parity, zero)"])
    """
    if wrong := list(kinds.problems(task)):
        yield from wrong
        return
    yield from _groups(task)
    try:
        yield from _laws(task, knobs, inputs)
    except Unsound as error:  # what comes after it rests on it
        yield str(error)


def fits(model: Model, task: Task, knobs: Any) -> Iterator[str]:
    """Yield a line where a model's predictions have not the shape of a sound task's predictors'."""
    try:
        batch, said = predicted(task, knobs)
        key = jax.eval_shape(jax.random.key, 0)
        params = _call("the model's init", model.init, key)
        predictions, _ = _call(
            "the model", lambda params, inputs: model.apply(params, inputs), params, batch.inputs
        )
    except Unsound as error:
        yield str(error)
        return
    name, others = next(iter(said.items()))
    shapes = [[leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (predictions, others)]
    if shapes[0] != shapes[1]:
        yield (
            f"predictors: what {name!r} says of {_POINTS} examples is {shown(others)}, what the "
            f"model says is {shown(predictions)}"
        )


def _groups(task: Task) -> Iterator[str]:
    """Yield where what is told of each group has not one value for each."""
    if (groups := task.groups) is None:
        return
    if not groups.names:
        yield "groups.names: must name at least one; a task of one kind has groups = None"
    told = {"target": groups.target} if groups.target else {}
    told |= {"learned.below": groups.learned.below} if groups.learned else {}
    for name, values in told.items():
        if len(values) != len(groups.names):
            yield f"groups.{name}: has {len(values)} values for {len(groups.names)} groups"


def _laws(task: Task, knobs: Any, inputs: str) -> Iterator[str]:
    """Yield what is wrong with the functions of a task. Raises Unsound where one cannot go on."""
    key, number = jax.eval_shape(jax.random.key, 0), jax.ShapeDtypeStruct((), jnp.int32)
    _call("init", task.init, key)
    law = _call("at", task.at, knobs, number)
    given = jax.eval_shape(lambda: knobs)
    yield from _alike("at: the knobs that it returns", law, given, types=False)
    example = _call("emit", _emitted(task), key, key, number, knobs)
    if not isinstance(example, Example):
        raise Unsound(f"emit: must return an Example, not a {type(example).__name__}")
    others = {"emit_test": task.emit_test}
    if task.groups and task.groups.emit_target:
        others["groups.emit_target"] = task.groups.emit_target
    others |= {f"laws[{name!r}].emit": other.emit for name, other in task.laws.items()}
    for name, emit in others.items():
        emitted = _call(name, _in_world(task, emit), key, key, number)
        yield from _alike(f"{name}: its example", emitted, example)
    if wrong := list(kinds.inputs_problems(task, example, inputs)):
        yield from wrong
        return

    _, said = predicted(task, knobs)
    for name in ("uninformed", "best"):
        if (value := getattr(task, name)) not in said:
            yield f"{name}: {value!r} is none of its predictors{hint(value, said)}"
    one = {name: _without_first_axis(predictions) for name, predictions in said.items()}
    first = next(iter(one.values()))
    for name, predictions in one.items():
        yield from _alike(f"predictors: what {name!r} says", predictions, first, types=False)
    yield from recorded.problems(task, said)
    yield from _measures(task, first, example)


def _in_world(task: Task, function: Callable) -> Callable:
    """Return (world's key, key, ...) -> `function` of (key, world, ...), the world made beside it.

    A world may hold numbers that are no arrays, such as sizes: they must not be traced.
    """
    return lambda of_world, key, *rest: function(key, task.init(of_world), *rest)


def _emitted(task: Task) -> Callable:
    """Return (world's key, key, number, knobs) -> an example of the training law."""
    functions: tuple[Any, ...] = task.init, task.emit, task.at
    return _emitting(*functions)


@functools.lru_cache(maxsize=KEPT)
def _emitting(init: Callable, emit: Callable, at: Callable) -> Callable:
    return lambda of_world, key, t, knobs: emit(key, init(of_world), Draw(t, t), at(knobs, t))


@functools.lru_cache(maxsize=KEPT)
def _predicting(init: Callable, predictors: Callable, at: Callable, size: int) -> Callable:
    """Return (world's key, batch, knobs, t) -> what each predictor says of a batch."""
    return lambda of_world, batch, knobs, t: dict(
        predictors(init(of_world), batch, at(knobs, t), _even(size))
    )


def predicted(task: Task, knobs: Any) -> tuple[Any, dict[str, Any]]:
    """Return the shapes of a batch of the training law and of what each predictor says of it."""
    key, number = jax.eval_shape(jax.random.key, 0), jax.ShapeDtypeStruct((), jnp.int32)
    example = _call("emit", _emitted(task), key, key, number, knobs)
    batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct((_POINTS, *x.shape), x.dtype), example)
    functions: tuple[Any, ...] = task.init, task.predictors, task.at
    predictors = _predicting(*functions, int(task.size))
    said = _call("predictors", predictors, key, batch, knobs, number)
    if not said:
        raise Unsound("predictors: must name at least what is uninformed and what is best")
    for name, predictions in said.items():
        if any(leaf.shape[:1] != (_POINTS,) for leaf in jax.tree.leaves(predictions)):
            raise Unsound(f"predictors: {name!r} must say something of each example of a batch")
    return batch, said


def _without_first_axis(tree: Any) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), tree)


def _measures(task: Task, prediction: Any, example: Any) -> Iterator[str]:
    """Yield what is wrong with losses, metrics and what else is measured on one example."""
    metrics = {f"metrics[{name!r}]": (name, of) for name, of in task.metrics.items()}
    for law, other in task.laws.items():
        for name, of in (other.measures or {}).items():
            metrics[f"laws[{law!r}].measures[{name!r}]"] = (name, of)
    names = {name for name, _ in metrics.values()}
    for name in task.axes:
        if name not in names:
            yield f"axes: {name!r} is none of its metrics{hint(name, sorted(names))}"
    for where, (name, measure) in metrics.items():
        yield from _rank(where, measure, int(name in task.axes), prediction, example)
    yield from _rank("loss", task.loss, 0, prediction, example)
    yield from _rank("test_loss", task.test_loss, 0, prediction, example)
    if task.groups and task.groups.learned:
        yield from _rank("groups.learned.error", task.groups.learned.error, 0, prediction, example)
    if task.distance is not None:
        yield from _rank("distance", task.distance, 0, prediction, prediction, example)
    of_group = task.groups.of if task.groups else None
    for name, function in (("item", task.item), ("groups.of", of_group)):
        if function is not None:
            found = _call(name, function, example)
            whole = hasattr(found, "dtype") and jnp.issubdtype(found.dtype, jnp.integer)
            if not whole or found.shape:
                yield f"{name}: must be one integer of an example, is {shown(found)}"


def _rank(name: str, measure: Callable, rank: int, *arguments: Any) -> Iterator[str]:
    """Yield what is wrong with a measure of one example that has so many axes."""
    value = _call(name, measure, *arguments)
    if not hasattr(value, "shape") or len(value.shape) != rank:
        must = "a vector along its axis" if rank else "one number"
        way = "" if rank or not name.startswith("metrics") else "; or name its axis in `axes`"
        yield f"{name}: must be {must} of an example, is {shown(value)}{way}"


def _alike(what: str, found: Any, wanted: Any, types: bool = True) -> Iterator[str]:
    """Yield how shapes differ from others in structure, in lengths or, if asked, in type."""
    both = [
        (jax.tree.structure(tree), [(x.shape, types and x.dtype) for x in jax.tree.leaves(tree)])
        for tree in (found, wanted)
    ]
    if both[0] != both[1]:
        yield f"{what} is {shown(found)}, elsewhere it is {shown(wanted)}"


def _even(size: int) -> Callable[[Any], Any]:
    """Return the log-probabilities of a pool that is drawn evenly."""
    return lambda index: jnp.full(jnp.shape(index), -jnp.log(size))


def _call(name: str, function: Callable, *arguments: Any) -> Any:
    """Return the shapes of what a function returns. Raises Unsound, naming it, where it fails."""
    try:
        return jax.eval_shape(function, *arguments)
    except Exception as error:
        text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        frames = traceback.extract_tb(error.__traceback__)
        ours = [f for f in frames if "site-packages" not in f.filename and f.filename != __file__]
        place = f" ({os.path.relpath(ours[-1].filename)}:{ours[-1].lineno})" if ours else ""
        raise Unsound(f"{name}: {type(error).__name__}: {text}{place}") from error
