"""What is recorded of a task, under which names, and what is wrong with these names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plateaus.types import Task
from plateaus.variables import EVALUATIONS, ONCE, SUFFIX, TASK, WINDOWS, Variable

RESERVED = ("test", "pool", "train")  # names of laws that every task has
DIMENSIONS = (WINDOWS, EVALUATIONS, "seed", TASK)  # that every data set may have
LOSS = "loss"


def variables(task: Task, predictors: Iterable[str]) -> dict[str, Variable]:
    """Return what is recorded of a task with these predictors, by name: see `evaluation`."""
    bounds = {
        "uninformed_loss": Variable(
            "test loss of the best predictor that has not learned: the plateau", "loss", time=ONCE
        ),
        "best_loss": Variable("test loss of the optimal predictor", "loss", time=ONCE),
    }
    return bounds | {name: variable for name, _, variable in _records(task, tuple(predictors))}


def problems(task: Task, predictors: Iterable[str]) -> Iterator[str]:
    """Yield a line for each name that cannot be recorded, or that would be recorded twice.

    >>> from plateaus.tasks.laws.sparse_parity import Spec, sparse_parity
    >>> task = sparse_parity(Spec(dimension=4, relevant_bits=2))
    >>> list(problems(task._replace(metrics={"loss": task.loss}), ["zero"]))
    ["metrics: 'loss' is the name of the test loss, which is measured without being named"]
    """
    predictors = tuple(predictors)
    if LOSS in task.metrics:
        yield "metrics: 'loss' is the name of the test loss, which is measured without being named"
    kinds: Mapping[str, Iterable[Any]] = {
        "metrics": task.metrics,
        "laws": task.laws,
        "predictors": predictors,
        "axes": task.axes.values(),
        **{f"laws[{law!r}].measures": other.measures or () for law, other in task.laws.items()},
    }
    for kind, names in kinds.items():
        for name in names:
            if not isinstance(name, str) or not name or "/" in name:
                yield f"{kind}: {name!r} is no name to record: must be text without /"
    for law in task.laws:
        if law in RESERVED:
            yield f"laws: {law!r} is the name of a law that every task has"
    for metric, axis in task.axes.items():
        if axis in DIMENSIONS:
            taken = ", ".join(DIMENSIONS)
            yield f"axes: {axis!r} of {metric!r} is a dimension that is there already ({taken})"
    recorded: dict[str, str] = {}
    for name, what, _ in _records(task, predictors):
        if recorded.setdefault(name, what) != what:
            yield f"{what}: would be recorded as {name}, as {recorded[name]} is; rename one of them"


def _records(task: Task, predictors: tuple[str, ...]) -> Iterator[tuple[str, str, Variable]]:
    """Yield the name, the description and the declaration of every record."""
    for law in ("test", "pool", *task.laws):
        measures = task.laws[law].measures if law in task.laws else None
        where = f"on the {'training' if law == 'pool' else law} law"
        for metric in dict.fromkeys((LOSS, *task.metrics)) if measures is None else measures:
            begin, what = f"{law}_{metric}", f"{metric!r} of law {law!r}"
            axes = (task.axes[metric],) if metric in task.axes else ()
            meaning = f"{metric.replace('_', ' ')} {where}"
            variable = Variable(meaning, "loss" if metric == LOSS else "1", axes)
            variable = variable.of(family="metric", law=law, measure=metric)
            yield from _by_group(task, begin, "", what, variable)
            if metric == LOSS or axes:
                for predictor in predictors:
                    of = variable._replace(meaning=f"{meaning}, of {predictor}", time=ONCE)
                    of = of.of(family="predictor", predictor=predictor)
                    of_whom = f"{what} of predictor {predictor!r}"
                    yield from _by_group(task, begin, f"_of_{predictor}", of_whom, of)
            if law == "test" and task.item is not None and not axes:
                for which in ("trained", "untrained"):
                    of_items = variable._replace(meaning=f"{meaning}, {which} items only")
                    yield f"{begin}_{which}", f"{what} on {which} items", of_items.of(items=which)
        if task.distance is not None and law not in task.laws:
            for predictor in predictors:
                apart = Variable(f"distance to what {predictor} says {where}")
                apart = apart.of(family="distance", law=law, predictor=predictor)
                what = f"the distance to {predictor!r} of law {law!r}"
                yield from _by_group(task, f"{law}_distance", f"_to_{predictor}", what, apart)


def _by_group(
    task: Task, begin: str, end: str, what: str, variable: Variable
) -> Iterator[tuple[str, str, Variable]]:
    yield begin + end, what, variable
    if task.groups:
        yield begin + SUFFIX + end, f"{what} by group", variable.by_task()
