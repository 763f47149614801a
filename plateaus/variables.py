"""What is recorded of a run: the dimensions, units and meaning of everything, by name. No jax.

A variable is declared beside the code that records it, under its exact name. Which family it is of
is an attribute that it carries to the results: nothing is read from a part of a name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

EVALUATIONS, WINDOWS = "eval_step", "step"  # dimensions of time: evaluations, windows of training
ONCE = ""  # of what is constant over a run
TASK = "task"  # the dimension of groups
SUFFIX = "_by_task"  # ends the names of what has it


class Variable(NamedTuple):
    """One thing that is recorded.

    Fields:
      meaning: one line, without a full stop.
      units: "1" for a pure number.
      axes: the dimensions that it has of its own, beside the sweep's, the seed's and time's.
      time: its dimension of time: `EVALUATIONS`, `WINDOWS` or `ONCE`.
      notes: further attributes in the results.

    >>> Variable("attention of each head", axes=("layer", "head")).dims
    ('eval_step', 'layer', 'head')
    """

    meaning: str
    units: str = "1"
    axes: tuple[str, ...] = ()
    time: str = EVALUATIONS
    notes: Mapping[str, Any] = {}

    @property
    def dims(self) -> tuple[str, ...]:
        """The dimensions of one run's record."""
        return (self.time, *self.axes) if self.time else self.axes

    def of(self, **facts: str) -> Variable:
        """Return the same with what it is of among its attributes, by which a reader selects it.

        `family` comes first ("metric", "predictor", "distance", "weight_norm", ..), then what tells
        the members of a family apart: `law`, `measure`, `predictor`, `items`, `layer`.

        >>> Variable("norm of readout").of(family="weight_norm", layer="readout").notes
        {'family': 'weight_norm', 'layer': 'readout'}
        """
        return self._replace(notes={**self.notes, **facts})

    def by_task(self, after: int = 0) -> Variable:
        """Return the same told by group: with an axis of groups after so many of its own.

        >>> Variable("loss", axes=("prefix",)).by_task()[:3]
        ('loss, by task', '1', ('task', 'prefix'))
        """
        axes = (*self.axes[:after], TASK, *self.axes[after:])
        return self._replace(meaning=f"{self.meaning}, by task", axes=axes)


def with_groups(
    variables: Mapping[str, Variable], groups: Sequence[str], after: int = 0
) -> dict[str, Variable]:
    """Return variables and, where a task has groups, each of them told by group.

    >>> list(with_groups({"loss": Variable("loss")}, ("linear", "relu")))
    ['loss', 'loss_by_task']
    """
    by_group = {f"{name}{SUFFIX}": one.by_task(after) for name, one in variables.items()}
    return {**variables, **(by_group if groups else {})}


def differences(programs: Iterable[Mapping[str, Variable]]) -> Iterator[str]:
    """Yield a line for each variable whose axes differ between the programs of a sweep.

    >>> list(differences([{"miss": Variable("", axes=("place",))}, {"miss": Variable("")}]))
    ['miss: its axes are place in some runs, in others none']
    """
    known: dict[str, tuple[str, ...]] = {}
    for variables in programs:
        for name, one in variables.items():
            if (before := known.setdefault(name, one.axes)) != one.axes:
                told = (", ".join(axes) or "none" for axes in (before, one.axes))
                yield f"{name}: its axes are {' in some runs, in others '.join(told)}"


def faults(
    variables: Mapping[str, Variable],
    shapes: Mapping[str, tuple[int, ...]],
    groups: int,
    swept: Collection[str],
) -> Iterator[str]:
    """Yield a line for each record of a run that could not be laid out with the others.

    `shapes` are those of an evaluation, without time; `swept` are the fields of the sweep.

    >>> list(faults({}, {"spectrum": (5,)}, 0, ()))
    ['spectrum: is recorded but not declared: add it to the variables of its instrument']
    >>> list(faults({"spectrum": Variable("", axes=("frequency",))}, {"spectrum": (5,)}, 0, ()))
    []
    """
    taken = {"seed", EVALUATIONS, WINDOWS, *swept} | (set() if groups else {TASK})
    lengths: dict[str, tuple[int, str]] = {TASK: (groups, "the groups")} if groups else {}
    axes = {axis for name in shapes if name in variables for axis in variables[name].axes}
    refused: set[str] = set()  # axes: a line each
    for name in variables:
        if name in taken | axes:
            yield f"{name}: is the name of a dimension of the results; give it another"
    for name, shape in shapes.items():
        if name not in variables:
            yield f"{name}: is recorded but not declared: add it to the variables of its instrument"
            continue
        own = variables[name].axes
        if "/" in name:
            yield f"{name}: a name in results.nc cannot have a '/'"
        if len(own) != len(shape):
            dimensions = f"{len(shape)} dimension{'s' * (len(shape) != 1)} of its own"
            declared = f"the axes {own}" if own else "no axes"
            hint = "name each in Variable(axes=(...))"
            yield f"{name}: has {dimensions}, its declaration {declared}; {hint}"
            continue
        for axis, length in zip(own, shape, strict=True):
            known, other = lengths.setdefault(axis, (length, name))
            line = ""
            if "/" in axis:
                line = f"its axis {axis!r} cannot have a '/' in its name"
            elif axis in taken or own.count(axis) > 1:
                line = f"{axis!r} is a dimension of all results; give its axis another name"
            elif known != length:
                line = f"its axis {axis!r} has {length} places, that of {other} has {known}"
            if line and axis not in refused:
                refused.add(axis)
                yield f"{name}: {line}"
