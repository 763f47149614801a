"""Everything static about a run: the parts that `train` and `evaluation` put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import optax

from plateaus.types import Aggregator, Array, Edits, Example, Key, Model, PyTree, Source, Task


class Capture(Protocol):
    """The losses [B] of a batch's examples, predictions [B, ...], and their gradients' factors."""

    def __call__(self, params: PyTree, batch: Example) -> tuple[Array, Array, PyTree]: ...


class Combine(Protocol):
    """The sum of the examples' gradients by weights [B], like the parameters."""

    def __call__(self, captured: Any, weights: Array) -> PyTree: ...


class GramOf(Protocol):
    """Inner products [B, B] of the examples' gradients."""

    def __call__(self, captured: Any) -> Array: ...


class MeasureGram(Protocol):
    """Name -> scalar, of inner products [B, B]: averaged over `log_every` steps ..."""

    def __call__(self, gram: Array) -> dict[str, Array]: ...


class Summarise(Protocol):
    """... and of these means, name -> scalar: what is recorded."""

    def __call__(self, means: dict[str, Array]) -> dict[str, Array]: ...


class SumGradients(Protocol):
    """Of each group [G, ...] the sum of its examples' gradients, of the tracked layers.

    `weighted` maps weights [B] of examples to the sum of their gradients; `member` is [G, B].
    """

    def __call__(self, weighted: Callable[[Array], PyTree], member: Array) -> PyTree: ...


class MeasureBatches(Protocol):
    """Name -> measurement on batches [N, B, ...]."""

    def __call__(self, key: Key, params: PyTree, batches: Example) -> dict[str, Array]: ...


class Probe(Protocol):
    """Name -> record of the parameters at an evaluation.

    `laws` are the samples of `plateaus.evaluation`, by name; `losses` maps edits of the model to
    its test loss under "" and, with groups, under "_by_task".
    """

    def __call__(
        self,
        key: Key,
        params: PyTree,
        laws: Mapping[str, Any],
        losses: Callable[[Edits], dict[str, Array]],
    ) -> dict[str, Array]: ...


class Gradients(NamedTuple):
    """The gradients of a batch's examples, held as factors: see `plateaus.gram.engine`.

    Fields:
      capture: (params, batch) -> (losses [B], predictions [B, ...], captured).
      combine: (captured, weights [B]) -> gradient, like the parameters.
    """

    capture: Capture
    combine: Combine


class Surgery(NamedTuple):
    """Training on a combination of the examples' gradients instead of their mean.

    Fields:
      gram: captured -> [B, B], inner products of the examples' gradients.
      aggregator: optim knobs -> Aggregator; its weights have the scale of a mean.
      measure: inner products of a step -> measures, name -> scalar.
      summarise: their means over `log_every` steps -> records, name -> scalar.
    """

    gram: GramOf
    aggregator: Callable[[Any], Aggregator]
    measure: MeasureGram
    summarise: Summarise


class Feedback(NamedTuple):
    """The feedback that an adaptive design gets besides the losses of its batches.

    Fields:
      round_steps: steps of a round, at the end of which targets and short runs are evaluated.
      sums: (weighted, member [G, B]) -> tree of [G, ...], the sums of the gradients of each group's
        examples, of the tracked layers, where `weighted` maps weights [B] of examples to the
        weighted sum of their gradients; None: the design needs no gradients.
      target_points: examples of each group in the sample of the test law; 0: none.
      target_gradient: whether the design needs the gradients of that sample.
      reference_steps: steps of a first model, kept as the reference; then a fresh one starts.
      proxy_steps: steps of a next model, on which the mixture adapts; then a fresh one starts.
      short_steps: steps of the short runs, one by each row of `short_shares`; 0: none.
      short_shares: [G, G] shares of the groups in each short run.
      short_every: rounds between two sets of short runs; 0: only at the end of the first.
    """

    round_steps: int
    sums: SumGradients | None = None
    target_points: int = 0
    target_gradient: bool = False
    reference_steps: int = 0
    proxy_steps: int = 0
    short_steps: int = 0
    short_shares: Any = None
    short_every: int = 0


class BatchProbe(NamedTuple):
    """Measurements, at evaluations, of the training loss on a few random batches.

    Fields:
      batches: how many, drawn as training draws them, by keys of their own.
      measure: (key, params, batches [N, B, ...]) -> name -> scalar.
    """

    batches: int
    measure: MeasureBatches


class Recipe(NamedTuple):
    """Everything static about a run: compiled once, shared by all runs of a program."""

    task: Task
    source: Source
    model: Model
    optimiser: Callable[[Any], optax.GradientTransformation]  # of a run's optim knobs
    steps: int  # of the whole run
    phase_steps: int  # optimiser steps between two evaluations
    log_every: int  # steps whose training losses are averaged into one number
    eval_points: int  # examples of the test law
    pool_points: int = 0  # fresh examples of the training law; 0: it is not evaluated on
    gradients: Gradients | None = None  # None: plain differentiation of the mean loss
    surgery: Surgery | None = None  # None: the gradient of the mean loss; else needs `gradients`
    feedback: Feedback | None = None  # None: the design gets only the losses of its batches
    batch_probes: tuple[BatchProbe, ...] = ()
    probes: tuple[Probe, ...] = ()
