"""Contracts of every model on every task that it fits. Tested by registering it.

What shapes alone decide is tested of every pair of a model and a task. What must be compiled is
tested of each model with one task of each kind of inputs (vectors, tokens that are words of a
vocabulary, tokens of numbers), and of each task's loss with the smallest of models: tasks of one
kind give a model the same program at other sizes. The thorough tests take each task's first model.
"""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.build.registry import MODELS, PAIRS, TASKS
from plateaus.gram.engine import combine, per_example_gram

POINTS, MEMBERS = 6, 3
SMALL = {  # of other sizes: their own tests
    "transformer": {"width": 16, "heads": 2},
    "mamba": {"width": 16, "state_size": 4},
    "hyena": {"width": 16, "filter_width": 8},
}
KINDS = {"tokens": ("words", "numbers")}  # of tasks; of other inputs than these there is one
FIT = [
    (model, kind)
    for model, component in MODELS.items()
    for kind in KINDS.get(component.inputs, (component.inputs,))
]
DEEP = next(pair for pair in FIT if pair[0] in SMALL)  # compiled with two blocks, others with one:
# what a block is to the next is the same for all
FIRST = {task: model for model, task in reversed(PAIRS)}  # each task's first model
every_pair = pytest.mark.parametrize("pair", PAIRS, ids="-".join)
each_task = pytest.mark.parametrize("task_name", TASKS)
each_model = pytest.mark.parametrize("pair", FIT, ids="-".join)
each_model_and_task = pytest.mark.parametrize(
    "pair",
    [
        *FIT,
        *(
            pytest.param((model, task), marks=pytest.mark.thorough)
            for task, model in FIRST.items()
            if (model, task) not in FIT
        ),
    ],
    ids="-".join,
)


@functools.cache
def task_of(name):
    """(task, a batch of test examples by its shapes, the kind of its inputs)."""
    task = TASKS[name].make(TASKS[name].spec())
    kind = TASKS[name].inputs
    if kind in KINDS:
        kind = KINDS[kind][task.reads.vocabulary is None]
    return task, jax.eval_shape(lambda: emitted(task)), kind


@functools.cache
def pair_of(model_name, what):
    """(model's name, task's name) of a task, or of the first task of a kind of inputs."""
    if what in TASKS:
        return model_name, what
    fitting = (task for model, task in PAIRS if model == model_name)
    return model_name, next(task for task in fitting if task_of(task)[2] == what)


@functools.cache
def made(pair, blocks=2):
    """(model, task, inputs [B, ...] and parameters of one member, by their shapes alone)."""
    model_name, task_name = pair_of(*pair)
    task, batch, _ = task_of(task_name)
    example = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), batch)
    model = MODELS[model_name].make(spec_of(model_name, blocks), task, example)
    return model, task, batch.inputs, jax.eval_shape(model.init, jax.random.key(2))


def spec_of(model_name, blocks=2):
    small = SMALL[model_name] | {"depth": blocks} if model_name in SMALL else {}
    return MODELS[model_name].spec(**small)


def compiled(pair):
    """The same of the model that is compiled."""
    return made(pair, 2 if pair == DEEP else 1)


def emitted(task):
    """A batch of test examples."""
    keys, world = jax.random.split(jax.random.key(1), POINTS), task.init(jax.random.key(0))
    return jax.vmap(task.emit_test, (0, None, 0))(keys, world, jnp.arange(POINTS))


@functools.cache
def built(pair):
    """(params of three members, of the second alone, a batch)."""
    model, task, *_ = compiled(pair)

    @jax.jit
    def build():
        keys, again = (jax.random.split(jax.random.key(2), MEMBERS) for _ in range(2))
        return jax.vmap(model.init)(keys), model.init(again[1]), emitted(task)

    return jax.tree.map(np.asarray, build())


def pattern(h):
    """What edits add: not one number, which a norm does not see, nor does a softmax."""
    return np.cos(np.arange(h.size, dtype=np.float32)).reshape(h.shape)


@functools.cache
def program(pair):
    """(params, inputs, strengths of edits) -> what `apply` returns of it all edited, of it bare.

    Each edit adds a pattern to an activation, as strong as its number says; all are captured.
    """
    model, *_ = compiled(pair)
    names = model.activations

    @jax.jit
    def run(params, inputs, strengths):
        edits = {n: lambda h, i=i: h + strengths[i] * pattern(h) for i, n in enumerate(names)}
        edited = model.apply(params, inputs, edits=edits, capture=names)
        return edited, model.apply(params, inputs)

    def call(params, inputs, strengths=np.zeros(len(names), np.float32)):  # noqa: B008
        return jax.tree.map(np.asarray, run(params, inputs, strengths))

    return call


@functools.cache
def gradients(pair):
    """(gram, weights, combined by them, gradients [B, ...]) of the task's loss, for one member."""
    model, task, *_ = compiled(pair)
    members, _, batch = built(pair)
    return grams(model, lambda p, x: model.apply(p, x)[0], task, member(members), batch)


def grams(model, apply, task, params, batch=None):
    """The same of any model: one program; a fallback would warn, and warnings are errors."""
    weights = np.linspace(-1.0, 2.0, POINTS, dtype=np.float32)
    losses = lambda said, batch: jax.vmap(task.loss)(said, batch)  # noqa: E731

    def one(params, example):
        said = apply(params, jax.tree.map(lambda x: x[None], example.inputs))[0]
        return task.loss(said, example)

    @jax.jit
    def both(params, batch):
        batch = emitted(task) if batch is None else batch
        _, gram, captured = per_example_gram(model, losses)(params, batch)
        each = jax.vmap(jax.grad(one), (None, 0))(params, batch)
        return gram, weights, combine(captured, jnp.asarray(weights)), each

    return jax.tree.map(np.asarray, both(params, batch))


def is_exact(gram, weights, combined, each):
    """The gram and the combined gradient are those of the single gradients."""
    flat = np.concatenate(
        [x.astype(np.float64).reshape(POINTS, -1) for x in jax.tree.leaves(each)], axis=1
    )
    np.testing.assert_allclose(gram, flat @ flat.T, atol=1e-5 * np.abs(flat @ flat.T).max())
    found = np.concatenate([np.ravel(x) for x in jax.tree.leaves(combined)])
    wanted = weights @ flat
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())


def member(params, number=0):
    return jax.tree.map(lambda x: x[number], params)


@each_model_and_task
def test_members_differ_and_repeat(pair):
    members, again, batch = built(pair)
    predictions = [program(pair)(member(members, i), batch.inputs)[1][0] for i in range(MEMBERS)]
    assert np.any(predictions[0] != predictions[1]) and np.any(predictions[1] != predictions[2])
    chex.assert_trees_all_equal(member(members, 1), again)
    model, *_ = compiled(pair)
    mapped = jax.eval_shape(jax.vmap(model.apply, (0, None)), members, batch.inputs)[0]
    assert mapped.shape == (MEMBERS, *predictions[0].shape) and mapped.shape[1] == POINTS
    assert mapped.dtype == predictions[0].dtype == jnp.float32


@each_model_and_task
def test_an_example_does_not_see_its_neighbours(pair):
    members, _, batch = built(pair)
    other = jax.tree.map(lambda x: x[[0] + [-1] * (POINTS - 1)], batch.inputs)
    whole, turned = (program(pair)(member(members), x)[1][0] for x in (batch.inputs, other))
    np.testing.assert_array_equal(turned[0], whole[0])
    assert np.any(turned[1] != whole[1])


@each_model_and_task
def test_every_parameter_has_a_finite_gradient_that_is_not_zero(pair):
    each = gradients(pair)[-1]
    chex.assert_tree_all_finite(each)
    for path, gradient in jax.tree_util.tree_leaves_with_path(each):
        assert np.any(np.sum(gradient, axis=0) != 0), jax.tree_util.keystr(path)
    chex.assert_trees_all_equal_shapes_and_dtypes(member(each), member(built(pair)[0]))


@each_model_and_task
def test_every_activation_can_be_captured_and_edited(pair):
    names = compiled(pair)[0].activations
    members, _, batch = built(pair)
    (predictions, captured), bare = program(pair)(member(members), batch.inputs)
    assert bare[1] == {}
    assert set(captured) == set(names)
    np.testing.assert_allclose(predictions, bare[0], rtol=1e-5, atol=1e-6)
    for name, strengths in zip(names, np.eye(len(names), dtype=np.float32), strict=True):
        edited, after = program(pair)(member(members), batch.inputs, strengths)[0]
        np.testing.assert_array_equal(after[name], captured[name] + pattern(captured[name]))
        assert not np.allclose(edited, predictions, atol=1e-4), name


@each_model
def test_only_what_is_asked_for_is_captured(pair):
    """By shapes alone, edited or not; of any two activations each is asked for without the other.

    So it is when half of them are: those whose number has a bit that is set, or is not.
    """
    model, _, inputs, params = made(pair, 1 if pair[1] == "numbers" else 2)
    names = model.activations
    said, shapes = jax.eval_shape(
        lambda p, x: model.apply(p, x, capture=model.activations), params, inputs
    )
    for bit, value in itertools.product(range((len(names) - 1).bit_length()), (0, 1)):
        asked = [name for i, name in enumerate(names) if i >> bit & 1 == value]
        edits = dict.fromkeys(asked, jnp.negative)
        found = jax.eval_shape(
            functools.partial(model.apply, edits=edits, capture=asked), params, inputs
        )
        assert found == (said, {name: shapes[name] for name in asked})


@every_pair
def test_layers_are_the_keys_of_the_parameters(pair):
    """What `optim.rate_<layer>` may name."""
    *_, params = made(pair)
    assert set(MODELS[pair[0]].layers(spec_of(pair[0]))) == set(params)


@every_pair
def test_predictions_are_what_the_task_measures(pair):
    """One for each example, float32; the task's losses of it are numbers."""
    model, task, inputs, params = made(pair)
    batch = task_of(pair[1])[1]
    said, captured = jax.eval_shape(model.apply, params, inputs)
    assert said.shape[0] == POINTS and said.dtype == jnp.float32 and captured == {}
    for loss in (task.loss, task.test_loss):
        measured = jax.eval_shape(jax.vmap(loss), said, batch)
        assert measured.shape == (POINTS,) and measured.dtype == jnp.float32


@each_task
def test_the_kinds_of_inputs_are_all_there_are(task_name):
    """Inputs of other types or axes than those of the first task of its kind are a new kind."""
    _, batch, kind = task_of(task_name)
    first = task_of(pair_of(FIRST[task_name], kind)[1])[1]
    form = [[(leaf.dtype, leaf.ndim) for leaf in jax.tree.leaves(x.inputs)] for x in (batch, first)]
    assert form[0] == form[1]


@each_model
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
        with pytest.raises(ValueError, match=f"{first}x.*did you mean {first}"):
            jax.eval_shape(lambda p, x, a=asked: model.apply(p, x, **a), params, inputs)


@each_model_and_task
def test_gram_of_single_gradients_is_exact_and_needs_no_fallback(pair):
    """On the task's own loss."""
    is_exact(*gradients(pair))


@each_task
def test_gram_is_exact_with_the_loss_of_every_task(task_name):
    """With one layer, from five features of an example to all that is predicted of it."""
    model, task, inputs, params = made((FIRST[task_name], task_name))
    shape = jax.eval_shape(model.apply, params, inputs)[0].shape[1:]
    rng = np.random.default_rng(0)
    sizes = [int(np.prod(x.shape[1:])) for x in jax.tree.leaves(inputs)]
    maps = [np.float32(rng.standard_normal((size, 5)) / size) for size in sizes]

    def apply(weight, inputs):
        leaves = [x.reshape(len(x), -1).astype(jnp.float32) for x in jax.tree.leaves(inputs)]
        features = jnp.cos(sum(x @ m for x, m in zip(leaves, maps, strict=True)))
        return (features @ weight).reshape(-1, *shape)

    weight = np.float32(rng.standard_normal((5, int(np.prod(shape)))))
    is_exact(*grams(apply, apply, task, weight))
