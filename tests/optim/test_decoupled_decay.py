"""Weight decay against optax's AdamW and against loops in numpy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plateaus.optim.decoupled_decay import weight_decay
from plateaus.optim.optimisers import Knobs, Spec, knobs_with_rates, optimiser

STEPS = 30
USED = frozenset({"weight_decay"})
ROUNDING = {"rtol": 1e-5, "atol": 1e-5}  # 30 steps, each of a few roundings of numbers near 1


@pytest.fixture
def gradients():
    """Gradients of a layer and of its norm: both decay."""
    rng = np.random.default_rng(0)
    shapes = {"layer": (STEPS, 3, 4), "norm": (STEPS, 4)}
    return {n: np.float32(rng.standard_normal(s)) for n, s in shapes.items()}


@pytest.fixture
def params():
    rng = np.random.default_rng(1)
    return {
        "layer": np.float32(rng.standard_normal((3, 4))),
        "norm": np.ones(4, np.float32),
    }


@functools.partial(jax.jit, static_argnums=0)
def trajectory(transformation, gradients, params):
    """Parameters after each step, in one scan."""

    def step(carry, g):
        params, state = carry
        updates, state = transformation.update(g, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    return jax.lax.scan(step, (params, transformation.init(params)), gradients)[1]


@functools.partial(jax.jit, static_argnums=(0, 1))
def ours(family, used, knobs, gradients, params):
    return trajectory(optimiser(Spec(name=family), used)(knobs), gradients, params)


def close(found, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **ROUNDING), found, expected)


@pytest.mark.parametrize(("rate", "strength"), [(0.05, 0.01), (0.05, 0.5), (0.01, 3.0)])
def test_with_adam_it_is_adamw(rate, strength, gradients, params):
    fixed = optax.adamw(rate, b1=0.9, b2=0.98, weight_decay=strength)
    knobs = Knobs(rate, 0.9, 0.98, weight_decay=strength)
    close(ours("adam", USED, knobs, gradients, params), trajectory(fixed, gradients, params))


def test_with_nadam_it_is_nadamw(gradients, params):
    fixed = optax.nadamw(0.05, b1=0.9, b2=0.98, weight_decay=0.5)
    knobs = Knobs(0.05, 0.9, 0.98, weight_decay=0.5)
    close(ours("nadam", USED, knobs, gradients, params), trajectory(fixed, gradients, params))


def test_a_schedule_multiplies_it_as_in_adamw(gradients, params):
    """Warm-up of 6, decay of the last 10, clipping at 2, as a training script of optax has them."""
    t = np.arange(STEPS)
    table = 0.05 * np.minimum(1, (t + 1) / 6) * np.minimum(1, (STEPS - t) / 10)
    scheduled = optax.adamw(
        lambda count: jnp.float32(table)[count], b1=0.9, b2=0.98, weight_decay=0.5
    )
    fixed = optax.chain(optax.clip_by_global_norm(2.0), scheduled)
    knobs = Knobs(
        *(0.05, 0.9, 0.98),
        weight_decay=0.5,
        clip_norm=2.0,
        warmup_steps=6,
        decay_start=STEPS - 10,
        decay_steps=10,
    )
    used = USED | {"warmup_steps", "decay_steps", "clip_norm"}
    close(ours("adam", used, knobs, gradients, params), trajectory(fixed, gradients, params))


def test_the_rate_of_a_layer_multiplies_it(gradients, params):
    """A layer at twice the rate is AdamW's at twice the rate; a frozen one does not decay."""
    layered = knobs_with_rates(("layer", "norm"))
    knobs = layered(0.05, 0.9, 0.98, weight_decay=0.5, rate_layer=2.0, rate_norm=0.0)
    found = ours("adam", USED | {"rate_layer", "rate_norm"}, knobs, gradients, params)
    fixed = optax.adamw(0.1, b1=0.9, b2=0.98, weight_decay=0.5)
    close(found["layer"], trajectory(fixed, gradients, params)["layer"])
    np.testing.assert_array_equal(found["norm"], np.ones((STEPS, 4)))


@pytest.mark.parametrize("momentum", (0.0, 0.9))
def test_of_gradient_descent_by_hand(momentum, gradients, params):
    """The decay is not averaged into the momentum."""
    knobs = Knobs(0.05, momentum, weight_decay=0.5)
    found = jax.tree.map(np.asarray, ours("momentum", USED, knobs, gradients, params))
    for name, p in params.items():
        p, velocity = np.float64(p), 0.0
        for t in range(STEPS):
            velocity = momentum * velocity + np.float64(gradients[name][t])
            p = p - 0.05 * velocity - 0.05 * 0.5 * p
            np.testing.assert_allclose(found[name][t], p, **ROUNDING)


def test_strengths_are_mapped_and_zero_is_none(gradients, params):
    def run(strength, used):
        knobs = Knobs(0.05, weight_decay=strength)
        return trajectory(optimiser(Spec(), used)(knobs), gradients, params)

    strengths = (0.0, 0.1, 0.5)
    found = jax.jit(jax.vmap(lambda strength: run(strength, USED)))(np.float32(strengths))
    found = jax.tree.map(np.asarray, found)
    for lane, strength in enumerate(strengths):
        alone = run(strength, USED if strength else frozenset())
        close(jax.tree.map(lambda leaf, lane=lane: leaf[lane], found), alone)


def test_zero_strength_keeps_the_sign_of_zero_and_what_is_infinite():
    update, p = jnp.float32([-0.0, 1.0]), jnp.float32([-1.0, jnp.inf])
    found, _ = weight_decay(0.1, jnp.float32(0.0)).update(update, optax.EmptyState(), p)
    np.testing.assert_array_equal(found.view(jnp.int32), update.view(jnp.int32))


def test_half_precision_stays():
    p = np.ones(2, jnp.bfloat16)
    once = jax.jit(lambda a, b, p: weight_decay(a, b).update(p, optax.EmptyState(), p)[0])
    found = once(np.float32(0.5), np.float32(0.5), p)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, np.full(2, 0.75, jnp.bfloat16))


def test_it_needs_the_parameters():
    with pytest.raises(ValueError, match="weight decay needs the parameters"):
        weight_decay(0.1, 0.1).update(jnp.ones(2), optax.EmptyState())
