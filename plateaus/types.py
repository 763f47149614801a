"""The records that everything here is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus import signatures
from plateaus.signatures import LogPrior as LogPrior  # for everyone: `as` marks what is passed on
from plateaus.values import EXACT as EXACT
from plateaus.values import Array as Array
from plateaus.values import Draw as Draw
from plateaus.values import Edits as Edits
from plateaus.values import Example as Example
from plateaus.values import Float as Float
from plateaus.values import Int as Int
from plateaus.values import Key as Key
from plateaus.values import Knobs as Knobs
from plateaus.values import MixedPrompt as MixedPrompt
from plateaus.values import Number as Number
from plateaus.values import PyTree as PyTree
from plateaus.values import ReadAt as ReadAt
from plateaus.values import Scalar as Scalar
from plateaus.values import Signals as Signals


class OtherLaw(NamedTuple):
    """One more test law of a task, for evaluation only.

    Fields:
      emit: (key, world, number) -> Example, as `Task.emit_test`.
      measures: name -> (prediction, example) -> measurement; None: the loss and the metrics of the
        test law. It is for a law about a single position of a prompt.
    """

    emit: signatures.EmitNumber
    measures: Mapping[str, signatures.Measure] | None = None


class Learned(NamedTuple):
    """When a group counts as learned: when its mean error while training is below a threshold.

    Fields:
      error: (prediction, example) -> scalar, 1 for who has learned nothing.
      below: the threshold of each group.
    """

    error: signatures.Measure
    below: tuple[float, ...]


class Groups(NamedTuple):
    """The families or domains of a task's examples, by which all measures are recorded as well.

    Fields:
      names: the names of the G groups.
      of: example -> number of its group.
      learned: when each group counts as learned; None: this is not recorded.
      target: the share of each group in the test law; () if equal. Means over groups weigh by it,
        and adaptive mixing aims at it.
      emit_target: like `Task.emit_test`, for the sample that adaptive mixing evaluates; None: fresh
        examples of `emit_test`.
      emit_mixed: (key, order [m], queried) -> MixedPrompt whose example i is of group order[i], and
        whose query each group of the tuple `queried` answers differently; None: the task has no
        mixed prompts.
    """

    names: tuple[str, ...]
    of: signatures.NumberOf
    learned: Learned | None = None
    target: tuple[float, ...] = ()
    emit_target: signatures.EmitNumber | None = None
    emit_mixed: signatures.EmitMixed | None = None


class Reads(NamedTuple):
    """What a model reads, and is read at.

    Fields:
      vocabulary: the number of discrete tokens; None where inputs are numbers.
      outputs: the size of a prediction that is a vector; None where it is one number.
      at: the positions of a sequence at which predictions are read.
    """

    vocabulary: int | None = None
    outputs: int | None = None
    at: ReadAt = slice(None)


class Task(NamedTuple):
    """A task: its worlds, the laws of its examples, its losses and its ideal predictors.

    Fields:
      init: key -> world, the variables that all examples of a run share.
      emit: (key, world, draw, knobs) -> the Example of the training law that a scalar Draw names.
      emit_test: (key, world, number) -> fresh Example of the test law; no knob reaches it. `number`
        counts a test sample from 0, for laws that are gone through in full (all facts, say); with
        groups, example `number` is of group `number` mod G.
      loss: (prediction, example) -> scalar, the training loss of one example.
      test_loss: the same, of the loss whose plateau is measured.
      metrics: name -> (prediction, example) -> scalar, or a vector whose axis `axes` names.
      predictors: (world, batch, knobs, log_prior) -> name -> predictions for a batch, where
        `log_prior` maps indices [k] to the log-probabilities with which the design draws them.
      uninformed, best: the predictors whose losses are the plateau's height and its floor.
      size: the number of indices of the training law.
      axes: names of the axes of metrics that are vectors.
      reads: how a model takes the inputs, and where it is read.
      groups: the families or domains of examples; None: there is one, without a name.
      distance: (prediction, prediction, example) -> scalar, how far a model is from a predictor.
      item: example -> index; with it, metrics are split by whether training draws that index.
      at: (knobs, t) -> the knobs of the law in force at step t, for laws that change.
      laws: name -> another test law, evaluated like the test law. Its records are NAME_loss and
        NAME_metric, and NAME_loss_of_P for predictor P. "test", "pool", "train" are no such names.
      relevant: the coordinates of an input vector, or the positions of a prompt, that a model on
        the plateau does not use yet, and its answer depends on; () where that are all of them, or
        it is not known.
    """

    init: signatures.Init
    emit: signatures.Emit
    emit_test: signatures.EmitNumber
    loss: signatures.Measure
    test_loss: signatures.Measure
    metrics: Mapping[str, signatures.Measure]
    predictors: signatures.Predict
    uninformed: str
    best: str
    size: int
    axes: Mapping[str, str] = {}
    reads: Reads = Reads()
    groups: Groups | None = None
    distance: signatures.Distance | None = None
    item: signatures.NumberOf | None = None
    at: signatures.KnobsAt = lambda knobs, t: knobs
    laws: Mapping[str, OtherLaw] = {}
    relevant: tuple[int, ...] = ()

    @property
    def group_names(self) -> tuple[str, ...]:
        """The names of the groups; () where there is one, without a name."""
        return () if self.groups is None else self.groups.names


class Grouping(NamedTuple):
    """The group of each item of a finite pool, for training items and for test items.

    Fields:
      names: of the groups, G.
      train: [N] of int, the group of every training item.
      test: [M] of int, likewise.
    """

    names: tuple[str, ...]
    train: Any
    test: Any

    @property
    def target(self) -> tuple[float, ...]:
        """The share of each group in the test items."""
        return tuple(float((self.test == group).mean()) for group in range(len(self.names)))


class Source(NamedTuple):
    """The design: which indices are drawn, how often, when.

    Fields:
      init: key -> state, what adapts over a run; () if nothing does.
      prepare: (knobs, size) -> plan, what draws need that changes with neither step nor state:
        evaluated once a phase, outside the loop. `size` items of the pool are in play.
      draw: (key, state, plan, t) -> Draw of step t, a function of the key and t.
      log_prob: (plan, index, t) -> log-probabilities with which step t draws these indices.
      observe: (state, signals, plan, t) -> state.
      weights: (state, plan, t) -> [G], the share of each group in what step t draws.
      ever: plan -> [G], 1 for the groups that the design means to train on, else 0.
      steer: (state, shares [G]) -> a state that draws groups by these shares; None: it cannot.
      emphasis: (state, plan, t) -> [G], what the losses of each group's examples are multiplied by;
        None: all alike.
      measures: (state, plan, t) -> name -> [G], recorded as train_NAME_by_task.

    An intervention is a function Source -> Source; it narrows `size`, or replaces indices.
    """

    init: signatures.Init
    prepare: signatures.Prepare
    draw: signatures.DrawBatch
    log_prob: signatures.LogProb
    observe: signatures.Observe
    weights: signatures.OfGroups = lambda state, plan, t: jnp.ones(1)
    ever: signatures.Ever = lambda plan: jnp.ones(1)
    steer: signatures.Steer | None = None
    emphasis: signatures.OfGroups | None = None
    measures: signatures.MeasureSource = lambda state, plan, t: {}


class Model(NamedTuple):
    """A network behind two functions; Flax lives only here.

    Fields:
      init: key -> params.
      apply: (params, inputs, *, edits=None, capture=()) -> (predictions, captured). `edits` maps
        the name of an activation to a function of it; `capture` names activations to return.
      activations: the names there are.
      cache: those that, captured of a prefix, let `apply(.., past=captured)` go on after it; ()
        if none do.
    """

    init: signatures.Init
    apply: signatures.Apply
    activations: tuple[str, ...]
    cache: tuple[str, ...] = ()


class Aggregator(NamedTuple):
    """How the gradients of B examples (or tasks) become one, from their inner products alone.

    Fields:
      init: B -> state, which adapts over a run; () if nothing does.
      update: (gram [B, B], state, *, key=None) -> (weights [B], state). The combined gradient is
        the sum over b of weights_b g_b. `key` is for aggregators whose result depends on an order.
    """

    init: signatures.InitOf
    update: signatures.Weigh


class Streams(NamedTuple):
    """The independent keys of one run, by purpose."""

    world: Array
    params: Array
    data: Array
    noise: Array
    test: Array
    pool: Array  # fresh examples of the training law, for evaluation only
    order: Array  # of the examples, where an aggregator depends on it
    probe: Array  # batches of probes, which are not trained on, and a probe's other draws
    target: Array  # the sample that adaptive mixing evaluates
    short: Array  # short runs that measure how groups help one another


def streams(seed: Array | int) -> Streams:
    """Return a run's keys: a function of its seed alone, never of its place in a sweep.

    So the same seed means the same world, initialisation and draws at every setting, and settings
    can be compared pair by pair.

    >>> streams(0).world == streams(0).params
    Array(False, dtype=bool)
    """
    key = jax.random.key(seed, impl="threefry2x32")
    return Streams(*(jax.random.fold_in(key, purpose) for purpose in range(len(Streams._fields))))
