"""Contracts of every optimiser family, with every knob; tested by registering it."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plateaus.experiment.registry import OPTIM as BARE
from plateaus.optim.optimiser import FAMILIES, Spec, knobs_with_rates, optimiser

STEPS = 12
Knobs = knobs_with_rates(("first", "last"))  # as the registry's component becomes with a model
OPTIM = BARE._replace(knobs=Knobs)
ALL = frozenset(Knobs._fields)
each_family = pytest.mark.parametrize("family", FAMILIES)


def layers(vector):
    return {"first": vector[:3], "last": vector[3:]}


def around(gradient):
    """A gradient function that is `gradient` at zero and at the layers of `gradient` itself."""

    def grad_fn(params, number):
        del number
        return jax.tree.map(lambda g, p: g + 0.5 * p * (p - g), gradient, params)

    return grad_fn


@functools.cache
def program(family, used=ALL):
    """(knobs, gradients [T, 5]) -> updates [T, 5] of two layers, in one scan."""
    build = optimiser(Spec(name=family), used)

    @jax.jit
    def run(knobs, gradients):
        transformation = optax.with_extra_args_support(build(knobs))
        params = layers(jnp.zeros(gradients.shape[1:]))

        def step(carry, gradient):
            params, state = carry
            grad_fn = around(layers(gradient))
            updates, state = transformation.update(
                grad_fn(params, 0), state, params, grad_fn=grad_fn
            )
            flat = jnp.concatenate([updates["first"], updates["last"]])
            return (optax.apply_updates(params, updates), state), flat

        return jax.lax.scan(step, (params, transformation.init(params)), gradients)[1]

    return run


@pytest.fixture
def acting(values_of):
    return Knobs(**{name: values.first for name, values in values_of(OPTIM).items()})


@pytest.fixture
def gradients():
    return jnp.asarray(np.random.default_rng(0).standard_normal((STEPS, 5)), jnp.float32)


@each_family
def test_updates_keep_dtype_and_structure(family, acting):
    params = {"first": jnp.ones((2, 3)), "last": [jnp.ones(4), jnp.float32(1.0)]}
    transformation = optimiser(Spec(name=family), ALL)(acting)

    def two(params):
        state = transformation.init(params)
        updates, after = transformation.update(params, state, params, grad_fn=around(params))
        chex.assert_trees_all_equal_structs(state, after)
        return updates, state, after

    updates, state, after = jax.eval_shape(two, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)
    chex.assert_trees_all_equal_shapes_and_dtypes(updates, params)


def test_every_knob_acts_in_some_family(values_of, acting, gradients):
    idle = set(Knobs._fields)
    for family in FAMILIES:
        lanes = [acting] + [
            acting._replace(**{name: values.second}) for name, values in values_of(OPTIM).items()
        ]
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *lanes)
        updates = np.asarray(jax.vmap(program(family), (0, None))(stacked, gradients))
        assert np.all(np.isfinite(updates))
        idle -= {
            name
            for name, lane in zip(Knobs._fields, updates[1:], strict=True)
            if np.any(lane != updates[0])
        }
    assert not idle


@each_family
def test_all_values_share_one_trace(family, values_of, acting, gradients):
    chex.clear_trace_counter()
    build = optimiser(Spec(name=family), ALL)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def update(knobs, gradient):
        both = layers(gradient)
        return build(knobs).update(both, build(knobs).init(both), both, grad_fn=around(both))

    for name, values in values_of(OPTIM).items():
        for value in values[:2]:
            update(acting._replace(**{name: value}), gradients[0])


@each_family
def test_a_neutral_knob_is_no_intervention(family, values_of, acting, gradients):
    """Bit for bit, operation by operation: two *compiled* programs may round adam differently."""
    for name, values in values_of(OPTIM).items():
        if values.neutral is None:
            continue
        knobs = acting._replace(**{name: values.neutral})
        for used in (ALL, ALL - {name}):
            transformation = optax.with_extra_args_support(
                optimiser(Spec(name=family), used)(knobs)
            )
            state, updates = transformation.init(layers(gradients[0])), []
            for gradient in map(layers, gradients[:6]):
                update, state = transformation.update(
                    gradient, state, gradient, grad_fn=around(gradient)
                )
                both = np.concatenate([update["first"], update["last"]])
                updates.append(both.view(np.int32))
            if used == ALL:
                expected = updates
        np.testing.assert_array_equal(updates, expected)
