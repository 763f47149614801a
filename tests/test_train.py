"""The trainer on a ladder of toy worlds whose end is known, and against a loop written out."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plateaus import evaluation, train
from plateaus.data import designs
from plateaus.models.networks import mlp
from plateaus.optim import optimisers
from plateaus.optim.averaging import schedule_free
from plateaus.tasks.laws import sparse_parity
from plateaus.train import NEVER, Recipe
from plateaus.types import Knobs, streams

WIDTH = 4


class World(NamedTuple):
    """A recipe and its programs, mapped over lanes."""

    recipe: Recipe
    laws: Callable
    start: Callable
    phase: Callable


def recipe_of(k=1, depth=0, width=8, batch=8, phase_steps=50, log_every=50, name="sgd"):
    """A tiny world: the parity of `k` of 4 signs, a network of `depth` hidden layers."""
    task = sparse_parity.sparse_parity(
        sparse_parity.Spec(dimension=4, relevant_bits=k, dataset_size=10_000)
    )
    source = designs.design(designs.Spec(), batch, task.size, frozenset())
    model = mlp.mlp(mlp.Spec(width=width, depth=depth), 4)
    family = optimisers.optimiser(optimisers.Spec(name=name), frozenset())
    return Recipe(task, source, model, family, 1000, phase_steps, log_every, eval_points=256)


@functools.cache
def laws_of(**task):
    return jax.jit(jax.vmap(functools.partial(evaluation.laws, recipe_of(**task))))


@functools.cache
def start_of(**model):
    return start_program(recipe_of(**model))


def start_program(recipe):
    return jax.jit(jax.vmap(functools.partial(train.init, recipe)))


def phase_program(recipe):
    return jax.jit(jax.vmap(functools.partial(train.phase, recipe), (0, 0, 0, 0, None)))


@functools.cache
def tiny(**given):
    """A tiny world and its programs: its laws are those of its task, its start of its model."""
    task = {name: given[name] for name in ("k",) if name in given}
    model = {name: given[name] for name in ("depth", "width", "name") if name in given}
    recipe = recipe_of(**given)
    return World(recipe, laws_of(**task), start_of(**task, **model), phase_program(recipe))


def knobs_of(learning_rates):
    """Knobs of lanes that differ in their learning rate."""
    lanes = [
        Knobs(sparse_parity.Knobs(), designs.Knobs(), optimisers.Knobs(learning_rate=rate))
        for rate in learning_rates
    ]
    return jax.tree.map(lambda *x: np.stack(x), *lanes)


def trained(world, rates, seeds=range(WIDTH), phases=1):
    """Final state, and the phases' measurements with time as the second axis."""
    seeds, knobs = np.asarray(list(seeds), np.uint32), knobs_of(rates)
    laws, _ = world.laws(seeds, knobs)
    state, first = world.start(seeds, knobs, laws)
    measured = []
    for number in range(phases):
        t = np.int32(number * world.recipe.phase_steps)
        state, one = world.phase(state, seeds, knobs, laws, t)
        measured.append(one)
    losses = np.concatenate([one.train_loss for one in measured], axis=1)
    tests = np.stack([first["test_loss"], *(o.evaluation["test_loss"] for o in measured)], axis=1)
    return jax.tree.map(np.asarray, state), losses, tests


# The ladder: what is learned, and what cannot be.


def test_a_single_sign_is_linear_and_learned_to_zero():
    """Least squares with a realisable target: SGD without noise at the optimum converges to it."""
    state, losses, tests = trained(tiny(), [0.05] * WIDTH, phases=8)
    assert np.all(tests[:, -1] < 1e-8) and np.all(losses[:, -1] < 1e-8)
    kernel = state.params["readout"]["kernel"][:, :, 0]
    np.testing.assert_allclose(kernel, np.tile([1.0, 0, 0, 0], (WIDTH, 1)), atol=1e-3)
    np.testing.assert_array_equal(state.diverged_at, np.full(WIDTH, NEVER))


def test_a_parity_of_two_is_beyond_a_linear_model():
    """Its best linear predictor is 0, of loss 1; SGD hovers just above, at 1 + O(rate)."""
    _, _, tests = trained(tiny(k=2), [0.01] * WIDTH, phases=8)
    assert np.all(np.abs(tests[:, -1] - 1.0) < 0.15)
    assert np.mean(tests[:, -1]) > 0.98


def test_a_parity_of_two_is_learned_with_a_hidden_layer():
    _, _, tests = trained(tiny(k=2, depth=1, width=16, batch=32), [0.1] * WIDTH, phases=20)
    assert np.all(tests[:, 0] > 0.5) and np.all(tests[:, -1] < 0.02)


def test_adam_learns_a_single_sign():
    _, _, tests = trained(tiny(name="adam"), [0.01] * WIDTH, phases=12)
    assert np.all(tests[:, -1] < 1e-3)


# One step and one window, written out.


def drawn(recipe, steps):
    """seed -> the first weights, and the batches of the steps, in float64."""

    @jax.jit
    def made(seed):
        keys, task = streams(seed), recipe.task
        world, plan = task.init(keys.world), recipe.source.prepare(designs.Knobs(), task.size)

        def batch_of(t):
            draw = recipe.source.draw(keys.data, (), plan, t)
            emit = lambda one: task.emit(keys.noise, world, one, sparse_parity.Knobs())  # noqa: E731
            return jax.vmap(emit)(draw)

        return recipe.model.init(keys.params), jax.vmap(batch_of)(jnp.arange(steps))

    return lambda seed: jax.tree.map(lambda x: np.asarray(x, np.float64), made(np.uint32(seed)))


def by_hand(params, batches, rate):
    """Losses and final weights of plain SGD on a one-hidden-layer network, in numpy float64."""
    losses = []
    for x, y in zip(*batches, strict=True):
        one, out = params["hidden_0"], params["readout"]
        before = x @ one["kernel"] + one["bias"]
        hidden = np.maximum(before, 0.0)
        error = (hidden @ out["kernel"] + out["bias"])[:, 0] - y
        losses.append(np.mean(error**2))
        d_out = (2.0 * error / len(y))[:, None]
        d_hidden = (d_out @ out["kernel"].T) * (before > 0)
        gradients = {
            "hidden_0": {"kernel": x.T @ d_hidden, "bias": d_hidden.sum(axis=0)},
            "readout": {"kernel": hidden.T @ d_out, "bias": d_out.sum(axis=0)},
        }
        params = jax.tree.map(lambda p, g: p - rate * g, params, gradients)
    return np.array(losses), params


def test_steps_and_windows_are_those_of_backpropagation_written_out():
    """6 steps in windows of 3: weights to rounding, each train loss the mean of 3 losses."""
    small = tiny(k=2, depth=1, phase_steps=6, log_every=3)
    state, losses, _ = trained(small, [0.1] * WIDTH)
    of_seed = drawn(small.recipe, steps=6)
    for seed in (0, 3):
        expected, params = by_hand(*of_seed(seed), rate=0.1)
        np.testing.assert_allclose(losses[seed], expected.reshape(2, 3).mean(axis=1), rtol=1e-5)
        lane = jax.tree.map(lambda x, s=seed: x[s], state.params)
        chex.assert_trees_all_close(lane, params, rtol=1e-4, atol=1e-6)


def test_the_evaluation_is_the_loss_on_one_fixed_sample():
    recipe = tiny().recipe

    @jax.jit
    def made(seed):
        keys = streams(seed)
        points = jax.vmap(recipe.task.emit_test, (0, None, 0))(
            jax.random.split(keys.test, recipe.eval_points),
            recipe.task.init(keys.world),
            jnp.arange(recipe.eval_points),
        )
        return recipe.model.init(keys.params), points

    params, (x, y) = jax.tree.map(np.asarray, made(np.uint32(2)))
    said = x @ params["readout"]["kernel"][:, 0] + params["readout"]["bias"]
    seeds, knobs = np.arange(WIDTH, dtype=np.uint32), knobs_of([0.05] * WIDTH)
    laws, reference = tiny().laws(seeds, knobs)
    _, first = tiny().start(seeds, knobs, laws)
    np.testing.assert_allclose(first["test_loss"][2], np.mean((said - y) ** 2), rtol=1e-5)
    assert reference["uninformed_loss"][2] == 1.0 and reference["best_loss"][2] == 0.0


# What must not change a bit.


def test_neighbours_and_places_change_no_bit():
    world = tiny(k=2, depth=1)
    rates, others = [0.1, 0.05, 0.2, 0.1], [0.3, 0.3, 0.1, 0.05]
    state, losses, tests = trained(world, rates, seeds=[5, 1, 2, 3], phases=2)
    other, other_losses, other_tests = trained(world, others, seeds=[9, 9, 5, 1], phases=2)
    lanes, others = np.array([0, 1]), np.array([2, 3])
    chex.assert_trees_all_equal(
        jax.tree.map(lambda x: x[lanes], state), jax.tree.map(lambda x: x[others], other)
    )
    np.testing.assert_array_equal(losses[lanes], other_losses[others])
    np.testing.assert_array_equal(tests[lanes], other_tests[others])
    assert len({row.tobytes() for row in losses}) == WIDTH


def test_the_length_of_a_phase_changes_no_bit():
    """Evaluating twice as often is the same training: batches depend on the step alone."""
    once, losses, tests = trained(tiny(k=2, depth=1, phase_steps=100), [0.1] * WIDTH, phases=2)
    twice, same, more = trained(tiny(k=2, depth=1), [0.1] * WIDTH, phases=4)
    chex.assert_trees_all_equal(once.params, twice.params)
    np.testing.assert_array_equal(losses, same)
    np.testing.assert_array_equal(tests, more[:, ::2])


# Divergence.


@pytest.mark.parametrize("rate", (1e6, 10.0))
def test_a_diverging_run_is_frozen_and_its_neighbours_do_not_notice(rate):
    """At 1e6 within a few steps; at 10 in the fourth window of the first phase."""
    _, laws_of, start, phase = tiny(k=2, phase_steps=20, log_every=5)
    seeds, rates = np.arange(WIDTH, dtype=np.uint32), [0.1, rate, 0.1, 0.05]
    harmless, calm = [0.1, 0.1, 0.1, 0.05], np.array([0, 2, 3])
    laws, _ = laws_of(seeds, knobs_of(rates))
    wild, tame = start(seeds, knobs_of(rates), laws)[0], start(seeds, knobs_of(harmless), laws)[0]
    first = jax.tree.map(lambda x: np.asarray(x)[1], wild.params)
    _, single_losses, _ = trained(tiny(k=2, phase_steps=20, log_every=1), rates, seeds=seeds)
    where = int(np.argmin(np.isfinite(single_losses[1])))  # the first loss that is not finite
    assert where > (10 if rate == 10.0 else 0)
    for number in range(3):
        t = np.int32(number * 20)
        wild, one = phase(wild, seeds, knobs_of(rates), laws, t)
        tame, same = phase(tame, seeds, knobs_of(harmless), laws, t)
        pick = functools.partial(jax.tree.map, lambda x: np.asarray(x)[calm])
        chex.assert_trees_all_equal(pick((wild, one)), pick((tame, same)))
        # the wild run keeps what it had when the phase began, and says NaN from its step on
        lane = jax.tree.map(lambda x: np.asarray(x)[1], wild)
        chex.assert_trees_all_equal(lane.params, first)
        assert lane.diverged_at == where
        assert all(np.isnan(value[1]) for value in one.evaluation.values())
        finite = np.isfinite(np.asarray(one.train_loss)[1])
        assert list(finite) == [t + 5 * (i + 1) <= where for i in range(4)]


def test_a_run_that_blows_up_at_the_very_end_of_a_phase_is_noticed():
    """All losses of the phase are finite, the test loss after it is not: diverged at its end."""
    state, losses, tests = trained(
        tiny(phase_steps=1, log_every=1), [3e38, 0.1, 0.1, 0.1], phases=2
    )
    assert list(state.diverged_at) == [1, NEVER, NEVER, NEVER]
    chex.assert_tree_all_finite(state)
    assert np.isfinite(losses[0, 0]) and np.isnan(losses[0, 1])
    assert np.isfinite(tests[0, 0]) and np.all(np.isnan(tests[0, 1:]))
    assert np.all(np.isfinite(tests[1:]))


def test_seeds_make_worlds_and_settings_share_them():
    """The same seed at two settings starts from the same weights: comparisons are paired."""
    seeds, knobs = np.uint32([4, 4, 5, 6]), knobs_of([0.1, 0.2, 0.1, 0.1])
    world = tiny(k=2, depth=1)
    state, _ = world.start(seeds, knobs, world.laws(seeds, knobs)[0])
    lane = [jax.tree.map(lambda x, i=i: np.asarray(x)[i], state.params) for i in range(WIDTH)]
    chex.assert_trees_all_equal(lane[0], lane[1])
    assert np.any(lane[0]["hidden_0"]["kernel"] != lane[2]["hidden_0"]["kernel"])
    keys = jax.jit(lambda seed: [jax.random.key_data(key) for key in streams(seed)])(np.uint32(4))
    assert len({np.asarray(key).tobytes() for key in keys}) == len(keys) > 1


# What the optimiser and the law are told.


def test_the_optimiser_is_given_the_gradient_of_the_same_batch():
    """Two gradient steps from one gradient function: the weights of a step of twice the rate."""

    def twice(knobs):
        def update(updates, state, params=None, *, grad_fn, **_):
            again = grad_fn(params, 0)
            return jax.tree.map(lambda g, h: -knobs.learning_rate * (g + h), updates, again), state

        return optax.GradientTransformationExtraArgs(lambda params: (), update)

    plain = tiny(phase_steps=1, log_every=1)
    recipe = plain.recipe._replace(optimiser=twice)
    told = World(recipe, plain.laws, start_program(recipe), phase_program(recipe))
    found, _, _ = trained(told, [0.05] * WIDTH, phases=2)
    expected, _, _ = trained(plain, [0.1] * WIDTH, phases=2)
    chex.assert_trees_all_close(found.params, expected.params, rtol=1e-5, atol=1e-7)


def test_the_parameters_of_a_schedule_free_run_are_the_mean_of_those_passed_through():
    """At a beta of 0 its gradients are those of gradient descent, its weights their mean."""
    plain = tiny(phase_steps=1, log_every=1)
    recipe = plain.recipe._replace(
        optimiser=lambda knobs: schedule_free(optax.sgd(knobs.learning_rate), beta=0.0)
    )
    averaged = World(recipe, plain.laws, start_program(recipe), phase_program(recipe))
    found, _, _ = trained(averaged, [0.1] * WIDTH, phases=3)
    passed = [trained(plain, [0.1] * WIDTH, phases=number)[0].params for number in (1, 2, 3)]
    expected = jax.tree.map(lambda *each: np.mean(each, axis=0), *passed)
    chex.assert_trees_all_close(found.params, expected, rtol=1e-5, atol=1e-6)


def test_a_step_draws_from_the_law_in_force():
    """Labels that turn at step 50: until then the single sign is learned with the wrong sign."""
    world = tiny()
    task = world.recipe.task

    def emit(key, world, draw, knobs):
        example = task.emit(key, world, draw, knobs)
        return example._replace(targets=knobs.staircase_epsilon * example.targets)

    def at(knobs, t):
        return knobs._replace(staircase_epsilon=jnp.where(t < 50, -1.0, 1.0))

    recipe = world.recipe._replace(task=task._replace(emit=emit, at=at))
    turned = world._replace(recipe=recipe, phase=phase_program(recipe))
    _, _, tests = trained(turned, [0.05] * WIDTH, phases=2)
    plain = trained(world, [0.05] * WIDTH, phases=2)[2]
    assert np.all(tests[:, 1] > 3.0) and np.all(plain[:, 1] < 0.1)  # loss 4: the opposite sign
    assert np.all(tests[:, 2] < 0.2)


def test_random_labels_hold_back_the_learning_until_they_end():
    world = tiny()
    knobs = knobs_of([0.05] * WIDTH)
    late = knobs._replace(task=knobs.task._replace(random_label_steps=np.int32([0, 50, 100, 0])))
    seeds = np.zeros(WIDTH, np.uint32)
    laws, _ = world.laws(seeds, late)
    state, _ = world.start(seeds, late, laws)
    losses = []
    for number in range(3):
        state, measured = world.phase(state, seeds, late, laws, np.int32(50 * number))
        losses.append(np.asarray(measured.evaluation["test_loss"]))
    first, second, third = losses
    assert first[0] < 0.1 and np.all(first[1:3] > 0.5) and first[0] == first[3]
    assert second[1] < 0.1 and second[2] > 0.5 and third[2] < 0.1
