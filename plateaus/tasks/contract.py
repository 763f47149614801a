"""What every task keeps to, as far as shapes tell: checked before anything is trained."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from plateaus.names import hint
from plateaus.types import Draw, Example, Model, Task

RESERVED = ("test", "pool", "train")  # names of laws that every task has
_POINTS = 2  # examples of the batch that predictors are asked about


class Unsound(Exception):
    """A task breaks its contract; the message is one line."""


def sound(task: Task, knobs: Any) -> Iterator[str]:
    """Yield a line for each way in which a task breaks its contract; `knobs` at any values.

    Only shapes and names are looked at, by `jax.eval_shape`: nothing is computed. Checked are that
    every function of the task can be called as `Task` says; that losses are one number and metrics
    one number, or a vector where `axes` names it; that all laws emit examples of one structure;
    that names refer to what there is; and that what is told by group is told of each.

    >>> from plateaus.tasks.laws.sparse_parity import Knobs, Spec, sparse_parity
    >>> task = sparse_parity(Spec(dimension=4, relevant_bits=2))
    >>> list(sound(task, Knobs())), list(sound(task._replace(best="parities"), Knobs()))
    ([], ["best: 'parities' is none of its predictors; did you mean parity? (known: parity, zero)"])
    """
    yield from _groups(task)
    yield from _size(task)
    try:
        yield from _laws(task, knobs)
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
            f"predictors: what {name!r} says of {_POINTS} examples is {_shown(others)}, what the "
            f"model says is {_shown(predictions)}"
        )


def _size(task: Task) -> Iterator[str]:
    if not isinstance(task.size, int) or task.size < 1:
        yield f"size: must be an integer of at least 1, not {task.size!r}"
    for name in task.laws:
        if name in RESERVED:
            yield f"laws: {name!r} is the name of a law that every task has"


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


def _laws(task: Task, knobs: Any) -> Iterator[str]:
    """Yield what is wrong with the functions of a task. Raises Unsound where one cannot go on."""
    key, number = jax.eval_shape(jax.random.key, 0), jax.ShapeDtypeStruct((), jnp.int32)
    world = _call("init", task.init, key)
    law = _call("at", task.at, knobs, number)
    yield from _alike("at: the knobs that it returns", law, jax.eval_shape(lambda: knobs))
    draw = Draw(number, number)
    example = _call("emit", task.emit, key, world, draw, law)
    if not isinstance(example, Example):
        raise Unsound(f"emit: must return an Example, not a {type(example).__name__}")
    others = {"emit_test": task.emit_test}
    if task.groups and task.groups.emit_target:
        others["groups.emit_target"] = task.groups.emit_target
    others |= {f"laws[{name!r}].emit": other.emit for name, other in task.laws.items()}
    for name, emit in others.items():
        emitted = _call(name, emit, key, world, number)
        yield from _alike(f"{name}: its example", emitted, example)
    yield from _vocabulary(task, example)

    _, said = predicted(task, knobs)
    for name in ("uninformed", "best"):
        if (value := getattr(task, name)) not in said:
            yield f"{name}: {value!r} is none of its predictors{hint(value, said)}"
    one = {name: _without_first_axis(predictions) for name, predictions in said.items()}
    first = next(iter(one.values()))
    for name, predictions in one.items():
        yield from _alike(f"predictors: what {name!r} says", predictions, first)
    yield from _measures(task, first, example)


def predicted(task: Task, knobs: Any) -> tuple[Any, dict[str, Any]]:
    """Return the shapes of a batch of the training law and of what each predictor says of it."""
    key, number = jax.eval_shape(jax.random.key, 0), jax.ShapeDtypeStruct((), jnp.int32)
    world = _call("init", task.init, key)
    law = _call("at", task.at, knobs, number)
    example = _call("emit", task.emit, key, world, Draw(number, number), law)
    batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct((_POINTS, *x.shape), x.dtype), example)

    def predictors(world: Any, batch: Any, law: Any) -> dict[str, Any]:
        return dict(task.predictors(world, batch, law, _even(task.size)))

    said = _call("predictors", predictors, world, batch, law)
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
            if found.shape or not jnp.issubdtype(found.dtype, jnp.integer):
                yield f"{name}: must be one integer of an example, is {_shown(found)}"


def _rank(name: str, measure: Callable, rank: int, *arguments: Any) -> Iterator[str]:
    """Yield what is wrong with a measure of one example that has so many axes."""
    value = _call(name, measure, *arguments)
    if not hasattr(value, "shape") or len(value.shape) != rank:
        must = "a vector along its axis" if rank else "one number"
        hint = "" if rank or not name.startswith("metrics") else "; or name its axis in `axes`"
        yield f"{name}: must be {must} of an example, is {_shown(value)}{hint}"


def _vocabulary(task: Task, example: Any) -> Iterator[str]:
    """Yield what is wrong where tokens and their number do not come together."""
    inputs = jax.tree.leaves(example.inputs)
    discrete = len(inputs) == 1 and jnp.issubdtype(inputs[0].dtype, jnp.integer)
    if discrete and task.reads.vocabulary is None:
        yield "reads.vocabulary: must be given where inputs are integers: how many tokens there are"
    if task.reads.vocabulary is not None and not discrete and len(inputs) == 1:
        yield f"reads.vocabulary: is given, but inputs are {_shown(inputs[0])}, not tokens"


def _alike(what: str, found: Any, wanted: Any) -> Iterator[str]:
    """Yield how a tree differs from another in structure, shape or type."""
    shapes = [
        (jax.tree.structure(tree), [(x.shape, x.dtype) for x in jax.tree.leaves(tree)])
        for tree in (found, jax.eval_shape(lambda: wanted) if _concrete(wanted) else wanted)
    ]
    if shapes[0] != shapes[1]:
        yield f"{what} is {_shown(found)}, elsewhere it is {_shown(wanted)}"


def _concrete(tree: Any) -> bool:
    return not all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(tree))


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


def _shown(tree: Any) -> str:
    """Return shapes as a reader writes them.

    >>> _shown({"x": jnp.zeros((2, 3)), "y": jnp.int32(0)})
    'float32[2, 3], int32[]'
    """
    leaves = [x for x in jax.tree.leaves(tree) if hasattr(x, "shape")]
    return ", ".join(f"{x.dtype}[{', '.join(map(str, x.shape))}]" for x in leaves) or repr(tree)
