"""Real text: the next token of a user's files, one sub-folder a domain."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus.tasks.corpus import bigrams
from plateaus.tasks.corpus.corpus import Knobs as Knobs
from plateaus.tasks.corpus.corpus import Spec, windows_of
from plateaus.tasks.corpus.windows import Pool
from plateaus.tasks.shared.questions import token_losses
from plateaus.types import Grouping, Groups, Learned, Reads, Task
from plateaus.values import Array, Draw, Example, Float, Key, Number

LEARNED = 0.9  # of the way from the unigram to the bigram


class Targets(NamedTuple):
    """What a window is judged by."""

    tokens: Array  # [context], the next one at each position
    group: Array  # number of the domain


class World(NamedTuple):
    """By how many places a run turns the order of each group's windows, [G] each."""

    train: Array
    target: Array
    test: Array


def text(spec: Spec, grouping: Grouping | None = None) -> Task:
    r"""Predict the next token of a window of text, at each of its `context` positions.

    Each domain's files, in sorted order with a separator between two, are one stream of tokens:
    bytes, or those of a tokenizer. Its last parts are held out, first the target split (what
    adaptive mixing may look at), then the test split; no window crosses a boundary. Training has
    W windows of each domain (`windows`), evenly spaced and shuffled once; item i of the pool is
    the i-th of that order, turned by a random number of places in each run: so a subset is an even
    one, and another one for each seed. Tests go through the held-out windows evenly. The loss is
    the mean cross-entropy over positions, in nats.

    With a `grouping` of the windows (in the order of `items`) it names the groups, and a group's
    windows are those that it labels; a pool has as many items as the largest group, and goes around
    in smaller ones. A group without a test window is tested on those it trains on, and its share in
    `target`, which is of the test windows alone, is 0.

    Shapes: inputs and targets.tokens [context] of int32, predictions [context, V] logits.
    Predictors, counted on a group's training split (with a grouping, on its training windows):
    "unigram", the height of the plateau; "bigram", smoothed
    (`plateaus.tasks.corpus.bigrams`): a mark, not a floor, for it sees one token of context and a
    model may pass below it. `last_error` is the loss over the group's unigram cross-entropy; a
    group is learned at 90% of the way from there to its bigram's, both on what is trained on.

    All windows are closed over as one array: 20 MB add .4 s to compiling, 200 MB add 10 s.

    >>> task = text(Spec(context=8, windows=4))
    >>> emit, world = jax.jit(task.emit), task.init(jax.random.key(0))
    >>> example = emit(jax.random.key(1), world, Draw(3), Knobs())
    >>> example.inputs.shape, bool((example.inputs[1:] == example.targets.tokens[:-1]).all())
    ((8,), True)
    """
    windows = windows_of(spec)
    chosen, train, target, test = windows.names, windows.train, windows.target, windows.test
    pairs = windows.pairs
    share: tuple[float, ...] = ()
    if grouping is not None:
        chosen = tuple(grouping.names)
        held = len(target.rows)
        train = train.labelled(grouping.train, len(chosen))
        pairs = [(rows[:, :-1].ravel(), rows[:, 1:].ravel()) for rows in train.by_group()]
        target = target.labelled(grouping.test[:held], len(chosen)).or_else(train)
        tested = grouping._replace(test=grouping.test[held:])
        share = tested.target
        test = test.labelled(tested.test, len(chosen)).or_else(train)
    counted = bigrams.bigrams(pairs, windows.vocabulary)
    unigram_losses, bigram_losses = bigrams.training_losses(counted)
    units = jnp.asarray(unigram_losses, jnp.float32)

    def init(key: Key) -> World:
        def turn(key: Key, pool: Pool) -> Array:
            return jax.random.randint(key, (len(chosen),), 0, jnp.asarray(pool.counts))

        return World(*map(turn, jax.random.split(key, 3), (train, target, test)))

    def example(pool: Pool, turn: Array, index: Any, group: Any) -> Example:
        group = jnp.asarray(group, jnp.int32)
        first, count = jnp.asarray(pool.first)[group], jnp.asarray(pool.counts)[group]
        place = (index % count + turn[group]) % count
        tokens = jnp.asarray(pool.rows)[first + place].astype(jnp.int32)
        return Example(tokens[:-1], Targets(tokens[1:], group))

    def emit(key: object, world: World, draw: Draw, knobs: object) -> Example:
        return example(train, world.train, draw.index, draw.group)

    def emit_target(key: object, world: World, number: Number) -> Example:
        return example(target, world.target, number // len(chosen), number % len(chosen))

    def emit_test(key: object, world: World, number: Number) -> Example:
        return example(test, world.test, number // len(chosen), number % len(chosen))

    def loss(prediction: Float[Array, "T V"], example: Example) -> Array:
        return jnp.mean(token_losses(prediction, example.targets.tokens))

    def unigram_loss(prediction: Array, example: Example) -> Array:
        """Return the loss in units of that of the group's unigram."""
        return loss(prediction, example) / units[example.targets.group]

    def accuracy(prediction: Array, example: Example) -> Array:
        right = jnp.argmax(prediction, axis=-1) == example.targets.tokens
        return jnp.mean(right.astype(jnp.float32))

    def predictors(
        world: object, batch: Example, knobs: object, log_prior: object
    ) -> dict[str, Array]:
        group = batch.targets.group
        unigram = jnp.log(jnp.asarray(counted.unigram, jnp.float32))[group]
        shape = (*batch.inputs.shape, windows.vocabulary)
        after = jax.vmap(functools.partial(bigrams.logits, counted))(batch.inputs, group)
        return {"unigram": jnp.broadcast_to(unigram[:, None, :], shape), "bigram": after}

    return Task(
        init=init,
        emit=emit,
        emit_test=emit_test,
        loss=loss,
        test_loss=loss,
        metrics={"accuracy": accuracy},
        predictors=predictors,
        uninformed="unigram",
        best="bigram",
        size=int(train.counts.max()),
        reads=Reads(windows.vocabulary),
        groups=Groups(
            chosen,
            of=lambda example: example.targets.group,
            learned=Learned(
                unigram_loss,
                tuple(float(x) for x in 1 - LEARNED * (1 - bigram_losses / unigram_losses)),
            ),
            target=share,
            emit_target=emit_target,
        ),
    )
