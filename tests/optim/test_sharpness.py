"""Sharpness-aware steps against the formula of Foret et al., written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plateaus.optim.sharpness import sharpness_aware

CURVATURE = {"a": np.float32([1.0, 4.0]), "b": np.float32(9.0)}
START = {"a": np.float32([1.0, -2.0]), "b": np.float32(0.5)}


def gradient(params, number=0):
    """Of the sum of c p^4 / 4: its direction changes from place to place."""
    return jax.tree.map(lambda c, p: c * p**3, CURVATURE, params)


@jax.jit
def descent(radius):
    """Parameters after each of 5 steps of rate 0.01."""
    transformation = sharpness_aware(optax.sgd(0.01), radius)

    def step(carry, _):
        params, state = carry
        updates, state = transformation.update(gradient(params), state, params, grad_fn=gradient)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    return jax.lax.scan(step, (START, transformation.init(START)), length=5)[1]


def by_hand(radius):
    curvature, p, found = np.array([1.0, 4.0, 9.0]), np.array([1.0, -2.0, 0.5]), []
    for _ in range(5):
        g = curvature * p**3
        p = p - 0.01 * curvature * (p + radius * g / np.sqrt(np.sum(g**2))) ** 3
        found.append(p)
    return np.stack(found)


def test_radii_are_mapped_and_follow_the_formula():
    radii = np.float32([0.0, 0.1, 1.0])
    found = jax.tree.map(np.asarray, jax.jit(jax.vmap(descent))(radii))
    for i, radius in enumerate(radii):
        flat = np.concatenate([found["a"][i], found["b"][i][:, None]], axis=1)
        np.testing.assert_allclose(flat, by_hand(float(radius)), rtol=2e-5)


def test_without_a_radius_it_is_plain_descent_to_the_bit():
    start = jax.tree.map(jnp.asarray, START)
    expected, _ = optax.sgd(0.01).update(gradient(start), optax.sgd(0.01).init(start))
    aware = sharpness_aware(optax.sgd(0.01), jnp.float32(0.0))
    found, _ = aware.update(gradient(start), aware.init(start), start, grad_fn=gradient)
    for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_where_the_gradient_is_zero_nothing_moves():
    origin = jax.tree.map(jnp.zeros_like, START)
    aware = sharpness_aware(optax.sgd(0.01), jnp.float32(0.5))
    updates, _ = aware.update(origin, aware.init(origin), origin, grad_fn=gradient)
    for leaf in jax.tree.leaves(updates):
        np.testing.assert_array_equal(leaf, np.zeros_like(leaf))


def test_it_needs_the_gradient_function():
    aware = sharpness_aware(optax.sgd(0.01), 0.5)
    with pytest.raises(ValueError, match="grad_fn must be provided"):
        aware.update(START, aware.init(START), START)
