"""Contracts of every model on every task it is built for. Tested by registering it."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.experiment.build import MODELS, TASKS

POINTS = 6
pairs = pytest.mark.parametrize("pair", [(m, t) for m in MODELS for t in TASKS], ids="-".join)


@functools.cache
def built(pair):
    """(model, params of three members, inputs [B, ...])."""
    model_name, task_name = pair
    task = TASKS[task_name].make(TASKS[task_name].spec())
    world = task.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), POINTS)
    batch = jax.jit(jax.vmap(task.emit_test, (0, None)))(keys, world)
    example = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), batch)
    model = MODELS[model_name].make(MODELS[model_name].spec(), example)
    params = jax.jit(jax.vmap(model.init))(jax.random.split(jax.random.key(2), 3))
    return model, params, batch.inputs


def member(params, number=0):
    return jax.tree.map(lambda x: x[number], params)


@pairs
def test_members_differ_and_repeat(pair):
    model, params, inputs = built(pair)
    predictions = jax.jit(jax.vmap(lambda p: model.apply(p, inputs)[0]))(params)
    assert predictions.shape[:2] == (3, POINTS) and predictions.dtype == jnp.float32
    assert np.any(predictions[0] != predictions[1]) and np.any(predictions[1] != predictions[2])
    again = jax.jit(model.init)(jax.random.split(jax.random.key(2), 3)[1])
    chex.assert_trees_all_equal(member(params, 1), again)


@pairs
def test_an_example_does_not_see_its_neighbours(pair):
    model, params, inputs = built(pair)
    apply = jax.jit(lambda p, x: model.apply(p, x)[0])
    whole = apply(member(params), inputs)
    other = jax.tree.map(lambda x: x.at[1:].set(x[1:][::-1]), inputs)
    np.testing.assert_array_equal(apply(member(params), other)[0], whole[0])
    assert np.any(apply(member(params), other)[1] != whole[1])


@pairs
def test_every_parameter_has_a_finite_gradient_that_is_not_zero(pair):
    model, params, inputs = built(pair)
    loss = lambda p: jnp.sum(jnp.sin(model.apply(p, inputs)[0]))  # noqa: E731
    gradients = jax.jit(jax.grad(loss))(member(params))
    chex.assert_tree_all_finite(gradients)
    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.any(gradient != 0), jax.tree_util.keystr(path)
    chex.assert_trees_all_equal_shapes_and_dtypes(gradients, member(params))


@pairs
def test_every_activation_can_be_captured_and_edited(pair):
    model, params, inputs = built(pair)
    params = member(params)

    @functools.partial(jax.jit, static_argnums=1)
    def apply(params, name, value=None):
        edits = {} if value is None else {name: lambda h: h + value}
        return model.apply(params, inputs, edits=edits, capture=(name,))

    plain = jax.jit(lambda p: model.apply(p, inputs))(params)
    assert plain[1] == {}
    for name in model.activations:
        predictions, captured = apply(params, name)
        assert set(captured) == {name}
        np.testing.assert_array_equal(predictions, plain[0])
        edited, after = apply(params, name, 1.0)
        np.testing.assert_array_equal(after[name], captured[name] + 1.0)
        assert np.any(edited != plain[0])


@pairs
def test_taps_cost_nothing_when_unused(pair):
    model, params, inputs = built(pair)
    bare = jax.make_jaxpr(lambda p: model.apply(p, inputs)[0])(member(params))
    tapped = jax.make_jaxpr(lambda p: model.apply(p, inputs, edits={}, capture=())[0])(
        member(params)
    )
    captured = jax.make_jaxpr(lambda p: model.apply(p, inputs, capture=model.activations)[0])(
        member(params)
    )
    assert str(bare) == str(tapped)
    assert len(bare.jaxpr.eqns) == len(captured.jaxpr.eqns)


@pairs
def test_the_name_of_no_activation_is_refused(pair):
    model, params, inputs = built(pair)
    first = model.activations[0]
    for asked in ({"edits": {first + "x": jnp.negative}}, {"capture": (first + "x",)}):
        with pytest.raises(ValueError, match=f"{first}x.*nearest is '{first}'"):
            model.apply(member(params), inputs, **asked)
