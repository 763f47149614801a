"""A task whose items are grouped anew: the same examples, losses and tests in other domains."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from plateaus.fields import Field
from plateaus.signatures import Measure
from plateaus.types import (
    Array,
    Draw,
    Example,
    Grouping,
    Groups,
    Key,
    Learned,
    Number,
    PyTree,
    Task,
    streams,
)

MOST_INDICES = 2**30  # of a domain


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """How the items of a finite pool are grouped."""

    grouping: Annotated[
        str, Field(help="which groups items are of", choices=("original", "similar", "random"))
    ] = "original"
    clusters: Annotated[
        str,
        Field(
            help="number of domains, or a grid of numbers for 'similar', '3,4'; '': no pool",
            sweepable=False,
        ),
    ] = ""
    pool_seed: Annotated[
        int, Field(help="of the pool that is grouped, of k-means, of random groups", low=0)
    ] = 0


class Items(NamedTuple):
    """The items of a finite pool, [N] each, as the task itself names them."""

    group: Any
    index: Any


class Targets(NamedTuple):
    """What the task itself judges an example by, and which domain the example is of."""

    own: PyTree
    domain: Array


def regrouped(
    task: Task, grouping: Grouping, train: Items, test: Items, knobs: Any, seed: int
) -> Task:
    """Return the task on a finite pool, in the groups of `grouping`.

    Draw(i, g) is item i mod N_g of the N_g training items of domain g; `size` is a multiple of all
    N_g (below 2^30; else nearly), so that uniform indices are uniform items. Test example `number`
    is of test item `number` mod M, in the order given, at the task's own `knobs`: any M of them
    hold each once, whatever the grouping, and `target` is the domains' share in these. All runs
    have the world of `seed`, since a pool is grouped once; points, order and weights are their own.

    Losses and metrics are those of the task, in units of the item's own group; what is told by
    group, trained on and aimed at goes by domain. A domain is learned below the mean of its items'
    thresholds. `Groups.emit_target` draws training items, not test items, of domain `number` mod G.

    `task` must not have other laws, nor `item`, nor predictors that ask which items are drawn.

    Raises ValueError for a domain without a training or a test item: it would have no loss.
    """
    assert not task.laws and task.item is None and task.groups is not None
    size, names = len(grouping.names), grouping.names
    members = [np.flatnonzero(np.asarray(grouping.train) == g) for g in range(size)]
    for g, name in enumerate(names):
        for some, what in ((grouping.train, "trained on"), (grouping.test, "tested on")):
            if not np.any(np.asarray(some) == g):
                raise ValueError(f"{name} has no item that is {what}: give fewer clusters or more")
    counts = [len(own) for own in members]
    table = jnp.asarray(np.stack([np.resize(own, max(counts)) for own in members]), jnp.int32)
    known, held, domains = (
        jax.tree.map(lambda x: jnp.asarray(x, jnp.int32), some)
        for some in (train, test, grouping.test)
    )

    def init(key: object) -> PyTree:
        return task.init(streams(seed).world)

    def example(
        key: Key, world: PyTree, items: Items, number: Number, own_knobs: Any, domain: Any
    ) -> Example:
        draw = Draw(items.index[number], items.group[number])
        made = task.emit(key, world, draw, own_knobs)
        return Example(made.inputs, Targets(made.targets, jnp.asarray(domain, jnp.int32)))

    def emit(key: Key, world: PyTree, draw: Draw, knobs: Any) -> Example:
        number = table[draw.group, draw.index % jnp.asarray(counts)[draw.group]]
        return example(key, world, known, number, knobs, draw.group)

    def emit_test(key: Key, world: PyTree, number: Number) -> Example:
        item = number % held.index.shape[0]
        return example(key, world, held, item, knobs, domains[item])

    def emit_target(key: Key, world: PyTree, number: Number) -> Example:
        key_item, key_points = jax.random.split(key)
        domain = number % size
        place = jax.random.randint(key_item, (), 0, jnp.asarray(counts)[domain])
        return example(key_points, world, known, table[domain, place], knobs, domain)

    def own(example: Example) -> Example:
        return Example(example.inputs, example.targets.own)

    def of(measure: Measure) -> Measure:
        return lambda prediction, example: measure(prediction, own(example))

    def distance(prediction: Array, other: Array, example: Example) -> Array:
        assert task.distance is not None
        return task.distance(prediction, other, own(example))

    def unknown(index: Array) -> Array:
        raise ValueError("a regrouped task's predictors cannot ask which items are drawn")

    def learned(one: Learned) -> Learned:
        each = np.asarray(one.below)[np.asarray(train.group)]
        return Learned(of(one.error), tuple(float(each[items].mean()) for items in members))

    return task._replace(
        init=init,
        emit=emit,
        emit_test=emit_test,
        loss=of(task.loss),
        test_loss=of(task.test_loss),
        metrics={name: of(metric) for name, metric in task.metrics.items()},
        predictors=lambda world, batch, knobs, log_prior: task.predictors(
            world, own(batch), knobs, unknown
        ),
        distance=None if task.distance is None else distance,
        size=indices(counts),
        groups=Groups(
            names,
            of=lambda example: example.targets.domain,
            learned=None if task.groups.learned is None else learned(task.groups.learned),
            target=grouping.target,
            emit_target=emit_target,
        ),
    )


def indices(counts: list[int]) -> int:
    """Return how many indices a domain has: a multiple of all counts, or nearly.

    >>> indices([4, 6]), indices([2**20 + 1, 2**20 - 1]) <= 2**30
    (12, True)
    """
    multiple = math.lcm(*counts)
    if multiple <= MOST_INDICES:
        return multiple
    return MOST_INDICES // max(counts) * max(counts)
