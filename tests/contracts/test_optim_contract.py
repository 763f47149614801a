"""Contracts of every optimiser family, with every knob; tested by registering it."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plateaus.build.registry import OPTIM as BARE
from plateaus.optim.aggregation import AGGREGATORS
from plateaus.optim.optimisers import FAMILIES, Spec, aggregator, knobs_with_rates, optimiser

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
    """(knobs [R], gradients [T, 6]) -> updates [R, T, 6] of two layers, in one scan."""
    build = optimiser(Spec(name=family), used)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None))
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


def stacked(*knobs):
    return jax.tree.map(lambda *x: np.stack(x), *knobs)


@pytest.fixture
def acting(values_of):
    return Knobs(**{name: values.first for name, values in values_of(OPTIM).items()})


@pytest.fixture
def gradients():
    return np.float32(np.random.default_rng(0).standard_normal((STEPS, 6)))


@each_family
def test_updates_keep_dtype_and_structure(family, acting):
    params = {
        "first": np.ones((2, 3), np.float32),
        "last": [np.ones(4, np.float32), np.float32(1.0)],
    }
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
    lanes = stacked(
        acting,
        *(acting._replace(**{name: values.second}) for name, values in values_of(OPTIM).items()),
    )
    for family in FAMILIES:
        updates = np.asarray(program(family)(lanes, gradients))
        assert np.all(np.isfinite(updates))
        idle -= {
            name
            for name, lane in zip(Knobs._fields, updates[1:], strict=True)
            if np.any(lane != updates[0])
        }
    assert idle <= {"aggregator_strength"}  # before the family: what a single gradient weighs
    gram = gradients @ gradients.T
    lanes = stacked(*(acting._replace(aggregator_strength=np.float32(x)) for x in (0.3, 0.7)))
    for name in AGGREGATORS:
        made = aggregator(Spec(aggregator=name))

        @jax.vmap
        def weigh(knobs, made=made):
            return made(knobs).update(jnp.asarray(gram), made(knobs).init(STEPS))[0]

        if idle:
            weights = np.asarray(jax.jit(weigh)(lanes))
            idle -= {"aggregator_strength"} if np.any(weights[0] != weights[1]) else set()
        else:  # one that it acts in is enough, but all can be made
            assert jax.eval_shape(weigh, lanes).shape == (2, STEPS)
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


@functools.cache
def operations(family, used):
    """(knobs, state, gradient) -> update, state of a step: traced, but not compiled as a whole."""
    build, made = optimiser(Spec(name=family), used), []

    def update(knobs, state, gradient):
        transformation = optax.with_extra_args_support(build(knobs))
        return transformation.update(gradient, state, gradient, grad_fn=around(gradient))

    def run(*given):
        if not made:
            made[:] = jax.make_jaxpr(update, return_shape=True)(*given)
        found = jax.extend.core.jaxpr_as_fun(made[0])(*jax.tree.leaves(given))
        return jax.tree.unflatten(jax.tree.structure(made[1]), found)

    return run


def bits(family, used, knobs, gradients):
    """The updates of all steps, each operation a program of its own."""
    state, found = optimiser(Spec(name=family), used)(knobs).init(layers(gradients[0])), []
    for gradient in map(layers, gradients):
        update, state = operations(family, used)(knobs, state, gradient)
        found.append(np.concatenate([update["first"], update["last"]]).view(np.int32))
    return found


@pytest.mark.programs(50)  # each operation is one
@each_family
def test_a_neutral_knob_is_no_intervention(family, values_of, acting, gradients):
    """Bit for bit, operation by operation: two *compiled* programs may round adam differently."""
    for name, values in values_of(OPTIM).items():
        if values.neutral is not None:
            knobs = acting._replace(**{name: values.neutral})
            with jax.debug_key_reuse(False):  # there are no keys, and it slows each operation
                found = [bits(family, used, knobs, gradients[:6]) for used in (ALL, ALL - {name})]
            np.testing.assert_array_equal(*found)
