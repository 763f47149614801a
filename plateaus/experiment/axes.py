"""The dimensions of what is measured: of which names they are, and whether they fit one another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from plateaus.experiment import instruments
from plateaus.groups import SUFFIX
from plateaus.report import store
from plateaus.report.store import Axes
from plateaus.tasks import recorded
from plateaus.types import Task

TASK = "task"  # the dimension of groups


def axes(tasks: Iterable[Task]) -> Axes:
    """Return name -> the dimensions that a record has beside time, of runs of these tasks.

    What a task measures is known by its whole name; what instruments do, by how it begins.
    """
    whole: dict[str, tuple[str, ...]] = {}
    beginnings: dict[str, tuple[str, ...]] = dict(instruments.AXES)
    grouped = False
    for task in tasks:
        told = {"": (), SUFFIX: (TASK,)} if task.groups else {"": ()}
        grouped = grouped or bool(task.groups)
        for _, metric, record in recorded.records(task):
            own = (task.axes[metric],) if metric in task.axes else ()
            for end, group in told.items():
                whole[f"{record}{end}"] = (*group, *own)
                if own or metric == recorded.LOSS:
                    beginnings[f"{record}{end}_of_"] = (*group, *own)

    def found(name: str) -> tuple[str, ...]:
        if name in whole:
            return whole[name]
        longest = max((k for k in beginnings if name.startswith(k)), key=len, default=None)
        if longest is not None:
            return beginnings[longest]
        by_group = name.endswith(SUFFIX) or f"{SUFFIX}_to_" in name
        return (TASK,) if grouped and by_group else ()

    return found


def faults(
    measured: Mapping[str, tuple[int, ...]], known: Axes, swept: Iterable[str]
) -> Iterator[str]:
    """Yield a line for each record that cannot be laid out on the grid of a sweep.

    Args:
      measured: name -> the lengths of what one run measures at one time.
    """
    taken = {"seed", "step", "eval_step", *swept}
    lengths: dict[str, tuple[int, str]] = {}
    for name, shape in measured.items():
        if "/" in name:
            yield f"{name}: the name of what is recorded must be without /"
        if told := store.fault(name, len(shape), known):
            yield told
            continue
        for dimension, length in zip(known(name), shape, strict=True):
            if dimension in taken:
                yield f"{name}: its axis {dimension!r} is a dimension of every record; rename it"
            elif dimension in measured or dimension in store.MEANING:
                yield f"{name}: its axis {dimension!r} is the name of a record; rename it"
            other, first = lengths.setdefault(dimension, (length, name))
            if other != length:
                yield (
                    f"{name}: its axis {dimension!r} has the length {length}, that of {first} has "
                    f"{other}; give one of them another name"
                )
