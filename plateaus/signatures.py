"""Signatures of the functions in the central records: names, types and shapes.

mypy checks every function that is put into a record against its signature. Batches, groups and
steps are as in `plateaus.values`. A function may accept wider types than its signature (`object`
for arguments that it ignores), never narrower ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

from plateaus.values import (
    Array,
    Draw,
    Edits,
    Example,
    Key,
    MixedPrompt,
    Number,
    PyTree,
    Signals,
)

LogPrior: TypeAlias = Callable[[Array], Array]
"""Indices [k] -> the log-probabilities [k] with which the design draws them."""


class Init(Protocol):
    """The beginning of one run: a world, parameters, the state of a source."""

    def __call__(self, key: Key) -> PyTree: ...


# Of a task.


class Emit(Protocol):
    """The Example of the training law that a scalar Draw names."""

    def __call__(self, key: Key, world: PyTree, draw: Draw, knobs: Any) -> Example: ...


@runtime_checkable  # it annotates closures, which tests check
class EmitNumber(Protocol):
    """A fresh Example of another law; `number` [] counts a sample from 0."""

    def __call__(self, key: Key, world: PyTree, number: Number) -> Example: ...


class EmitMixed(Protocol):
    """A prompt whose example i is of group order[i], order [m], and the answers of some groups."""

    def __call__(self, key: Key, order: Array, queried: tuple[int, ...]) -> MixedPrompt: ...


@runtime_checkable  # it annotates closures, which tests check
class Measure(Protocol):
    """A measure of a prediction [...] for one example: a scalar, or a vector [axis]."""

    def __call__(self, prediction: Array, example: Example) -> Array: ...


class Distance(Protocol):
    """How far two predictions [...] of one example are apart, a scalar."""

    def __call__(self, prediction: Array, other: Array, example: Example) -> Array: ...


class NumberOf(Protocol):
    """An integer [] of an example: its index, or the number of its group."""

    def __call__(self, example: Example) -> Array: ...


class Predict(Protocol):
    """The ideal predictors on a batch: name -> predictions [B, ...]."""

    def __call__(
        self, world: PyTree, batch: Example, knobs: Any, log_prior: LogPrior
    ) -> Mapping[str, PyTree]: ...


class KnobsAt(Protocol):
    """The knobs of the law in force at step t."""

    def __call__(self, knobs: Any, t: Number) -> Any: ...


# Of a source.


class Prepare(Protocol):
    """The plan of a source: all that draws need besides step and state; `size` [] items."""

    def __call__(self, knobs: Any, size: Number) -> PyTree: ...


class DrawBatch(Protocol):
    """The Draw [B] of step t."""

    def __call__(self, key: Key, state: PyTree, plan: PyTree, t: Number) -> Draw: ...


class LogProb(Protocol):
    """Log-probabilities [k] with which step t draws indices [k]."""

    def __call__(self, plan: PyTree, index: Array, t: Number) -> Array: ...


class Observe(Protocol):
    """The state after step t, given the signals of that step."""

    def __call__(self, state: PyTree, signals: Signals, plan: PyTree, t: Number) -> PyTree: ...


class OfGroups(Protocol):
    """A number of each group, [G], at step t."""

    def __call__(self, state: PyTree, plan: PyTree, t: Number) -> Array: ...


class Ever(Protocol):
    """1 for the groups that the design means to train on, else 0: [G]."""

    def __call__(self, plan: PyTree) -> Array: ...


class Steer(Protocol):
    """A state that draws groups by these shares [G]."""

    def __call__(self, state: PyTree, shares: Array) -> PyTree: ...


class MeasureSource(Protocol):
    """Name -> [G], of step t."""

    def __call__(self, state: PyTree, plan: PyTree, t: Number) -> dict[str, Array]: ...


# Of a model and of an aggregator.


class Apply(Protocol):
    """Predictions [B, ...] of inputs [B, ...], and captured activations by name."""

    def __call__(
        self,
        params: PyTree,
        inputs: PyTree,
        *,
        edits: Edits | None = None,
        capture: Collection[str] = (),
        past: Mapping[str, Array] | None = None,
    ) -> tuple[Array, dict[str, Array]]: ...


class InitOf(Protocol):
    """The state of an aggregator of `size` gradients."""

    def __call__(self, size: int) -> PyTree: ...


class Weigh(Protocol):
    """Weights [B] of the gradients whose inner products are gram [B, B], and the state."""

    def __call__(
        self, gram: Array, state: PyTree, *, key: Key | None = None
    ) -> tuple[Array, PyTree]: ...
