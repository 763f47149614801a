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

_POINTS = 7  # examples of the batch that predictors are asked about: enough to rank some


class Unsound(Exception):
    """A task breaks its contract; the message is one line."""


class Traced:
    """A task at any values of its knobs; what it emits and predicts is traced once, if asked for.

    Only shapes are looked at, by `jax.eval_shape`: nothing is computed.

    >>> from plateaus.tasks.laws.sparse_parity import Knobs, Spec, sparse_parity
    >>> traced = Traced(sparse_parity(Spec(dimension=4, relevant_bits=2)), Knobs())
    >>> traced.example.inputs.shape, sorted(traced.predictions)
    ((4,), ['parity', 'zero'])
    """

    def __init__(self, task: Any, knobs: Any):
        self.task, self.knobs = task, knobs
        self.key = jax.eval_shape(jax.random.key, 0)
        self.number = jax.ShapeDtypeStruct((), jnp.int32)

    @functools.cached_property
    def example(self) -> Any:
        """The shapes of an example of the training law; raises Unsound."""
        emit = self.in_world(self.task.emit)

        def emitted(of_world: Any, key: Any, t: Any, knobs: Any) -> Any:
            return emit(of_world, key, Draw(t, t), self.task.at(knobs, t))

        return _call("emit", emitted, self.key, self.key, self.number, self.knobs)

    @functools.cached_property
    def batch(self) -> Any:
        """The shapes of a batch of the training law; raises Unsound."""
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((_POINTS, *x.shape), x.dtype), self.example
        )

    @functools.cached_property
    def predictions(self) -> dict[str, Any]:
        """The shapes of what each predictor predicts for the batch; raises Unsound."""
        task = self.task

        def evenly(index: Any) -> Any:
            return jnp.full(jnp.shape(index), -jnp.log(int(task.size)))

        def predictors(key: Any, batch: Any, knobs: Any, t: Any) -> dict[str, Any]:
            return dict(task.predictors(task.init(key), batch, task.at(knobs, t), evenly))

        by_name = _call("predictors", predictors, self.key, self.batch, self.knobs, self.number)
        if not by_name:
            raise Unsound("predictors: must name at least what is uninformed and what is best")
        for name, predictions in by_name.items():
            if any(leaf.shape[:1] != (_POINTS,) for leaf in jax.tree.leaves(predictions)):
                raise Unsound(f"predictors: {name!r} must say something of each example of a batch")
        return by_name

    def in_world(self, function: Callable) -> Callable:
        """Return (world's key, key, ...) -> `function` of (key, world, ...), a world made inside.

        A world may hold numbers that are no arrays, such as sizes: they must not be traced.
        """
        return lambda of_world, key, *rest: function(key, self.task.init(of_world), *rest)


def sound(traced: Traced, inputs: str = "") -> Iterator[str]:
    """Yield a line for each way in which a task breaks its contract.

    `inputs`: the kind of inputs that its component declares; "" if it is not known.

    Only shapes and names are looked at. Checked are that every function of the task can be called
    as `Task` says; that losses are one number and metrics one number, or a vector where `axes`
    names it; that all laws emit examples of one structure; that names refer to what there is; and
    that fields of groups have a value for each group.

    >>> from plateaus.tasks.laws.sparse_parity import Knobs, Spec, sparse_parity
    >>> task = sparse_parity(Spec(dimension=4, relevant_bits=2))
    >>> list(sound(Traced(task, Knobs())))
    []
    >>> list(sound(Traced(task._replace(best="pairty"), Knobs())))
    ["best: 'pairty' is none of its predictors; did you mean parity? (known: parity, zero)"]
    """
    if problems := list(kinds.problems(traced.task)):
        yield from problems
        return
    yield from _groups(traced.task)
    try:
        yield from _laws(traced, inputs)
    except Unsound as error:  # what comes after it rests on it
        yield str(error)


def fits(model: Model, traced: Traced) -> Iterator[str]:
    """Yield a line where a model's predictions have not the shape of a sound task's predictors'."""
    try:
        name, wanted = next(iter(traced.predictions.items()))
        params = _call("the model's init", model.init, traced.key)
        predictions, _ = _call("the model", model.apply, params, traced.batch.inputs)
    except Unsound as error:
        yield str(error)
        return
    shapes = [[leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (predictions, wanted)]
    if shapes[0] != shapes[1]:
        sizes = "reads.vocabulary" if traced.task.reads.vocabulary else "reads.outputs"
        yield (
            f"predictors or {sizes}: what {name!r} says of {_POINTS} examples is {shown(wanted)}, "
            f"what the model says is {shown(predictions)}"
        )


def _groups(task: Task) -> Iterator[str]:
    """Yield where a field of the groups has not one value for each."""
    if (groups := task.groups) is None:
        return
    if not groups.names:
        yield "groups.names: must name at least one; a task of one kind has groups = None"
    below = groups.learned.below if groups.learned else ()
    for name, values in (("target", groups.target), ("learned.below", below)):
        if values and len(values) != len(groups.names):
            yield f"groups.{name}: has {len(values)} values for {len(groups.names)} groups"


def _laws(traced: Traced, inputs: str) -> Iterator[str]:
    """Yield what is wrong with the functions of a task. Raises Unsound where one cannot go on."""
    task, key, number = traced.task, traced.key, traced.number
    _call("init", task.init, key)
    law = _call("at", task.at, traced.knobs, number)
    knobs = jax.eval_shape(lambda: traced.knobs)
    yield from _alike("at: the knobs that it returns", law, knobs, types=False)
    example = traced.example
    if not isinstance(example, Example):
        raise Unsound(f"emit: must return an Example, not a {type(example).__name__}")
    others = {"emit_test": task.emit_test}
    if task.groups and task.groups.emit_target:
        others["groups.emit_target"] = task.groups.emit_target
    others |= {f"laws[{name!r}].emit": other.emit for name, other in task.laws.items()}
    for name, emit in others.items():
        emitted = _call(name, traced.in_world(emit), key, key, number)
        yield from _alike(f"{name}: its example", emitted, example)
    if problems := list(kinds.inputs_problems(task, example, inputs)):
        yield from problems
        return

    for name in ("uninformed", "best"):
        if (value := getattr(task, name)) not in traced.predictions:
            yield f"{name}: {value!r} is none of its predictors{hint(value, traced.predictions)}"
    of_one = {
        name: jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), predictions)
        for name, predictions in traced.predictions.items()
    }
    first = next(iter(of_one.values()))
    for name, prediction in of_one.items():
        yield from _alike(f"predictors: what {name!r} says", prediction, first, types=False)
    yield from recorded.problems(task, of_one)
    yield from _measures(task, first, example)


def _measures(task: Task, prediction: Any, example: Any) -> Iterator[str]:
    """Yield what is wrong with losses, metrics and what else is measured on one example."""
    metrics = {f"metrics[{name!r}]": (name, metric) for name, metric in task.metrics.items()}
    for law, other in task.laws.items():
        for name, measure in (other.measures or {}).items():
            metrics[f"laws[{law!r}].measures[{name!r}]"] = (name, measure)
    names = {name for name, _ in metrics.values()}
    for name in task.axes:
        if name not in names:
            yield f"axes: {name!r} is none of its metrics{hint(name, sorted(names))}"
    for place, (name, metric) in metrics.items():
        yield from _rank(place, metric, int(name in task.axes), prediction, example)
    scalars = {"loss": task.loss, "test_loss": task.test_loss}
    if task.groups and task.groups.learned:
        scalars["groups.learned.error"] = task.groups.learned.error
    for place, measure in scalars.items():
        yield from _rank(place, measure, 0, prediction, example)
    if task.distance is not None:
        yield from _rank("distance", task.distance, 0, prediction, prediction, example)
    for name, function in (("item", task.item), ("groups.of", task.groups and task.groups.of)):
        if function is not None:
            number = _call(name, function, example)
            whole = hasattr(number, "dtype") and jnp.issubdtype(number.dtype, jnp.integer)
            if not whole or number.shape:
                yield f"{name}: must be one integer of an example, is {shown(number)}"


def _rank(name: str, measure: Callable, rank: int, *arguments: Any) -> Iterator[str]:
    """Yield what is wrong with a measure of one example that has so many axes."""
    value = _call(name, measure, *arguments)
    if not hasattr(value, "shape") or len(value.shape) != rank:
        must = "a vector along its axis" if rank else "one number"
        way = "" if rank or not name.startswith("metrics") else "; or name its axis in `axes`"
        yield f"{name}: must be {must} of an example, is {shown(value)}{way}"


def _alike(what: str, tree: Any, wanted: Any, types: bool = True) -> Iterator[str]:
    """Yield how shapes differ from others in structure, in lengths or, if asked, in type."""
    first, second = (
        (jax.tree.structure(x), [(leaf.shape, types and leaf.dtype) for leaf in jax.tree.leaves(x)])
        for x in (tree, wanted)
    )
    if first != second:
        yield f"{what} is {shown(tree)}, elsewhere it is {shown(wanted)}"


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
