"""Contracts of every model on every task that it fits. Tested by registering it.

What shapes alone decide is tested of every pair of a model and a task. What must be compiled is
tested of each task with one model, and of each model with one task of each kind of inputs (vectors,
tokens): tasks of one kind give a model the same program at other sizes.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.experiment.registry import MODELS, PAIRS, TASKS
from plateaus.models.gram import combine, per_example_gram

POINTS = 6
SMALL = {  # of other sizes: their own tests
    "transformer": {"width": 16, "depth": 2, "heads": 2},
    "mamba": {"width": 16, "depth": 2, "state_size": 4},
    "hyena": {"width": 16, "depth": 2, "filter_width": 8},
}


@functools.cache
def made(pair):
    """(model, task, inputs [B, ...] and parameters of one member, by their shapes alone)."""
    model_name, task_name = pair
    task = TASKS[task_name].make(TASKS[task_name].spec())
    batch = jax.eval_shape(lambda: emitted(task))
    example = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), batch)
    spec = MODELS[model_name].spec(**SMALL.get(model_name, {}))
    model = MODELS[model_name].make(spec, task, example)
    return model, task, batch.inputs, jax.eval_shape(model.init, jax.random.key(2))


def emitted(task):
    """A batch of test examples."""
    keys, world = jax.random.split(jax.random.key(1), POINTS), task.init(jax.random.key(0))
    return jax.vmap(task.emit_test, (0, None, 0))(keys, world, jnp.arange(POINTS))


@functools.cache
def built(pair):
    """(model, params of three members, inputs [B, ...])."""
    model, task, *_ = made(pair)
    params = jax.jit(jax.vmap(model.init))(jax.random.split(jax.random.key(2), 3))
    return model, params, jax.jit(lambda: emitted(task).inputs)()


def telling():
    """The first pair of every task, and of every model with each kind of inputs."""
    seen, found = set(), []
    for pair in PAIRS:
        kind = str([(leaf.dtype, leaf.ndim) for leaf in jax.tree.leaves(made(pair)[2])])
        new = {("task", pair[1]), (pair[0], kind)} - seen
        seen |= new
        found += [pair] * bool(new)
    return found


every_pair = pytest.mark.parametrize("pair", PAIRS, ids="-".join)
pairs = pytest.mark.parametrize("pair", telling(), ids="-".join)


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
    """One program for all: each edit adds a pattern, as strong as a traced number says."""
    model, params, inputs = built(pair)
    params, names = member(params), model.activations

    def pattern(h):  # not one number: a norm does not see it, nor does a softmax
        return jnp.asarray(np.cos(np.arange(h.size, dtype=np.float32)).reshape(h.shape))

    @jax.jit
    def apply(params, strength):
        edits = {name: lambda h, i=i: h + strength[i] * pattern(h) for i, name in enumerate(names)}
        return model.apply(params, inputs, edits=edits, capture=names)

    plain = jax.jit(lambda p: model.apply(p, inputs))(params)
    assert plain[1] == {}
    predictions, captured = apply(params, np.zeros(len(names), np.float32))
    assert set(captured) == set(names)
    np.testing.assert_allclose(predictions, plain[0], rtol=1e-5, atol=1e-6)
    for i, name in enumerate(names):
        edited, after = apply(params, np.eye(len(names), dtype=np.float32)[i])
        np.testing.assert_array_equal(after[name], captured[name] + pattern(captured[name]))
        assert not np.allclose(edited, predictions, atol=1e-4), name


@pairs
def test_activations_are_captured_and_edited_one_by_one(pair):
    """By shapes alone: only what is asked for is returned, of the shape it has beside others."""
    model, _, inputs, params = made(pair)
    together = jax.eval_shape(
        lambda p, x: model.apply(p, x, capture=model.activations), params, inputs
    )
    for name in model.activations:
        said, captured = jax.eval_shape(
            lambda p, x, name=name: model.apply(p, x, edits={name: jnp.negative}, capture=(name,)),
            params,
            inputs,
        )
        assert captured == {name: together[1][name]} and said == together[0]


@every_pair
def test_layers_are_the_keys_of_the_parameters(pair):
    """What `optim.rate_<layer>` may name."""
    *_, params = made(pair)
    component = MODELS[pair[0]]
    assert set(component.layers(component.spec(**SMALL.get(pair[0], {})))) == set(params)


@every_pair
def test_taps_cost_nothing_when_unused(pair):
    model, _, inputs, params = made(pair)

    def program(**given):
        return jax.make_jaxpr(lambda p, x: model.apply(p, x, **given)[0])(params, inputs)

    bare, tapped = program(), program(edits={}, capture=())
    captured = program(capture=model.activations)
    assert str(bare) == str(tapped)
    assert len(bare.jaxpr.eqns) == len(captured.jaxpr.eqns)


@every_pair
def test_the_name_of_no_activation_is_refused(pair):
    model, _, inputs, params = made(pair)
    first = model.activations[0]
    for asked in ({"edits": {first + "x": jnp.negative}}, {"capture": (first + "x",)}):
        with pytest.raises(ValueError, match=f"{first}x.*nearest is '{first}'"):
            jax.eval_shape(lambda p, x, a=asked: model.apply(p, x, **a), params, inputs)


@pairs
def test_gram_of_single_gradients_is_exact_and_needs_no_fallback(pair):
    """On the task's own loss; a fallback would warn, and warnings are errors."""
    model, params, _ = built(pair)
    params, task = member(params), made(pair)[1]
    batch, weights = jax.jit(lambda: emitted(task))(), jnp.linspace(-1.0, 2.0, POINTS)
    losses = lambda said, batch: jax.vmap(task.loss)(said, batch)  # noqa: E731

    @jax.jit
    def ours(params, batch):
        _, gram, captured = per_example_gram(model, losses)(params, batch)
        return gram, combine(captured, weights)

    def one(params, example):
        said = model.apply(params, jax.tree.map(lambda x: x[None], example.inputs))[0][0]
        return task.loss(said, example)

    each = jax.jit(jax.vmap(jax.grad(one), (None, 0)))(params, batch)
    gram, combined = ours(params, batch)
    flat = np.concatenate(
        [np.asarray(x, np.float64).reshape(POINTS, -1) for x in jax.tree.leaves(each)], axis=1
    )
    np.testing.assert_allclose(gram, flat @ flat.T, atol=1e-5 * np.abs(flat @ flat.T).max())
    found = np.concatenate([np.ravel(x) for x in jax.tree.leaves(combined)])
    wanted = np.asarray(weights) @ flat
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
