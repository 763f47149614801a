"""What is told by group, in training and evaluation, against numpy; a mixture trained."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus import evaluation, groups, train
from plateaus.data import designs
from plateaus.data.mixtures import MIXING
from plateaus.models.networks import mlp
from plateaus.models.taps import Tap
from plateaus.optim import optimisers
from plateaus.recipe import Gradients, Recipe, Surgery
from plateaus.tasks.laws import in_context
from plateaus.types import Aggregator, Draw, Example, Knobs, Model, streams

SPEC = in_context.Spec(families="linear,conjunction,relu", dimension=3, points=4)
TASK = in_context.in_context(SPEC)
RAW = in_context.in_context(dataclasses.replace(SPEC, normalise=False))
BATCH, STEPS, EVERY, POINTS = 7, 12, 4, 30


def linear_model():
    """A linear read-out of a prompt's own x: it can learn no-context functions only."""
    inner = mlp.mlp(mlp.Spec(depth=0), 3)

    def apply(params, inputs, **_):
        return inner.apply(params, inputs[..., TASK.reads.at, :])[0], {}

    return Model(inner.init, apply, ())


def recipe_of(**spec):
    source = designs.design(designs.Spec(**spec), BATCH, TASK.size, frozenset(), TASK.group_names)
    family = optimisers.optimiser(optimisers.Spec(name="sgd"), frozenset())
    return Recipe(TASK, source, linear_model(), family, STEPS, STEPS, EVERY, POINTS)


def knobs_of(rate=0.0, **data):
    data = designs.knobs_of(TASK.group_names)(**data)
    knobs = Knobs(in_context.Knobs(), data, optimisers.Knobs(learning_rate=rate))
    return jax.tree.map(np.asarray, knobs)


class Programs(NamedTuple):
    """A run's laws, its start, and its only phase."""

    laws: Callable
    start: Callable
    phase: Callable

    def trained(self, knobs, seed=3, groups=3):
        """The final state, and what the phase has measured; evaluated on an example a group."""
        nothing = np.zeros((groups, SPEC.points), np.float32)
        targets = in_context.Targets(nothing, nothing, np.arange(groups))
        inputs = np.zeros((groups, 2 * SPEC.points, SPEC.dimension), np.float32)
        laws = {"test": evaluation.Law(Example(inputs, targets), {})}
        state, _ = self.start(np.uint32(seed), knobs, laws)
        found = self.phase(state, np.uint32(seed), knobs, laws, np.int32(0))
        return jax.tree.map(np.asarray, found)


def compiled(recipe):
    parts = (evaluation.laws, train.init, train.phase)
    return Programs(*(jax.jit(functools.partial(part, recipe)) for part in parts))


seen = []  # (step, loss of each group) of what the design was told


@functools.cache
def programs(mixing):
    """Those of a way of mixing; with the usual one the design notes what it is told."""
    recipe = recipe_of(mixing=mixing)._replace(pool_points=POINTS)
    usual = recipe.source.observe

    def observe(state, signals, plan, t):
        jax.debug.callback(lambda t, x: seen.append((int(t), np.asarray(x))), t, signals.group_loss)
        return usual(state, signals, plan, t)

    if mixing == "split":
        recipe = recipe._replace(source=recipe.source._replace(observe=observe))
    return compiled(recipe)


@jax.jit
def untrained(seed, knobs):
    """Losses, last errors, groups [STEPS, ways of mixing, B] of every training example."""
    keys = streams(seed)
    world, params = TASK.init(keys.world), linear_model().init(keys.params)

    def drawn(source, t):
        plan = source.prepare(knobs.data, TASK.size)
        return source.draw(keys.data, source.init(keys.data), plan, t)

    def step(t):
        draws = [drawn(recipe_of(mixing=mixing).source, t) for mixing in MIXING]
        draw = jax.tree.map(lambda *x: jnp.stack(x), *draws)
        noise = jax.random.split(jax.random.fold_in(keys.noise, t), BATCH)
        emit = jax.vmap(TASK.emit, (0, None, 0, None))
        batch = jax.vmap(emit, (None, None, 0, None))(noise, world, draw, knobs.task)
        said = jax.vmap(lambda inputs: linear_model().apply(params, inputs)[0])(batch.inputs)
        values = [
            jax.vmap(jax.vmap(f))(said, batch) for f in (TASK.loss, TASK.groups.learned.error)
        ]
        return *values, draw.group

    return jax.lax.map(step, jnp.arange(STEPS))


def by_hand(knobs, mixing="split", seed=3):
    """Losses, last errors, groups [STEPS, B] of every training example, of untrained weights."""
    return [np.asarray(x)[:, MIXING.index(mixing)] for x in untrained(np.uint32(seed), knobs)]


@pytest.mark.parametrize(
    "mixing", ("split", "batch", pytest.param("sequence", marks=pytest.mark.thorough))
)
def test_training_losses_errors_and_counts_are_told_by_group(mixing):
    """At a rate of 0, so that every step has the same weights; windows of 4 steps."""
    knobs = knobs_of(weight_relu=0.5)
    losses, errors, group = by_hand(knobs, mixing)
    _, phase = programs(mixing).trained(knobs)
    assert set(phase.training) == {f"train_{n}_by_task" for n in ("loss", "error", "count")}
    for window in range(STEPS // EVERY):
        steps = slice(EVERY * window, EVERY * (window + 1))
        for g in range(3):
            here = group[steps] == g
            told = {n: float(x[window, g]) for n, x in phase.training.items()}
            assert told["train_count_by_task"] == pytest.approx(here.sum() / EVERY)
            for name, values in (("loss", losses), ("error", errors)):
                wanted = values[steps][here].mean() if here.any() else np.nan
                assert told[f"train_{name}_by_task"] == pytest.approx(wanted, rel=1e-5, nan_ok=True)
    np.testing.assert_allclose(phase.train_loss, losses.reshape(3, -1).mean(axis=1), rtol=1e-5)


def test_what_a_step_tells_the_design_is_the_loss_of_each_group():
    losses, _, group = by_hand(knobs_of())
    seen.clear()
    programs("split").trained(knobs_of())
    jax.effects_barrier()
    assert len(seen) == STEPS
    for t, loss in seen:
        wanted = [losses[t][group[t] == g].mean() for g in range(3)]
        np.testing.assert_allclose(loss, wanted, rtol=1e-5)


def measured(**data):
    """A run's laws, what never changes of its results, and its first evaluation."""
    laws, start, _ = programs("split")
    seed, knobs = np.uint32(3), knobs_of(**data)
    found, constants = laws(seed, knobs)
    first = start(seed, knobs, found)[1]
    return jax.tree.map(np.asarray, (found, constants, first))


def test_evaluations_are_told_by_group_and_averaged_over_those_trained_on():
    laws, constants, first = measured(weight_conjunction=0.0)
    batch = laws["test"].batch
    group = batch.targets.group
    np.testing.assert_array_equal(group, np.arange(POINTS) % 3)

    @jax.jit
    def by_example(seed, batch, alone):
        params = linear_model().init(streams(seed).params)
        said = linear_model().apply(params, batch.inputs)[0]
        measures = TASK.test_loss, TASK.metrics["loss_by_prefix"]
        values = (jax.vmap(measure)(said, batch) for measure in measures)
        return *values, jax.vmap(TASK.distance)(said, alone, batch)

    values, prefixes, apart = map(
        np.asarray, by_example(np.uint32(3), batch, laws["test"].predictions["no_context"])
    )
    means = [values[group == g].mean() for g in range(3)]
    np.testing.assert_allclose(first["test_loss_by_task"], means, rtol=1e-5)
    assert float(first["test_loss"]) == pytest.approx((means[0] + means[2]) / 2, rel=1e-5)
    wanted = np.stack([prefixes[group == g].mean(axis=0) for g in range(3)])
    np.testing.assert_allclose(first["test_loss_by_prefix_by_task"], wanted, rtol=1e-5)
    wanted = [apart[group == g].mean() for g in range(3)]
    np.testing.assert_allclose(
        first["test_distance_by_task_to_no_context"], wanted, rtol=1e-4, atol=1e-7
    )
    by_task = constants["test_loss_by_task_of_no_context"]
    level = float(constants["uninformed_loss"])
    assert level == pytest.approx((by_task[0] + by_task[2]) / 2, rel=1e-5)
    assert float(constants["best_loss"]) == pytest.approx(0.0, abs=1e-6)


def test_losses_by_group_are_in_units_of_the_plateau_whatever_is_trained_on():
    """So that .8 is an escape when training losses are as they are (paper 3), too."""

    tasks = (RAW, TASK)

    @jax.jit
    def by_group(seed):
        key_world, key = jax.random.split(jax.random.key(seed))
        draw = Draw(jnp.arange(6), jnp.arange(6) % 3)
        emit = jax.vmap(TASK.emit, (0, None, 0, None))
        world, knobs = TASK.init(key_world), in_context.Knobs()
        batch, said = emit(jax.random.split(key, 6), world, draw, knobs), jnp.ones((6, 4))
        losses = [jax.vmap(task.loss)(said, batch) for task in tasks]
        sums = [groups.sums(t, batch, x, said).loss for t, x in zip(tasks, losses, strict=True)]
        return losses, sums

    (plain, losses), (found, wanted) = by_group(np.uint32(0))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert not np.allclose(losses, plain)


def mean_of_examples(task):
    """Surgery that trains on the plain mean: gradients of zero, for a rate of 0."""
    shapes = jax.eval_shape(lambda: linear_model().init(jax.random.key(0)))
    zero = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)

    def capture(params, batch):
        said, _ = linear_model().apply(params, batch.inputs)
        return jax.vmap(task.loss)(said, batch), said, ()

    even = Aggregator(lambda b: (), lambda gram, state, key=None: (jnp.ones(BATCH) / BATCH, state))
    nothing = {}
    surgery = Surgery(
        gram=lambda captured: jnp.eye(BATCH),
        aggregator=lambda optim: even,
        measure=lambda gram: nothing,
        summarise=lambda means: nothing,
    )
    gradients = Gradients(capture, lambda captured, weights: zero)
    return {"gradients": gradients, "surgery": surgery}


def test_surgery_tells_the_same_by_group():
    """Of raw losses, too: neither escapes nor completions depend on what combines gradients."""
    recipe = recipe_of()._replace(task=RAW, **mean_of_examples(RAW))
    (_, phase), (_, usual) = (
        each.trained(knobs_of()) for each in (compiled(recipe), programs("split"))
    )
    for name in ("train_loss_by_task", "train_error_by_task"):
        np.testing.assert_allclose(phase.training[name], usual.training[name], rtol=1e-5)
    assert not np.allclose(phase.train_loss, usual.train_loss, rtol=0.1)


def test_means_leave_out_groups_that_a_law_has_no_example_of():
    """The training law at the last step has neither conjunctions (weight 0) nor ReLUs (over)."""
    _, constants, first = measured(weight_conjunction=0.0, until_relu=STEPS - 1)
    told = first["pool_loss_by_task"]
    assert np.isfinite(told).tolist() == [True, False, False]
    assert float(first["pool_loss"]) == float(told[0])
    assert float(constants["pool_loss_of_known"]) == pytest.approx(0.0, abs=1e-6)
    assert float(first["test_loss"]) == pytest.approx(first["test_loss_by_task"][::2].mean())


def test_a_group_that_is_not_trained_on_does_not_spoil_the_mean():
    told = jax.jit(groups.mean_over)(np.float32([1, 0, 1]), np.float32([1, np.inf, 3]))
    assert float(told) == 2.0


def test_a_loss_that_is_not_finite_stays_in_its_group():
    @jax.jit
    def of(losses):
        batch = Example(jnp.zeros((3, 8, 3)), in_context.Targets(*3 * [jnp.array([0, 1, 0])]))
        step = groups.sums(TASK, batch, losses)
        return groups.mean_loss(step), step.error

    loss, error = of(np.float32([1, np.nan, 3]))
    np.testing.assert_array_equal(loss, [2.0, np.nan, np.nan])
    assert np.all(np.isnan(error[:2]))  # no predictions were given


def test_a_mixture_learns_what_can_be_learned_without_context():
    """A constant learns the base rate of conjunctions; nothing is learned of a linear function."""
    task = in_context.in_context(in_context.Spec(families="conjunction,linear", dimension=4))
    source = designs.design(designs.Spec(), 64, task.size, frozenset(), task.group_names)

    def apply(params, inputs, *, edits=None, capture=()):
        tap = Tap(())
        return params + jnp.zeros((*inputs.shape[:1], inputs.shape[1] // 2)), tap.captured

    model = Model(lambda key: jnp.float32(0.0), apply, ())
    family = optimisers.optimiser(optimisers.Spec(name="sgd"), frozenset())
    recipe = Recipe(task, source, model, family, 120, 120, 40, 8)
    data = designs.knobs_of(task.group_names)(weight_linear=0.0)
    knobs = Knobs(in_context.Knobs(), data, optimisers.Knobs(learning_rate=1.0))
    knobs = jax.tree.map(np.asarray, knobs)
    state, phase = compiled(recipe).trained(knobs, seed=0, groups=2)
    rate = 0.85**4
    assert 1 / (1 + np.exp(-float(state.params))) == pytest.approx(rate, abs=0.02)
    last = phase.training["train_loss_by_task"][-1]
    assert last[0] == pytest.approx(1.0, abs=0.02) and np.isnan(last[1])


def test_draws_name_functions_within_their_family():
    """The same index of two families is two functions; the same of one family is the same."""

    @jax.jit
    def emitted(seed):
        key_world, key = jax.random.split(jax.random.key(seed))
        draw = Draw(jnp.array([5, 5, 6, 5]), jnp.array([0, 0, 0, 2]))
        emit = jax.vmap(TASK.emit, (None, None, 0, None))
        return emit(key, TASK.init(key_world), draw, in_context.Knobs())

    found = jax.tree.map(np.asarray, emitted(np.uint32(0)))
    one, same, other, relu = (jax.tree.map(lambda x, i=i: x[i], found) for i in range(4))
    np.testing.assert_array_equal(one.targets.y, same.targets.y)
    np.testing.assert_array_equal(one.inputs[0::2], other.inputs[0::2])
    assert np.any(one.targets.y != other.targets.y)
    assert np.all(relu.targets.y >= 0)
    assert not np.allclose(relu.targets.y, np.maximum(one.targets.y, 0))
