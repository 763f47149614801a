"""The gradient of a step and the sums of the groups' gradients, against gradients one by one."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.build import gradients
from plateaus.gradient import gradient
from plateaus.gram import by_group
from plateaus.models.networks import hyena, mamba, mlp, transformer
from plateaus.recipe import Feedback, Recipe
from plateaus.tasks.laws import in_context
from plateaus.types import Draw, Example, Groups, Knobs

TOKENS = in_context.in_context(
    in_context.Spec(families="linear,relu,conjunction", dimension=2, points=3)
)
VECTORS = TOKENS._replace(
    loss=lambda y, example: jnp.square(y - example.targets),
    test_loss=lambda y, example: jnp.abs(y - example.targets),
    groups=Groups(
        TOKENS.group_names,
        lambda example: jnp.int32(example.inputs[0] > 0) + jnp.int32(example.inputs[1] > 0),
    ),
)
SMALL = {"inputs": 2, "read_at": TOKENS.reads.at}
TASKS = {"vectors": VECTORS, "tokens": TOKENS}
MODELS = {
    "mlp": ("vectors", mlp.mlp(mlp.Spec(width=5), 4)),
    "transformer": (
        "tokens",
        transformer.transformer(
            transformer.Spec(width=8, depth=1, heads=2, max_positions=8), **SMALL
        ),
    ),
    "mamba": ("tokens", mamba.mamba(mamba.Spec(width=8, depth=1), **SMALL)),
    "hyena": ("tokens", hyena.hyena(hyena.Spec(width=8, depth=1), **SMALL)),
}
BATCH = 7
FACTOR = np.linspace(0.5, 2.0, BATCH).astype(np.float32)  # emphasis of the examples


@functools.cache
def batch_of(kind):
    """A batch of examples, and the groups that they are of."""
    task = TASKS[kind]

    @jax.jit
    def made(seed):
        key, key_world = jax.random.split(jax.random.key(seed))
        if kind == "vectors":
            x = jax.random.normal(key, (BATCH, 4))
            batch = Example(x, jnp.sin(jnp.sum(x, axis=1)))
        else:
            number = jnp.arange(BATCH) % 2  # of the three groups one has no example
            keys, world = jax.random.split(key, BATCH), task.init(key_world)
            draw, knobs = Draw(number, number), in_context.Knobs()
            batch = jax.vmap(task.emit, (0, None, 0, None))(keys, world, draw, knobs)
        return batch, jax.vmap(task.groups.of)(batch)

    return jax.tree.map(np.asarray, made(np.uint32(1)))


def recipe_of(task, model, layers, captured):
    return Recipe(
        task=task,
        source=None,
        model=model,
        optimiser=None,
        steps=1,
        phase_steps=1,
        log_every=1,
        eval_points=1,
        gradients=gradients.gradients_of(model, task) if captured else None,
        feedback=Feedback(
            round_steps=1, sums=lambda weighted, member: by_group.sums(weighted, member, layers)
        ),
    )


@functools.cache
def case(name):
    """A task, a model, its parameters, and the gradients [B, ...] of the examples, one by one."""
    kind, model = MODELS[name]
    task = TASKS[kind]

    def loss(params, example):
        alone = jax.tree.map(lambda x: x[None], example)
        return task.loss(model.apply(params, alone.inputs)[0][0], example)

    @jax.jit
    def made(seed, batch):
        params = model.init(jax.random.key(seed))
        return params, jax.vmap(jax.grad(loss), (None, 0))(params, batch)

    return task, model, *jax.tree.map(np.asarray, made(np.uint32(0), batch_of(kind)[0]))


def close(found, expected):
    expected = np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore:the gradient of .* is made by")
@pytest.mark.parametrize(
    ("name", "which", "captured"),
    [
        ("mlp", "last", False),
        ("transformer", "last", False),
        ("transformer", "all", False),
        ("transformer", "all", True),
        pytest.param("mamba", "last", False, marks=pytest.mark.thorough),
        pytest.param("hyena", "all", False, marks=pytest.mark.thorough),
        pytest.param("mamba", "all", True, marks=pytest.mark.thorough),
    ],
)
def test_group_sums_and_the_training_gradient(name, which, captured):
    task, model, params, each = case(name)
    batch, group = batch_of(MODELS[name][0])
    layers = ("readout",) if which == "last" else tuple(params)
    recipe = recipe_of(task, model, layers, captured)

    @jax.jit
    def step(params, batch):
        weigh = lambda batch, values: values * FACTOR  # noqa: E731
        return gradient(recipe, params, batch, (), Knobs((), (), ()), jax.random.key(2), weigh)

    loss, grads, _, told = step(params, batch)
    flat = {
        jax.tree_util.keystr(path): np.asarray(leaf, np.float64)
        for path, leaf in jax.tree_util.tree_leaves_with_path(each)
    }
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        whole = flat[jax.tree_util.keystr(path)]
        close(leaf, np.tensordot(FACTOR / BATCH, whole, axes=1))
    expected = [path for path in flat if path.split("'")[1] in layers]
    assert set(told.gradient) == set(expected) and len(expected) > (which == "all")
    for path in expected:
        sums = np.stack([flat[path][group == g].sum(axis=0) for g in range(3)])
        close(told.gradient[path], sums)
    np.testing.assert_allclose(loss, np.mean(np.asarray(told.losses)), rtol=1e-6)
    assert told.groups.count.tolist() == [int((group == g).sum()) for g in range(3)]


def operations(function, *arguments):
    return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]


def test_the_last_layers_sums_do_not_pay_for_the_layers_below():
    """The pullback of each group is cut at the readout: 3 groups of a layer [64, 1] cost little."""
    task = VECTORS
    model = mlp.mlp(mlp.Spec(width=64), 4)
    batch, _ = batch_of("vectors")
    params = jax.eval_shape(model.init, jax.random.key(0))

    def of(layers):
        recipe = recipe_of(task, model, layers, False)
        if not layers:
            recipe = recipe._replace(feedback=None)

        def step(params, batch):
            key, knobs = jax.random.key(2), Knobs((), (), ())
            _, grads, _, told = gradient(
                recipe, params, batch, (), knobs, key, lambda batch, values: values
            )
            return grads, told.gradient

        return operations(step, params, batch)

    plain, last, every = of(()), of(("readout",)), of(tuple(params))
    added = 3 * 2 * BATCH * 65
    assert 0 < last - plain < 3 * added
    assert every > 1.8 * plain
