"""Contracts of every task. A new one is tested by registering it in `registry.TASKS`."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.data.source import uniform
from plateaus.experiment.registry import TASKS
from plateaus.types import Draw, Example

POINTS = 64
STEP = 5  # lies between the two values that act of a knob that is a step
SMALL = {  # by field: what the defaults cost is a matter of tests/tasks
    "linear_regression": {"dimension": 5, "points": 12, "dmmse_tasks": 64},
}
FILES = {"text"}  # what is held out of a user's files is not of the law of the rest
each_task = pytest.mark.parametrize("name", TASKS)


@functools.cache
def task_of(name):
    return TASKS[name].make(TASKS[name].spec(**SMALL.get(name, {})))


@functools.cache
def predictor(name):
    """(world, batch, knobs) -> what the task's predictors say, of a pool that is drawn evenly."""
    task, source = task_of(name), uniform(1)
    plan = source.prepare(None, task.size)

    @jax.jit
    def say(world, batch, knobs):
        return task.predictors(world, batch, knobs, lambda index: source.log_prob(plan, index, 0))

    return say


@functools.cache
def emitter(name):
    """(seed, indices, knobs) -> Example of every index at `STEP`, as the trainer maps it."""
    task = task_of(name)

    @jax.jit
    def emit(seed, indices, knobs):
        key_world, key_noise = jax.random.split(jax.random.key(seed))
        noise = jax.vmap(jax.random.fold_in, (None, 0))(key_noise, indices)
        law = task.at(knobs, STEP)
        draw = Draw(indices, indices % max(len(task.groups), 1))
        return jax.vmap(task.emit, (0, None, 0, None))(noise, task.init(key_world), draw, law)

    return emit


@functools.cache
def fresh(name):
    task = task_of(name)

    @jax.jit
    def emit(seed, numbers):
        key_world, key_test = jax.random.split(jax.random.key(seed))
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key_test, numbers)
        world = task.init(key_world)
        return world, jax.vmap(task.emit_test, (0, None, 0))(keys, world, numbers)

    return emit


def numbers(count=POINTS):
    return np.arange(count, dtype=np.int32)


def indices(name, count=POINTS):
    return np.arange(min(count, task_of(name).size), dtype=np.int32)


@pytest.fixture
def acting(values_of):
    def knobs(name):
        return TASKS[name].knobs(**{key: v.first for key, v in values_of(TASKS[name]).items()})

    return knobs


def differs(a, b):
    return any(
        np.any(np.asarray(x) != y) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True)
    )


@each_task
def test_an_example_is_a_function_of_seed_and_index(name, acting):
    """Any order of the indices; the last index there is; any neighbours."""
    index = indices(name)
    all_of_them = emitter(name)(np.uint32(3), index, acting(name))
    backwards = emitter(name)(np.uint32(3), index[::-1], acting(name))
    chex.assert_trees_all_equal(jax.tree.map(lambda x: x[::-1], backwards), all_of_them)
    last = emitter(name)(np.uint32(3), np.int32([task_of(name).size - 1]), acting(name))
    chex.assert_tree_all_finite(last)


@each_task
def test_members_differ_by_their_seed_alone(name, acting):
    seeds = np.arange(3, dtype=np.uint32)
    together = jax.vmap(emitter(name), (0, None, None))(seeds, indices(name), acting(name))
    member = [jax.tree.map(lambda x, i=i: x[i], together) for i in range(3)]
    assert differs(member[0].inputs, member[1].inputs)
    assert differs(member[1].inputs, member[2].inputs)
    chex.assert_trees_all_equal(member[1], emitter(name)(seeds[1], indices(name), acting(name)))


@each_task
def test_test_examples_look_like_training_examples_and_are_others(name, acting):
    train = emitter(name)(np.uint32(0), indices(name), acting(name))
    _, test = fresh(name)(np.uint32(0), numbers())
    assert isinstance(train, Example) and isinstance(test, Example)
    chex.assert_trees_all_equal_shapes_and_dtypes(train, test)
    assert differs(train.inputs, test.inputs)
    _, other = fresh(name)(np.uint32(0), numbers() + np.int32(POINTS))
    assert differs(test.inputs, other.inputs)
    _, another_seed = fresh(name)(np.uint32(1), numbers())
    assert differs(test.inputs, another_seed.inputs)


@each_task
def test_every_knob_acts_and_all_values_share_one_trace(name, acting, values_of):
    chex.clear_trace_counter()
    emit = jax.jit(chex.assert_max_traces(emitter(name).__wrapped__, n=1))
    base = emit(np.uint32(0), indices(name), acting(name))
    for knob, values in values_of(TASKS[name]).items():
        other = emit(np.uint32(0), indices(name), acting(name)._replace(**{knob: values.second}))
        assert differs(base, other), knob
        two = acting(name), acting(name)._replace(**{knob: values.second})
        lanes, turned = (jax.tree.map(lambda *x: jnp.stack(x), *pair) for pair in (two, two[::-1]))
        mapped = jax.vmap(emitter(name), (None, None, 0))
        lane, same = (mapped(np.uint32(0), indices(name), knobs) for knobs in (lanes, turned))
        lane, same = jax.tree.map(lambda x: x[1], lane), jax.tree.map(lambda x: x[0], same)
        chex.assert_trees_all_equal(lane, same)
        chex.assert_trees_all_close(lane, other, rtol=1e-4, atol=1e-5)  # alone: not to the bit


@each_task
def test_neutral_knobs_leave_the_test_law(name, values_of):
    """The best predictor of the test law has on the training law, undisturbed, the same loss."""
    if name in FILES:
        pytest.skip("no law: files")
    task = task_of(name)
    neutral = {
        key: v.first if v.neutral is None else v.neutral
        for key, v in values_of(TASKS[name]).items()
    }
    knobs = TASKS[name].knobs(**neutral)
    batch = emitter(name)(np.uint32(0), indices(name, 2000), knobs)
    world, test = fresh(name)(np.uint32(0), numbers(2000))

    losses = jax.jit(jax.vmap(task.test_loss))

    def loss(batch):
        said = predictor(name)(world, batch, knobs)[task.best]
        return np.asarray(losses(said, batch), np.float64)

    seen, unseen = loss(batch), loss(test)
    spread = np.sqrt(seen.var() / seen.size + unseen.var() / unseen.size)
    assert abs(seen.mean() - unseen.mean()) <= 4 * spread + 1e-6


@each_task
def test_the_best_predictor_beats_the_uninformed_one(name, values_of):
    task, knobs = task_of(name), TASKS[name].knobs()
    world, batch = fresh(name)(np.uint32(0), numbers(2000))
    said = predictor(name)(world, batch, knobs)
    assert {task.uninformed, task.best} <= set(said)
    measured = jax.jit(
        lambda said: [
            jax.vmap(measure)(said, batch)
            for measure in (task.test_loss, task.loss, *task.metrics.values())
        ]
    )
    losses = {}
    for one, predictions in said.items():
        chex.assert_equal_shape([predictions, said[task.best]])
        values = measured(predictions)
        chex.assert_tree_all_finite(values)
        losses[one] = float(jnp.mean(values[0]))
    assert losses[task.best] < losses[task.uninformed]
    assert losses[task.best] <= min(losses.values()) + 1e-6


@each_task
def test_what_a_task_says_of_itself_is_true(name):
    """Axes of metrics, distance, item, vocabulary and reading positions, against its examples."""
    task, knobs = task_of(name), TASKS[name].knobs()
    world, batch = fresh(name)(np.uint32(0), numbers())
    said = predictor(name)(world, batch, knobs)
    assert set(task.axes) <= set(task.metrics)
    for metric, measure in {"loss": task.test_loss, **task.metrics}.items():
        values = jax.jit(jax.vmap(measure))(said[task.best], batch)
        assert values.ndim == 1 + (metric in task.axes), metric
    if task.distance is not None:
        apart = jax.jit(jax.vmap(task.distance))
        zero, some = (apart(said[task.best], said[p], batch) for p in (task.best, task.uninformed))
        assert not np.any(zero) and np.all(some >= 0) and np.any(some > 0)
    if task.item is not None:
        seen = emitter(name)(np.uint32(0), indices(name), knobs)
        np.testing.assert_array_equal(jax.vmap(task.item)(seen), indices(name))
        drawn = np.asarray(jax.vmap(task.item)(batch))
        assert drawn.min() >= 0 and drawn.max() < task.size
    if task.vocabulary is not None:
        for tokens in map(np.asarray, (batch.inputs, jax.tree.leaves(batch.targets)[0])):
            assert tokens.dtype == np.int32 and tokens.min() >= 0
            assert tokens.max() < task.vocabulary == said[task.best].shape[-1]
    if TASKS[name].inputs == "tokens":
        where = list(task.read_at) if isinstance(task.read_at, tuple) else task.read_at
        read = np.arange(batch.inputs.shape[1])[where]
        assert (
            read.shape == jax.tree.leaves(batch.targets)[0].shape[1:] == said[task.best].shape[1:2]
        )


@each_task
def test_the_law_at_a_step_has_the_same_knobs(name, acting, values_of):
    """In structure and dtype, at a traced step; a neutral law is the same at every step."""
    task, knobs = task_of(name), acting(name)
    chex.assert_trees_all_equal_shapes_and_dtypes(task.at(knobs, jnp.int32(STEP)), knobs)
    neutral = {
        key: v.first if v.neutral is None else v.neutral
        for key, v in values_of(TASKS[name]).items()
    }
    knobs = TASKS[name].knobs(**neutral)
    for step in (0, STEP, 2**30):
        chex.assert_trees_all_equal(task.at(knobs, jnp.int32(step)), knobs)


@each_task
def test_predictors_are_mapped_over_runs(name, acting):
    """Knobs and worlds on a runs axis; each lane is what it is alone, but for rounding."""
    task, seeds = task_of(name), np.arange(2, dtype=np.uint32)
    worlds, batches = jax.vmap(fresh(name), (0, None))(seeds, numbers())
    lanes = jax.tree.map(lambda x, y: jnp.stack([x, y]), acting(name), acting(name))
    together = jax.vmap(predictor(name))(worlds, batches, lanes)
    one = jax.tree.map(lambda x: x[1], (worlds, batches))
    alone = predictor(name)(*one, acting(name))
    assert {task.uninformed, task.best} <= set(alone)
    chex.assert_trees_all_close(jax.tree.map(lambda x: x[1], together), alone, rtol=1e-3, atol=1e-4)
