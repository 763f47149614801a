"""The names under which a task's measurements are recorded, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plateaus.types import Task

RESERVED = ("test", "pool", "train")  # names of laws that every task has
DIMENSIONS = ("step", "eval_step", "seed", "task")  # that every data set may have
LOSS, BY_GROUP = "loss", "_by_task"


def records(task: Task) -> Iterator[tuple[str, str, str]]:
    """Yield (law, metric, the name under which it is recorded), the losses among the metrics.

    The same with `_by_task` is told by group, with `_of_PREDICTOR` of a predictor.
    """
    for law in ("test", "pool", *task.laws):
        own = task.laws[law].measures if law in task.laws else None
        for metric in dict.fromkeys((LOSS, *task.metrics)) if own is None else own:
            yield law, metric, f"{law}_{metric}"


def problems(task: Task, predictors: Iterable[str]) -> Iterator[str]:
    """Yield a line for each name that cannot be recorded, or is not told from another.

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
            told = ", ".join(DIMENSIONS)
            yield f"axes: {axis!r} of {metric!r} is a dimension that is there already ({told})"
    found: dict[str, str] = {}
    for name, what in every(task, predictors):
        if found.setdefault(name, what) != what:
            yield f"{what}: would be recorded as {name}, as {found[name]} is; rename one of them"


def every(task: Task, predictors: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield every record, and what it is of."""
    told = ("", BY_GROUP) if task.groups else ("",)
    for law, metric, record in records(task):
        what = f"{metric!r} of law {law!r}"
        for end in told:
            yield f"{record}{end}", f"{what} by group" if end else what
        if task.item is not None and law == "test" and metric not in task.axes:
            for end in ("trained", "untrained"):
                yield f"{record}_{end}", f"{what} on {end} items"
        if metric == LOSS or metric in task.axes:
            for end in told:
                for name in predictors:
                    how = " by group" if end else ""
                    yield f"{record}{end}_of_{name}", f"{what} of predictor {name!r}{how}"
    if task.distance is not None:
        for law in ("test", "pool"):
            for end in told:
                for name in predictors:
                    what = f"the distance to {name!r} of law {law!r}"
                    yield f"{law}_distance{end}_to_{name}", f"{what} by group" if end else what
