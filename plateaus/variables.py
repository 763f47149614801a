"""The recorded variables of a run: dimensions, units and meaning, by name. No jax.

A variable is declared beside the code that records it, under its exact name. Its family is an
attribute that it carries to the results: no code reads it from a part of the name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

EVALUATIONS, WINDOWS = "eval_step", "step"  # dimensions of time: evaluations, windows of training
ONCE = ""  # stands for time in variables that are constant over a run
TASK = "task"  # the dimension of groups
SUFFIX = "_by_task"  # ends the names of variables with that dimension


class Variable(NamedTuple):
    """One recorded variable.

    Fields:
      meaning: one line, without a full stop.
      units: "1" for a pure number.
      axes: its dimensions besides those of the sweep, the seed and time.
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
        """Return the variable with further attributes, by which a reader of the results selects it.

        `family` comes first ("metric", "predictor", "distance", "weight_norm", ..), then the
        attributes that distinguish the members of a family: `law`, `measure`, `predictor`, `items`,
        `layer`. Of what is `averaged` runs.csv has means.

        >>> Variable("norm of readout").of(family="weight_norm", layer="readout").notes
        {'family': 'weight_norm', 'layer': 'readout'}
        """
        return self._replace(notes={**self.notes, **facts})

    def by_task(self, after: int = 0) -> Variable:
        """Return the variable by group: with an axis of groups after its first `after` axes.

        >>> Variable("loss", axes=("prefix",)).by_task()[:3]
        ('loss, by task', '1', ('task', 'prefix'))
        """
        axes = (*self.axes[:after], TASK, *self.axes[after:])
        return self._replace(meaning=f"{self.meaning}, by task", axes=axes)


def with_groups(
    variables: Mapping[str, Variable], groups: Sequence[str], after: int = 0
) -> dict[str, Variable]:
    """Return variables and, where a task has groups, each of them by group as well.

    >>> list(with_groups({"loss": Variable("loss")}, ("linear", "relu")))
    ['loss', 'loss_by_task']
    """
    if not groups:
        return dict(variables)
    by_group = {f"{name}{SUFFIX}": variable.by_task(after) for name, variable in variables.items()}
    return {**variables, **by_group}


def differences(programs: Iterable[Mapping[str, Variable]]) -> Iterator[str]:
    """Yield a line for each variable whose axes differ between the programs of a sweep.

    >>> list(differences([{"miss": Variable("", axes=("place",))}, {"miss": Variable("")}]))
    ['miss: its axes are place in some runs, in others none']
    """
    declared: dict[str, tuple[str, ...]] = {}
    for variables in programs:
        for name, variable in variables.items():
            if (before := declared.setdefault(name, variable.axes)) != variable.axes:
                shown = (", ".join(axes) or "none" for axes in (before, variable.axes))
                yield f"{name}: its axes are {' in some runs, in others '.join(shown)}"


def faults(
    variables: Mapping[str, Variable],
    shapes: Mapping[str, tuple[int, ...]],
    groups: int,
    swept: Collection[str],
) -> Iterator[str]:
    """Yield a line for each record that cannot be laid out with the others in one data set.

    `shapes` are the records of an evaluation, without time; `swept` are the fields of the sweep.

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
        axes_of_name = variables[name].axes
        if "/" in name:
            yield f"{name}: a name in results.nc cannot have a '/'"
        if len(axes_of_name) != len(shape):
            dimensions = f"{len(shape)} dimension{'s' * (len(shape) != 1)} of its own"
            declared = f"the axes {axes_of_name}" if axes_of_name else "no axes"
            hint = "name each in Variable(axes=(...))"
            yield f"{name}: has {dimensions}, its declaration {declared}; {hint}"
            continue
        for axis, length in zip(axes_of_name, shape, strict=True):
            expected, other = lengths.setdefault(axis, (length, name))
            line = ""
            if "/" in axis:
                line = f"its axis {axis!r} cannot have a '/' in its name"
            elif axis in taken or axes_of_name.count(axis) > 1:
                line = f"{axis!r} is a dimension of all results; give its axis another name"
            elif expected != length:
                line = f"its axis {axis!r} has {length} places, that of {other} has {expected}"
            if line and axis not in refused:
                refused.add(axis)
                yield f"{name}: {line}"
