"""What is told by group, in training and evaluation, against numpy; a mixture trained."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus import evaluation, groups, train
from plateaus.data import design
from plateaus.models import mlp
from plateaus.models.taps import Tap
from plateaus.optim import optimiser
from plateaus.recipe import Gradients, Recipe, Surgery
from plateaus.tasks import in_context
from plateaus.types import Aggregator, Draw, Example, Knobs, Model, streams

SPEC = in_context.Spec(families="linear,conjunction,relu", dimension=3, points=4)
TASK = in_context.in_context(SPEC)
BATCH, STEPS, EVERY, POINTS = 7, 12, 4, 30


def linear_model():
    """A linear read-out of a prompt's own x: it can learn no-context functions only."""
    inner = mlp.mlp(mlp.Spec(depth=0), 3)

    def apply(params, inputs, **_):
        return inner.apply(params, inputs[..., TASK.read_at, :])[0], {}

    return Model(inner.init, apply, ())


def recipe_of(**spec):
    source = design.design(design.Spec(**spec), BATCH, TASK.size, frozenset(), TASK.groups)
    family = optimiser.optimiser(optimiser.Spec(name="sgd"), frozenset())
    return Recipe(TASK, source, linear_model(), family, STEPS, STEPS, EVERY, POINTS)


def knobs_of(rate=0.0, **data):
    data = design.knobs_of(TASK.groups)(**data)
    return jax.tree.map(
        jnp.asarray, Knobs(in_context.Knobs(), data, optimiser.Knobs(learning_rate=rate))
    )


@functools.cache
def program(**spec):
    recipe = recipe_of(**spec)

    @jax.jit
    def run(seed, knobs):
        laws, constants = evaluation.laws(recipe, seed, knobs)
        state, first = train.init(recipe, seed, knobs, laws)
        state, phase = train.phase(recipe, state, seed, knobs, laws, jnp.int32(0))
        return laws, constants, state, first, phase

    return lambda knobs, seed=3: run(np.uint32(seed), knobs)


def by_hand(knobs, seed=3, **spec):
    """Losses, last errors, groups [STEPS, B] of every training example, of untrained weights."""
    recipe, keys = recipe_of(**spec), streams(seed)
    world, params = TASK.init(keys.world), recipe.model.init(keys.params)
    plan = recipe.source.prepare(knobs.data, TASK.size)
    state, rows = recipe.source.init(keys.data), []
    for t in range(STEPS):
        draw = recipe.source.draw(keys.data, state, plan, t)
        noise = jax.random.split(jax.random.fold_in(keys.noise, t), BATCH)
        batch = jax.vmap(TASK.emit, (0, None, 0, None))(noise, world, draw, knobs.task)
        said = recipe.model.apply(params, batch.inputs)[0]
        rows.append((*(jax.vmap(f)(said, batch) for f in (TASK.loss, TASK.last_error)), draw.group))
    return tuple(np.asarray(column) for column in zip(*rows, strict=True))


@pytest.mark.parametrize("mixing", ["split", "batch", "sequence"])
def test_training_losses_errors_and_counts_are_told_by_group(mixing):
    """At a rate of 0, so that every step has the same weights; windows of 4 steps."""
    knobs = knobs_of(weight_relu=0.5)
    losses, errors, group = by_hand(knobs, mixing=mixing)
    _, _, _, _, phase = program(mixing=mixing)(knobs)
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
    knobs = knobs_of()
    losses, _, group = by_hand(knobs)
    seen = []
    recipe = recipe_of()

    def observe(state, signals, knobs, t):
        jax.debug.callback(lambda t, x: seen.append((int(t), np.asarray(x))), t, signals.group_loss)
        return state

    told = recipe._replace(source=recipe.source._replace(observe=observe))

    @jax.jit
    def run(seed, knobs):
        laws, _ = evaluation.laws(told, seed, knobs)
        state, _ = train.init(told, seed, knobs, laws)
        return train.phase(told, state, seed, knobs, laws, jnp.int32(0))

    jax.block_until_ready(run(np.uint32(3), knobs))
    jax.effects_barrier()
    assert len(seen) == STEPS
    for t, loss in seen:
        wanted = [losses[t][group[t] == g].mean() for g in range(3)]
        np.testing.assert_allclose(loss, wanted, rtol=1e-5)


def test_evaluations_are_told_by_group_and_averaged_over_those_trained_on():
    laws, constants, _, first, _ = program()(knobs_of(weight_conjunction=0.0))
    batch = laws["test"].batch
    group = np.asarray(batch.targets.group)
    np.testing.assert_array_equal(group, np.arange(POINTS) % 3)
    params = linear_model().init(streams(3).params)
    said = linear_model().apply(params, batch.inputs)[0]
    values = np.asarray(jax.jit(jax.vmap(TASK.test_loss))(said, batch))
    means = [values[group == g].mean() for g in range(3)]
    np.testing.assert_allclose(first["test_loss_by_task"], means, rtol=1e-5)
    assert float(first["test_loss"]) == pytest.approx((means[0] + means[2]) / 2, rel=1e-5)
    prefixes = np.asarray(jax.jit(jax.vmap(TASK.metrics["loss_by_prefix"]))(said, batch))
    wanted = np.stack([prefixes[group == g].mean(axis=0) for g in range(3)])
    np.testing.assert_allclose(first["test_loss_by_prefix_by_task"], wanted, rtol=1e-5)
    alone = laws["test"].said["no_context"]
    apart = np.asarray(jax.jit(jax.vmap(TASK.distance))(said, alone, batch))
    wanted = [apart[group == g].mean() for g in range(3)]
    np.testing.assert_allclose(
        first["test_distance_by_task_to_no_context"], wanted, rtol=1e-4, atol=1e-7
    )
    by_task = np.asarray(constants["test_loss_by_task_of_no_context"])
    level = float(constants["uninformed_loss"])
    assert level == pytest.approx((by_task[0] + by_task[2]) / 2, rel=1e-5)
    assert float(constants["best_loss"]) == pytest.approx(0.0, abs=1e-6)


def test_losses_by_group_are_in_units_of_the_plateau_whatever_is_trained_on():
    """So that .8 is an escape when training losses are as they are (paper 3), too."""
    raw = in_context.in_context(in_context.Spec(**{**vars(SPEC), "normalise": False}))
    world, keys = TASK.init(jax.random.key(0)), jax.random.split(jax.random.key(1), 6)
    draw = Draw(jnp.arange(6), jnp.arange(6) % 3)
    batch = jax.vmap(TASK.emit, (0, None, 0, None))(keys, world, draw, in_context.Knobs())
    said = jnp.ones((6, 4))
    plain, losses = (jax.jit(jax.vmap(task.loss))(said, batch) for task in (raw, TASK))
    found = groups.sums(raw, batch, plain, said).loss
    np.testing.assert_allclose(found, groups.sums(TASK, batch, losses, said).loss, rtol=1e-6)
    assert not np.allclose(losses, plain)


def mean_of_examples(task):
    """Surgery that trains on the plain mean: gradients of zero, for a rate of 0."""
    zero = jax.tree.map(jnp.zeros_like, linear_model().init(jax.random.key(0)))

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
    raw = in_context.in_context(in_context.Spec(**{**vars(SPEC), "normalise": False}))
    recipe, knobs = recipe_of()._replace(task=raw, **mean_of_examples(raw)), knobs_of()

    @jax.jit
    def run(seed, knobs):
        laws, _ = evaluation.laws(recipe, seed, knobs)
        state, _ = train.init(recipe, seed, knobs, laws)
        return train.phase(recipe, state, seed, knobs, laws, jnp.int32(0))[1]

    phase, usual = run(np.uint32(3), knobs), program()(knobs)[-1]
    for name in ("train_loss_by_task", "train_error_by_task"):
        np.testing.assert_allclose(phase.training[name], usual.training[name], rtol=1e-5)
    assert not np.allclose(phase.train_loss, usual.train_loss, rtol=0.1)


def test_means_leave_out_groups_that_a_law_has_no_example_of():
    """The training law at the last step has neither conjunctions (weight 0) nor ReLUs (over)."""
    recipe = recipe_of()._replace(pool_points=POINTS)
    knobs = knobs_of(weight_conjunction=0.0, until_relu=STEPS - 1)

    @jax.jit
    def run(seed, knobs):
        laws, constants = evaluation.laws(recipe, seed, knobs)
        return constants, train.init(recipe, seed, knobs, laws)[1]

    constants, first = run(np.uint32(3), knobs)
    told = np.asarray(first["pool_loss_by_task"])
    assert np.isfinite(told).tolist() == [True, False, False]
    assert float(first["pool_loss"]) == float(told[0])
    assert float(constants["pool_loss_of_known"]) == pytest.approx(0.0, abs=1e-6)
    assert float(first["test_loss"]) == pytest.approx(first["test_loss_by_task"][::2].mean())


def test_a_group_that_is_not_trained_on_does_not_spoil_the_mean():
    told = groups.mean_over(jnp.array([1.0, 0.0, 1.0]), jnp.array([1.0, jnp.inf, 3.0]))
    assert float(told) == 2.0


def test_a_loss_that_is_not_finite_stays_in_its_group():
    losses = jnp.array([1.0, jnp.nan, 3.0])
    batch = Example(jnp.zeros((3, 8, 3)), in_context.Targets(*3 * [jnp.array([0, 1, 0])]))
    step = groups.sums(TASK, batch, losses)
    np.testing.assert_array_equal(groups.mean_loss(step), [2.0, np.nan, np.nan])
    assert np.all(np.isnan(step.error[:2]))  # no predictions were given


def test_a_mixture_learns_what_can_be_learned_without_context():
    """A constant learns the base rate of conjunctions; nothing is learned of a linear function."""
    task = in_context.in_context(in_context.Spec(families="conjunction,linear", dimension=4))
    source = design.design(design.Spec(), 64, task.size, frozenset(), task.groups)

    def apply(params, inputs, *, edits=None, capture=()):
        tap = Tap(())
        return params + jnp.zeros((*inputs.shape[:1], inputs.shape[1] // 2)), tap.captured

    model = Model(lambda key: jnp.float32(0.0), apply, ())
    family = optimiser.optimiser(optimiser.Spec(name="sgd"), frozenset())
    recipe = Recipe(task, source, model, family, 400, 400, 100, 8)
    data = design.knobs_of(task.groups)(weight_linear=0.0)
    knobs = jax.tree.map(
        jnp.asarray, Knobs(in_context.Knobs(), data, optimiser.Knobs(learning_rate=1.0))
    )

    @jax.jit
    def run(seed, knobs):
        laws, _ = evaluation.laws(recipe, seed, knobs)
        state, _ = train.init(recipe, seed, knobs, laws)
        return train.phase(recipe, state, seed, knobs, laws, jnp.int32(0))

    state, phase = run(np.uint32(0), knobs)
    rate = 0.85**4
    assert 1 / (1 + np.exp(-float(state.params))) == pytest.approx(rate, abs=0.02)
    last = np.asarray(phase.training["train_loss_by_task"][-1])
    assert last[0] == pytest.approx(1.0, abs=0.02) and np.isnan(last[1])


def test_draws_name_functions_within_their_family():
    """The same index of two families is two functions; the same of one family is the same."""
    world = TASK.init(jax.random.key(0))
    emit = jax.jit(TASK.emit)
    one, same, other = (
        emit(jax.random.key(k), world, Draw(index, 0), in_context.Knobs())
        for k, index in ((1, 5), (1, 5), (1, 6))
    )
    np.testing.assert_array_equal(one.targets.y, same.targets.y)
    np.testing.assert_array_equal(one.inputs[0::2], other.inputs[0::2])
    assert np.any(one.targets.y != other.targets.y)
    relu = emit(jax.random.key(1), world, Draw(5, 2), in_context.Knobs())
    assert np.all(relu.targets.y >= 0)
    assert not np.allclose(relu.targets.y, np.maximum(one.targets.y, 0))
