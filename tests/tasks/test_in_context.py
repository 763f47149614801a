"""The mixture task: what its parts add up to. The families have tests of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.tasks import in_context
from plateaus.tasks.families.registry import FAMILIES, family
from plateaus.tasks.in_context import Knobs, Spec
from plateaus.tasks.tokens import unpack
from plateaus.types import Draw

SPEC = Spec(families="linear,sparse_parity_2,hermite_quadratic", dimension=4, points=6)
TASK = in_context.in_context(SPEC)
MANY = 600


@jax.jit
def emitted(index, group, seed=1):
    keys = jax.random.split(jax.random.key(seed), index.shape[0])
    world = TASK.init(jax.random.key(0))
    return jax.vmap(TASK.emit, (0, None, 0, None))(keys, world, Draw(index, group), Knobs())


@pytest.fixture(scope="module")
def batch():
    return emitted(jnp.arange(MANY), jnp.arange(MANY) % 3)


def test_every_family_has_its_own_inputs_and_values(batch):
    x, y = (np.asarray(a, np.float64) for a in unpack(batch.inputs))
    np.testing.assert_array_equal(y, np.asarray(batch.targets.y))
    group = np.asarray(batch.targets.group)
    assert np.all(np.abs(x[group == 1]) == 1) and np.all(np.abs(y[group == 1]) == 1)
    assert len(np.unique(np.abs(x[group == 0]))) > MANY
    for points, values in zip(x[group == 0], y[group == 0], strict=True):  # some w fits all
        w, *_ = np.linalg.lstsq(points, values, rcond=None)
        np.testing.assert_allclose(points @ w, values, atol=1e-4)
    for points, values in zip(x[group == 1], y[group == 1], strict=True):  # some pair does
        pairs = [points[:, i] * points[:, j] for i in range(4) for j in range(i)]
        assert any(np.array_equal(pair, values) for pair in pairs)


def test_losses_are_in_units_of_the_no_context_loss(batch):
    """Of any prediction, by hand: squares, and cross-entropies of logits in nats."""
    said = np.asarray(jax.random.normal(jax.random.key(5), (MANY, 6)), np.float64)
    y, group = np.asarray(batch.targets.y, np.float64), np.asarray(batch.targets.group)
    raw = np.where((group == 1)[:, None], np.log1p(np.exp(-y * said)), (said - y) ** 2)
    units = np.array([family(n, SPEC).no_context_loss for n in in_context.groups(SPEC)])
    found = jax.jit(jax.vmap(TASK.metrics["loss_by_prefix"]))(jnp.float32(said), batch)
    np.testing.assert_allclose(found, raw / units[group][:, None], rtol=1e-4, atol=1e-6)
    for loss in (TASK.loss, TASK.test_loss):
        found = jax.vmap(loss)(jnp.float32(said), batch)
        np.testing.assert_allclose(found, (raw / units[group][:, None]).mean(axis=1), rtol=1e-4)
    plain = in_context.in_context(
        Spec(families=SPEC.families, dimension=4, points=6, normalise=False)
    )
    found = jax.jit(jax.vmap(plain.loss))(jnp.float32(said), batch)
    np.testing.assert_allclose(found, raw.mean(axis=1), rtol=1e-4)
    found = jax.jit(jax.vmap(plain.test_loss))(jnp.float32(said), batch)
    # the plateau is at 1 all the same
    np.testing.assert_allclose(found, (raw / units[group][:, None]).mean(axis=1), rtol=1e-4)
    wrong = np.where(group == 1, np.sign(said[:, -1]) != y[:, -1], raw[:, -1] / units[group])
    found = jax.jit(jax.vmap(TASK.last_error))(jnp.float32(said), batch)
    np.testing.assert_allclose(found, wrong, rtol=1e-4)


def test_even_odds_are_right_half_the_time(batch):
    """As `no_context_accuracy` counts them: predictors say exact zeros."""
    found = jax.jit(jax.vmap(TASK.last_error))(jnp.zeros((MANY, 6)), batch)
    assert np.all(np.asarray(found)[np.asarray(batch.targets.group) == 1] == 0.5)


def test_distances_are_of_values_or_of_probabilities(batch):
    one, other = (
        np.asarray(jax.random.normal(jax.random.key(k), (MANY, 6)), np.float64) for k in (5, 6)
    )
    group = np.asarray(batch.targets.group)
    units = np.array([family(n, SPEC).no_context_loss for n in in_context.groups(SPEC)])[group]
    odds = 1 / (1 + np.exp(-one)) - 1 / (1 + np.exp(-other))
    wanted = np.where(group == 1, (odds**2).mean(axis=1), ((one - other) ** 2).mean(axis=1) / units)
    found = jax.jit(jax.vmap(TASK.distance))(jnp.float32(one), jnp.float32(other), batch)
    np.testing.assert_allclose(found, wanted, rtol=2e-4)


def test_predictors_are_those_of_each_prompts_family(batch):
    world = TASK.init(jax.random.key(0))
    said = jax.jit(lambda b: TASK.predictors(world, b, Knobs(), None))(batch)
    x, y = unpack(batch.inputs)
    for g, name in enumerate(in_context.groups(SPEC)):
        one, here = family(name, SPEC), np.flatnonzero(np.asarray(batch.targets.group) == g)[:20]
        alone = jax.vmap(one.no_context)(x[here])
        np.testing.assert_allclose(said["no_context"][here], alone, rtol=1e-5, atol=1e-6)
        if one.in_context is not None:
            best = jax.vmap(one.in_context)(x[here], y[here])
            np.testing.assert_allclose(said["in_context"][here], best, rtol=1e-3, atol=1e-3)
        level = float(np.mean(jax.jit(jax.vmap(TASK.test_loss))(said["known"], batch)[here]))
        assert level < 1e-6


def test_the_no_context_predictor_is_the_plateau_at_1():
    """On 6,000 prompts of each family, within 4 standard errors."""
    count = 18_000
    many = emitted(jnp.arange(count), jnp.arange(count) % 3, seed=9)
    world = TASK.init(jax.random.key(0))
    said = jax.jit(lambda b: TASK.predictors(world, b, Knobs(), None)["no_context"])(many)
    loss = np.asarray(jax.jit(jax.vmap(TASK.test_loss))(said, many), np.float64)
    for g in range(3):
        here = loss[np.asarray(many.targets.group) == g]
        assert abs(here.mean() - 1) < 4 * here.std() / np.sqrt(here.size)


def test_a_one_hot_token_names_the_family_and_moves_the_reading():
    spec = Spec(families=SPEC.families, dimension=4, points=6, instruction="one_hot")
    task = in_context.in_context(spec)
    world = task.init(jax.random.key(0))
    for group in range(3):
        told, plain = (
            one.emit(jax.random.key(1), world, Draw(3, group), Knobs()) for one in (task, TASK)
        )
        np.testing.assert_array_equal(told.inputs[0], np.eye(4)[group])
        np.testing.assert_array_equal(told.inputs[1:], plain.inputs)
        x, _ = unpack(plain.inputs)
        np.testing.assert_array_equal(told.inputs[task.read_at], x)


def test_test_examples_go_through_the_families_in_turn():
    world = TASK.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(2), 9)
    batch = jax.vmap(TASK.emit_test, (0, None, 0))(keys, world, jnp.arange(9))
    np.testing.assert_array_equal(batch.targets.group, np.arange(9) % 3)


def refused(**values):
    defaults = {field: getattr(Spec(), field) for field in Spec.__dataclass_fields__}
    return list(in_context.check(defaults | values))


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"families": "liner"}, "families", ["liner", "linear"]),
        ({"families": " , "}, "families", ["empty"]),
        ({"families": "relu,relu"}, "families", ["named twice"]),
        ({"families": "sparse_linear", "sparse": 11}, "families", ["sparse = 11", "10"]),
        ({"families": "student_quadratic"}, "families", ["fourth moment"]),
        ({"families": "linear,relu,sine", "dimension": 2, "instruction": "one_hot"}, *2 * [None]),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(values, field, words):
    problems = refused(**values)
    assert problems and all("\n" not in message for _, message in problems)
    name, message = problems[0]
    assert name == (field or "instruction")
    assert all(word in message for word in words or ["3 families"])


def test_all_families_mix():
    """The whole registry in one task: what a sweep over all of them would build."""
    assert refused(families=",".join(FAMILIES)) == []
    task = in_context.in_context(Spec(families=",".join(FAMILIES), points=8))
    shapes = jax.eval_shape(
        lambda key, world: task.emit(key, task.init(world), Draw(0, 5), Knobs()),
        *jax.random.split(jax.random.key(0)),
    )
    assert shapes.inputs.shape == (16, 10) and len(task.groups) == len(FAMILIES)
