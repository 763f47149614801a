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
from plateaus.tasks.shared.mixtures import NoKnobs
from plateaus.types import Grouping, Groups, Learned, Task, streams
from plateaus.values import Array, Draw, Example, Key, Number, PyTree

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

    original: PyTree
    domain: Array


def regrouped(task: Task, grouping: Grouping | None, train: Items, test: Items, seed: int) -> Task:
    """Return the task on a finite pool, in the groups of `grouping`; None: in its original ones.

    Draw(i, g) is item i mod N_g of the N_g training items of domain g; `size` is a multiple of all
    N_g (below 2^30; else nearly), so that uniform indices are uniform items. Test example `number`
    is of test item `number` mod M, in the order given: any M of them hold each once, whatever the
    grouping, and `target` is the domains' share in these. All runs have the world of `seed`, since
    a pool is grouped once; each run has its own points, order and weights.

    Losses and metrics are those of the task, in units of the item's original group; what is
    measured by group, trained on and aimed at goes by domain. A domain is learned below the mean of
    its items' thresholds. `Groups.emit_target` draws training items of domain `number` mod G.

    `task` must have `groups` with `learned` and a `distance`, and no other laws, no `item`, no
    knobs, and no predictors that ask which items are drawn.

    Raises ValueError for a domain without a training or a test item: it would have no loss.
    """
    assert not task.laws and task.item is None
    assert task.groups is not None and task.groups.learned is not None
    if grouping is None:
        grouping = Grouping(task.groups.names, train.group, test.group)
    size, names = len(grouping.names), grouping.names
    members = [np.flatnonzero(np.asarray(grouping.train) == g) for g in range(size)]
    for g, name in enumerate(names):
        for labels, what in ((grouping.train, "trained on"), (grouping.test, "tested on")):
            if not np.any(np.asarray(labels) == g):
                raise ValueError(f"{name} has no item that is {what}: give fewer clusters or more")
    counts = [len(items) for items in members]
    table = jnp.asarray(np.stack([np.resize(items, max(counts)) for items in members]), jnp.int32)
    train_items, test_items, test_domains = (
        jax.tree.map(lambda x: jnp.asarray(x, jnp.int32), arrays)
        for arrays in (train, test, grouping.test)
    )
    thresholds = np.asarray(task.groups.learned.below)[np.asarray(train.group)]

    def init(key: object) -> PyTree:
        return task.init(streams(seed).world)

    def example(key: Key, world: PyTree, items: Items, number: Number, domain: Any) -> Example:
        draw = Draw(items.index[number], items.group[number])
        made = task.emit(key, world, draw, NoKnobs())
        return Example(made.inputs, Targets(made.targets, jnp.asarray(domain, jnp.int32)))

    def emit(key: Key, world: PyTree, draw: Draw, knobs: object) -> Example:
        number = table[draw.group, draw.index % jnp.asarray(counts)[draw.group]]
        return example(key, world, train_items, number, draw.group)

    def emit_test(key: Key, world: PyTree, number: Number) -> Example:
        item = number % test_items.index.shape[0]
        return example(key, world, test_items, item, test_domains[item])

    def emit_target(key: Key, world: PyTree, number: Number) -> Example:
        key_item, key_points = jax.random.split(key)
        domain = number % size
        place = jax.random.randint(key_item, (), 0, jnp.asarray(counts)[domain])
        return example(key_points, world, train_items, table[domain, place], domain)

    def original(example: Example) -> Example:
        return Example(example.inputs, example.targets.original)

    def of_original(measure: Measure) -> Measure:
        return lambda prediction, example: measure(prediction, original(example))

    def distance(prediction: Array, other: Array, example: Example) -> Array:
        assert task.distance is not None
        return task.distance(prediction, other, original(example))

    def refuse(index: Array) -> Array:
        raise ValueError("a regrouped task's predictors cannot ask which items are drawn")

    return task._replace(
        init=init,
        emit=emit,
        emit_test=emit_test,
        loss=of_original(task.loss),
        test_loss=of_original(task.test_loss),
        metrics={name: of_original(metric) for name, metric in task.metrics.items()},
        predictors=lambda world, batch, knobs, log_prior: task.predictors(
            world, original(batch), knobs, refuse
        ),
        distance=distance,
        size=indices(counts),
        groups=Groups(
            names,
            of=lambda example: example.targets.domain,
            learned=Learned(
                of_original(task.groups.learned.error),
                tuple(float(thresholds[items].mean()) for items in members),
            ),
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
