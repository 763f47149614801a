"""Gradient biasing against a plain loop that follows its definition word by word."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plateaus.optim.bias import bias_gradients

STEPS = 23


def by_definition(gradients, gamma, every):
    """The update is g_t + gamma b; at t = 0, every, ... b becomes g_t after that."""
    updates, b = [], np.zeros_like(gradients[0])
    for t, g in enumerate(gradients):
        updates.append(g + np.float32(gamma) * b)
        if t % every == 0:
            b = g
    return np.stack(updates)


@functools.partial(jax.jit, static_argnums=0)
def by_scan(transformation, gradients):
    def step(state, g):
        updates, state = transformation.update(g, state)
        return state, updates

    state = transformation.init(jax.tree.map(lambda x: x[0], gradients))
    return jax.lax.scan(step, state, gradients)[1]


@pytest.fixture
def gradients():
    """Multiples of 1/64 below 8, so that every sum below is exact in float32."""
    rng = np.random.default_rng(0)
    return (rng.integers(-500, 500, (STEPS, 4)) / 64).astype(np.float32)


def test_it_follows_the_definition_at_traced_gamma_and_every(gradients):
    gammas, everys = np.float32([0.0, 0.5, 0.5, 2.0, 1.0]), np.int32([3, 1, 7, 5, 100])
    run = jax.jit(jax.vmap(lambda gamma, every: by_scan(bias_gradients(gamma, every), gradients)))
    for found, gamma, every in zip(run(gammas, everys), gammas, everys, strict=True):
        np.testing.assert_array_equal(found, by_definition(gradients, gamma, every))


def test_python_numbers_and_trees(gradients):
    tree = {"a": gradients[:, :1], "b": [gradients[:, 1:]]}
    found = by_scan(bias_gradients(0.25, 4), tree)
    np.testing.assert_array_equal(found["a"], by_definition(gradients, 0.25, 4)[:, :1])
    np.testing.assert_array_equal(found["b"][0], by_definition(gradients, 0.25, 4)[:, 1:])


def test_an_interval_below_a_step_is_refused():
    with pytest.raises(ValueError, match="every = 0: must be at least 1"):
        bias_gradients(0.25, 0)


def test_in_a_chain_with_adam(gradients):
    chained = by_scan(optax.chain(bias_gradients(0.5, 5), optax.adam(0.1)), gradients)
    apart = by_scan(optax.adam(0.1), by_definition(gradients, 0.5, 5))
    np.testing.assert_allclose(chained, apart, rtol=1e-5)
    bare = by_scan(optax.adam(0.1), gradients)
    assert np.max(np.abs(chained - bare)) > 1e-3


def test_neutral_bit_for_bit():
    """Of -0.0, of what is not finite, and where the stored gradient is not finite."""
    rows = np.float32([[np.inf, np.nan, -np.inf, -0.0, 1e-45], [-0.0, 0.0, 1.5, -0.0, -1e38]] * 3)
    run = jax.jit(lambda gamma, rows: by_scan(bias_gradients(gamma, 2), rows))
    found = np.asarray(run(np.float32(0.0), rows))
    np.testing.assert_array_equal(found.view(np.int32), rows.view(np.int32))
    assert np.any(np.isnan(np.asarray(run(np.float32(0.1), rows))[1]))


def test_half_precision_stays_half_precision():
    """A traced float32 gamma does not promote the updates of bfloat16 parameters."""

    @jax.jit
    def once(gamma, gradient):
        transformation = bias_gradients(gamma, 2)
        return transformation.update(gradient, transformation.init(gradient))

    updates, state = once(np.float32(0.5), np.ones(3, jnp.bfloat16))
    assert updates.dtype == jnp.bfloat16 and state.bias.dtype == jnp.bfloat16
