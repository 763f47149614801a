"""The records that everything here is made of, and the letters of array shapes.

Letters: B batch, N batches, G groups, E evaluation points, T steps of a phase, R runs of a chunk.
Argument order everywhere: key, state or params, data, knobs, t.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array as Array  # for everyone: `as` marks what is passed on
from jaxtyping import Float as Float
from jaxtyping import Int as Int
from jaxtyping import Key as _Key
from jaxtyping import PyTree as PyTree

Key: TypeAlias = _Key[Array, ""]
"""One typed random key."""

Scalar: TypeAlias = float | int | Array
"""A knob: a Python number in a config, a traced scalar inside a program."""

EXACT = jax.lax.Precision.HIGHEST  # an accelerator's default rounds factors to 10 bits or 8

ReadAt: TypeAlias = slice | tuple[int, ...]
"""Positions of a sequence: a slice of them, or each by its number."""


class Example(NamedTuple):
    """One example, or a batch of them when vmapped."""

    inputs: PyTree
    targets: PyTree


class Draw(NamedTuple):
    """Which examples make a batch [B], or which one example an `emit` is asked for."""

    # shadowing tuple.index is harmless here
    index: Any  # number of the example or of the task, from 0
    group: Any = 0  # the family or domain it belongs to, in the order of `Task.groups`


class Signals(NamedTuple):
    """What a step tells the design: read by adaptive sources. None: nothing asks for it."""

    group_loss: Array  # [G], NaN for a group that the step did not draw
    count: Array | None = None  # type: ignore[assignment] # [G], examples drawn; hides it
    gradient: PyTree = None  # [G, ...] sums of the examples' gradients, of tracked layers
    excess: Array | None = None  # [G], mean of max(loss - the reference model's, 0), else NaN
    # known at the last step of a round only, zeros at others
    target_loss: Array | None = None  # [G], on a sample of what is tested for
    target_gradient: PyTree = None  # [G, ...], mean gradients of that sample, of tracked layers
    affinity: Array | None = None  # [G, G], fall of j's target loss after a short run on i


class Knobs(NamedTuple):
    """The numbers of a run, traced: one leaf each, swept along a leading axis."""

    task: Any
    data: Any
    optim: Any


class MixedPrompt(NamedTuple):
    """A prompt whose m examples are of several groups, and its K ways to go on."""

    prefix: Array  # [T], the examples and the query
    ways: Array  # [K, S], the tokens that follow it, if it is answered by each group that is asked
    targets: Array  # [K, S], the token after each of `ways`
    scored: Array  # [K, S] of bool, which of `targets` are of an answer
    end: Array  # [], the token that ends an answer


class OtherLaw(NamedTuple):
    """One more test law of a task, for evaluation only.

    Fields:
      emit: (key, world, number) -> Example, as `Task.emit_test`.
      measures: name -> (prediction, example) -> what is measured on it; None: the loss and the
        metrics of the test law. For a law that says something of one position of a prompt only.
    """

    emit: Callable[..., Example]
    measures: Mapping[str, Callable[..., Array]] | None = None


class Task(NamedTuple):
    """The law: what a world is, how an example is drawn, what an ideal predictor says.

    Fields:
      init: key -> world, whatever one run's examples share.
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
      size: how many indices the training law has.
      distance: (prediction, prediction, example) -> scalar, how far a model is from a predictor.
      item: example -> index; with it, metrics are told apart by whether training draws that index.
      vocabulary: the number of discrete tokens; None where inputs are numbers.
      outputs: the size of a prediction that is a vector; None where it is one number.
      read_at: the positions of a sequence at which predictions are read.
      at: (knobs, t) -> the knobs of the law in force at step t, for laws that change.
      groups: names of the families or domains that examples are of; () is one, without a name.
      group: example -> number of its group. With it, all that is measured is told by group, too.
      last_error: (prediction, example) -> scalar, 1 for who has learned nothing: followed, by
        group, while training; a group is learned when it is below `learned_below[group]`.
      laws: name -> another test law, evaluated like the test law: what is measured is recorded as
        NAME_loss, NAME_metric, and of predictor P as NAME_loss_of_P. Not "test", "pool", "train".
      target: the share of each group in what is tested for; () if equal. Means over groups weigh by
        it, and adaptive mixing aims at it.
      emit_target: like `emit_test`, of what adaptive mixing may look at; None: fresh `emit_test`.
      emit_mixed: (key, order [m], asked) -> MixedPrompt whose example i is of group order[i], with
        a query that each group of the tuple `asked` answers differently; None: there are none.
    """

    init: Callable[..., PyTree]
    emit: Callable[..., Example]
    emit_test: Callable[..., Example]
    loss: Callable[..., Array]
    test_loss: Callable[..., Array]
    metrics: Mapping[str, Callable[..., Array]]
    predictors: Callable[..., Mapping[str, Array]]
    uninformed: str
    best: str
    size: int
    axes: Mapping[str, str] = {}
    distance: Callable[..., Array] | None = None
    item: Callable[..., Array] | None = None
    vocabulary: int | None = None
    outputs: int | None = None
    read_at: ReadAt = slice(None)
    at: Callable[..., Any] = lambda knobs, t: knobs
    groups: tuple[str, ...] = ()
    group: Callable[..., Array] | None = None
    last_error: Callable[..., Array] | None = None
    learned_below: tuple[float, ...] = ()
    laws: Mapping[str, OtherLaw] = {}
    target: tuple[float, ...] = ()
    emit_target: Callable[..., Example] | None = None
    emit_mixed: Callable[..., MixedPrompt] | None = None


class Grouping(NamedTuple):
    """Which group each item of a finite pool is of: of those trained on, and of those tested on.

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
        """The share of each group in what is tested for."""
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

    init: Callable[..., PyTree]
    prepare: Callable[..., PyTree]
    draw: Callable[..., Draw]
    log_prob: Callable[..., Array]
    observe: Callable[..., PyTree]
    weights: Callable[..., Array] = lambda state, plan, t: jnp.ones(1)
    ever: Callable[..., Array] = lambda plan: jnp.ones(1)
    steer: Callable[..., PyTree] | None = None
    emphasis: Callable[..., Array] | None = None
    measures: Callable[..., dict[str, Array]] = lambda state, plan, t: {}


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

    init: Callable[..., PyTree]
    apply: Callable[..., tuple[Array, dict[str, Array]]]
    activations: tuple[str, ...]
    cache: tuple[str, ...] = ()


class Aggregator(NamedTuple):
    """How the gradients of B examples (or tasks) become one, from their inner products alone.

    Fields:
      init: B -> state, what adapts over a run; () if nothing does.
      update: (gram [B, B], state, *, key=None) -> (weights [B], state). The combined gradient is
        the sum over b of weights_b g_b. `key` is for aggregators whose result depends on an order.
    """

    init: Callable[[int], PyTree]
    update: Callable[..., tuple[Array, PyTree]]


class Streams(NamedTuple):
    """The independent keys of one run, by purpose."""

    world: Array
    params: Array
    data: Array
    noise: Array
    test: Array
    pool: Array  # fresh examples of the training law, for evaluation only
    order: Array  # of the examples, where an aggregator depends on it
    probe: Array  # batches that are only looked at, and what else a probe draws
    target: Array  # the sample that adaptive mixing looks at
    short: Array  # short runs that tell how groups help one another


def streams(seed: Array | int) -> Streams:
    """Return a run's keys: a function of its seed alone, never of its place in a sweep.

    So the same seed means the same world, initialisation and draws at every setting, and settings
    can be compared pair by pair.

    >>> streams(0).world == streams(0).params
    Array(False, dtype=bool)
    """
    key = jax.random.key(seed, impl="threefry2x32")
    return Streams(*(jax.random.fold_in(key, purpose) for purpose in range(len(Streams._fields))))
