"""The families with traced knobs against plain optax with Python numbers, bit for bit."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plateaus.optim.bias import BiasState
from plateaus.optim.optimisers import FAMILIES, SCHEDULE_FREE, Knobs, Spec, optimiser
from plateaus.optim.schedules import ScheduleState

PLAIN = {
    "sgd": lambda lr, b1, b2: optax.sgd(lr),
    "momentum": lambda lr, b1, b2: optax.sgd(lr, momentum=b1),
    "nesterov": lambda lr, b1, b2: optax.sgd(lr, momentum=b1, nesterov=True),
    "adam": lambda lr, b1, b2: optax.adam(lr, b1=b1, b2=b2),
    "nadam": lambda lr, b1, b2: optax.nadam(lr, b1=b1, b2=b2),
    "lion": lambda lr, b1, b2: optax.lion(lr, b1=b1, b2=b2, weight_decay=0.0),
    "muon": lambda lr, b1, b2: optax.contrib.muon(lr, beta=b1, adam_b1=b1, adam_b2=b2),
}
ROUNDED = ("adam", "nadam", "lion", "muon")  # where the compiler folds constants of a fixed beta


SETTINGS = [(0.1, 0.9, 0.999), (0.5, 0.5, 0.9), (1e-3, 0.0, 0.95)]


def layers(flat):
    """A matrix and a vector, which Muon treats apart."""
    return {"matrix": flat[:24].reshape(4, 6), "vector": flat[24:]}


def trajectory(transformation, gradients):
    """Parameters after each step, in one scan."""

    def step(carry, g):
        params, state = carry
        updates, state = transformation.update(layers(g), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    params = layers(jnp.ones(gradients.shape[1:]))
    return jax.lax.scan(step, (params, transformation.init(params)), gradients)[1]


def states_of(kind, state):
    """The states of a kind in a chain's, wherever they stand in it."""
    leaves = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, kind))
    return [leaf for leaf in leaves if isinstance(leaf, kind)]


def single(numbers):
    """The float32 neighbours, as Python numbers: 1 - beta2 sees the difference."""
    return [float(np.float32(number)) for number in numbers]


@pytest.fixture
def gradients():
    return np.random.default_rng(0).standard_normal((20, 33)).astype(np.float32)


def test_every_family_is_compared_here():
    """But for the schedule-free ones, which are in test_averaging.py."""
    assert set(PLAIN) | SCHEDULE_FREE == set(FAMILIES)


@pytest.mark.parametrize("family", PLAIN)
def test_traced_knobs_are_plain_optax(family, gradients, exact_jit):
    """To the bit; Adam and its like within rounding."""

    @exact_jit
    def traced(knobs, gradients):
        return trajectory(optimiser(Spec(name=family), frozenset())(knobs), gradients)

    for setting in SETTINGS:
        fixed = PLAIN[family](*single(setting))
        plain = exact_jit(functools.partial(trajectory, fixed))(gradients)
        found = traced(Knobs(*map(np.float32, setting)), gradients)
        if family in ROUNDED:
            chex.assert_trees_all_close(found, plain, rtol=1e-5, atol=1e-6)
        else:
            chex.assert_trees_all_equal(found, plain)


@pytest.mark.programs(50)  # Muon has many operations
@pytest.mark.parametrize("family", PLAIN)
def test_operation_by_operation_they_are_plain_optax_to_the_bit(family, gradients):
    for setting in SETTINGS:
        knobs = Knobs(*map(jnp.float32, setting))
        ours = optimiser(Spec(name=family), frozenset())(knobs)
        plain = PLAIN[family](*single(setting))
        params = layers(gradients[0])
        state, plain_state = ours.init(params), plain.init(params)
        for gradient in map(layers, gradients[:4]):
            update, state = ours.update(gradient, state, params)
            plain_update, plain_state = plain.update(gradient, plain_state, params)
            chex.assert_trees_all_equal(update, plain_update)


def test_the_gradient_bias_comes_first():
    """Adam sees the biased gradient: its first moment, not its update, carries the bias."""
    knobs = Knobs(learning_rate=0.1, gradient_bias=1.0, gradient_bias_every=1)
    transformation = optimiser(Spec(name="adam"), frozenset({"gradient_bias"}))(knobs)
    g = np.float32([1.0, -2.0])

    @jax.jit
    def twice(g):
        _, state = transformation.update(g, transformation.init(g), g)
        return transformation.update(g, state, g)[1]

    state = twice(g)
    [adam] = states_of(optax.ScaleByAdamState, state)
    np.testing.assert_allclose(adam.mu, 0.9 * 0.1 * g + 0.1 * 2 * g, rtol=1e-6)


def test_what_belongs_to_a_knob_that_is_not_used_is_left_out():
    belongs = frozenset({"decay_start", "gradient_bias_every"})
    transformation = optimiser(Spec(), belongs)(Knobs())
    assert transformation.init(jnp.zeros(2)) == optax.sgd(0.1).init(jnp.zeros(2))


def test_the_gradient_bias_stores_clipped_gradients():
    knobs = Knobs(learning_rate=1.0, gradient_bias=1.0, gradient_bias_every=1, clip_norm=1.0)
    transformation = optimiser(Spec(), frozenset({"gradient_bias", "clip_norm"}))(knobs)
    g, update = np.float32([3.0, 4.0]), jax.jit(transformation.update)
    _, state = update(g, transformation.init(g), g)
    [bias] = states_of(BiasState, state)
    np.testing.assert_allclose(bias.bias, g / 5, rtol=1e-6)
    updates, _ = update(g, state, g)
    np.testing.assert_allclose(updates, -2 * g / 5, rtol=1e-6)  # longer than the bound


def test_everything_sees_the_sharpness_aware_gradient():
    """The bias stores it, Adam averages it; the warm-up comes last."""
    knobs = Knobs(0.1, sam_radius=0.5, gradient_bias=1.0, gradient_bias_every=1, warmup_steps=10)
    transformation = optimiser(Spec(name="adam"))(knobs)
    uphill = np.float32([3.0, 4.0])

    @jax.jit
    def once(uphill, params):
        seen = []

        def gradient(params, number):
            seen.append(params)
            return uphill + params

        state = transformation.init(params)
        return transformation.update(uphill, state, params, grad_fn=gradient), seen

    (updates, state), [seen] = once(uphill, np.zeros(2, np.float32))
    np.testing.assert_allclose(seen, 0.5 * uphill / 5, rtol=1e-6)
    used = uphill + np.asarray(seen)
    [bias], [adam] = (states_of(kind, state) for kind in (BiasState, optax.ScaleByAdamState))
    np.testing.assert_array_equal(bias.bias, used)
    np.testing.assert_allclose(adam.mu, 0.1 * used, rtol=1e-6)
    np.testing.assert_allclose(updates, [-0.01, -0.01], rtol=1e-5)  # a tenth of the rate
    assert {int(schedule.count) for schedule in states_of(ScheduleState, state)} == {1}
