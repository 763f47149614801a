"""Aggregators in anyone's optax chain: what goes through, is refused, cannot go around."""

import functools
import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.experimental import aggregating

from plateaus.optim import stacked as transformations
from plateaus.optim.aggregation import AGGREGATORS
from plateaus.optim.stacked import cagrad, gradvac, pcgrad, stacked
from plateaus.trees import combine, gram
from plateaus.types import Aggregator

SIZE = 4
each = pytest.mark.parametrize("name", AGGREGATORS)


@pytest.fixture
def params():
    shapes = {"layer": {"w": (2, 3), "b": (3,)}, "scale": ()}
    return jax.tree.map(
        lambda shape: np.zeros(shape, np.float32), shapes, is_leaf=lambda x: isinstance(x, tuple)
    )


@pytest.fixture
def gradients(params):
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda p: np.asarray(rng.standard_normal((SIZE, *p.shape)), p.dtype), params
    )


def made(name, **options):
    size = {"size": SIZE} if name == "gradvac" else {}
    return getattr(transformations, name)(**options, **size)


def update(transformation, **extra):
    """(gradients, params) -> (the state before, the combined gradient, the state after)."""

    @jax.jit
    def once(gradients, params):
        state = transformation.init(params)
        return state, *transformation.update(gradients, state, params, **extra)

    return once


@functools.cache
def updated(name):
    """`update` by the aggregator of this name."""
    return update(made(name))


@each
def test_it_combines_by_its_aggregators_weights(name, params, gradients):
    state, found, after = updated(name)(gradients, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)
    chex.assert_trees_all_equal_shapes_and_dtypes(found, params)

    @jax.jit
    def expected(gradients):
        aggregator = AGGREGATORS[name].make()
        weights, _ = aggregator.update(gram(gradients), aggregator.init(SIZE))
        return combine(gradients, weights)

    chex.assert_trees_all_close(found, expected(gradients), rtol=1e-4, atol=1e-5)


def test_first_in_a_chain_in_a_loop(params, gradients):
    """The key reaches the aggregator through the chain; different keys, different steps."""
    optimiser = optax.chain(pcgrad(), optax.adam(1e-2))

    @jax.jit
    def train(seed, gradients, params):
        def step(carry, key):
            params, state = carry
            updates, state = optimiser.update(gradients, state, params, key=key)
            return (optax.apply_updates(params, updates), state), None

        keys = jax.random.split(jax.random.key(seed), 5)
        return jax.lax.scan(step, (params, optimiser.init(params)), keys)[0][0]

    first, same, other = (train(np.uint32(seed), gradients, params) for seed in (0, 0, 1))
    chex.assert_trees_all_equal(first, same)
    assert not np.allclose(first["layer"]["w"], other["layer"]["w"], atol=1e-6)


def test_under_vmap_over_runs_and_a_number(params, gradients):
    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None, None))
    def step(c, gradients, params):
        transformation = cagrad(c)
        return transformation.update(gradients, transformation.init(params), params)[0]

    lanes = jax.tree.map(np.asarray, step(np.float32([0.0, 0.5]), gradients, params))
    plain = jax.tree.map(lambda g: g.mean(0), gradients)
    chex.assert_trees_all_close(jax.tree.map(lambda x: x[0], lanes), plain, atol=1e-6)
    assert not np.allclose(lanes["layer"]["w"][0], lanes["layer"]["w"][1])


@each
@pytest.mark.parametrize("broken", (np.nan, np.inf))
def test_one_broken_gradient_breaks_everything(name, broken, params, gradients):
    gradients["layer"]["b"][1, 2] = broken
    _, found, _ = updated(name)(gradients, params)
    assert all(np.all(np.isnan(leaf)) for leaf in jax.tree.leaves(found))


def test_bfloat16_gradients(params, gradients):
    # each rounding to bfloat16 as it is written, not left out by the compiler
    options = {"xla_allow_excess_precision": False}
    update = jax.jit(pcgrad().update, compiler_options=options)
    half = jax.tree.map(lambda g: np.asarray(g, jnp.bfloat16), gradients)
    found, _ = update(half, ())
    whole, _ = update(jax.tree.map(lambda g: np.asarray(g, np.float32), half), ())
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(jnp.bfloat16)}
    found = jax.tree.map(lambda g: np.asarray(g, np.float32), found)
    chex.assert_trees_all_close(found, whole, rtol=2**-7, atol=2**-7)


@each
def test_the_factories_are_the_aggregators_own(name):
    theirs, factory = AGGREGATORS[name].make, getattr(transformations, name)
    ours = inspect.signature(factory).parameters
    assert [*inspect.signature(theirs).parameters, "size"] == list(ours)
    law, _, example = inspect.getdoc(theirs).partition("\n\n>>>")
    assert example and ">>>" not in factory.__doc__  # which is of weights, not of gradients
    assert factory.__doc__.startswith(law)
    assert factory.__name__ == name and "`stacked`" in factory.__doc__


def test_what_optax_does_with_its_own_aggregators_it_does_with_ours(params, gradients):
    """Our mean in place of its mean, before the same optimiser; the key reaches an aggregator."""
    theirs, keys = aggregating.average_per_element_updates(), []

    def weigh(gram, state, *, key=None):
        keys.append(key)
        return jnp.full(len(gram), 1 / len(gram)), state

    kept = stacked(Aggregator(lambda size: (), weigh))
    before = optax.with_extra_args_support(optax.scale(2.0))
    found = []
    for own, extra in ((theirs, {}), (transformations.mean(), {}), (kept, {"key": 5})):
        whole = aggregating.process(before, own, optax.sgd(1.0))
        assert isinstance(own, type(whole)) and isinstance(whole, aggregating.Aggregator)
        found.append(update(whole, **extra)(gradients, params)[1])
    for ours in found[1:]:
        chex.assert_trees_all_close(found[0], ours, rtol=1e-5, atol=1e-6)
    assert keys == [5]


@pytest.mark.parametrize("around", ("MultiSteps", "apply_if_finite"))
def test_what_cannot_go_around_it(around, params, gradients):
    chain = optax.chain(pcgrad(), optax.sgd(1.0))
    wrapped = getattr(optax, around)(chain, 2)
    with pytest.raises((ValueError, TypeError)):
        update(wrapped)(gradients, params)
    # but around what follows it
    follower = getattr(optax, around)(optax.sgd(1.0), 2)
    follower = getattr(follower, "gradient_transformation", lambda: follower)()
    inside = optax.chain(pcgrad(), follower)
    _, updates, _ = update(inside)(gradients, params)
    chex.assert_trees_all_equal_shapes(updates, params)


@pytest.mark.parametrize(
    ("break_it", "message"),
    (
        (lambda g: g | {"scale": np.ones(())}, r"\['scale'\] is a scalar"),
        (lambda g: g | {"scale": np.ones(3)}, r"\['scale'\] has leading axis 3 where .*has 4"),
        (lambda g: g | {"extra": np.ones(4)}, r"\['extra'\] has no parameter of that path"),
        (
            lambda g: g | {"layer": {"w": np.ones((4, 3, 2)), "b": g["layer"]["b"]}},
            r"\['layer'\]\['w'\] has shape \(4, 3, 2\) where the parameter's \(2, 3\) after a",
        ),
        (lambda g: [g, g], "one tree of stacked gradients, .* not a list of them"),
        (lambda g: {}, "no leaves"),
    ),
)
def test_misshapen_gradients_are_refused_by_path(break_it, message, params, gradients):
    with pytest.raises(ValueError, match=message):  # at trace time
        update(pcgrad())(break_it(gradients), params)


def test_plain_gradients_are_refused_by_their_shapes(params):
    """Without a leading axis: (2, 3) would else be two gradients of 3 parameters."""
    layer = {"w": params["layer"]["w"], "b": np.zeros(2)}
    gradients = {"w": np.ones((2, 3)), "b": np.ones((2, 2))}
    with pytest.raises(ValueError, match=r"\['w'\] has shape \(2, 3\)"):
        pcgrad().update(gradients, (), layer)


def test_a_state_needs_the_number_of_gradients(params, gradients):
    with pytest.raises(ValueError, match="size=B"):
        gradvac()
    three = gradvac(size=3)
    with pytest.raises(ValueError, match="has leading axis 4 where size says 3"):
        three.update(gradients, three.init(params), params)


def test_a_batch_of_one(params, gradients):
    one = jax.tree.map(lambda g: g[:1], gradients)
    _, found, _ = update(stacked(AGGREGATORS["pcgrad"].make()))(one, params)
    chex.assert_trees_all_equal(found, jax.tree.map(lambda g: g[0], one))
