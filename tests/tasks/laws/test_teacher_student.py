"""The teacher against numpy in float64, and its exact losses against quadrature."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from plateaus.tasks.laws.teacher_student import (
    ACTIVATIONS,
    DIFFERENT,
    LAWS,
    MIXED,
    Knobs,
    Spec,
    check,
    head_weights,
    teacher_student,
)
from plateaus.types import Draw

BY_NUMPY = {
    "relu": lambda z: np.maximum(z, 0),
    "erf": special.erf,
    "quadratic": np.square,
    "hermite3": lambda z: special.eval_hermitenorm(3, z),
}
MANY = 40_000
GRID = np.linspace(-12.0, 12.0, 200_001)


def normal_mean(values):
    """E over z ~ N(0, 1) by the trapezoid rule."""
    return np.trapezoid(values * stats.norm.pdf(GRID), GRID)


@functools.cache
def scaled(name):
    """The activation over its standard deviation, in float64."""
    values = BY_NUMPY[name](GRID)
    deviation = np.sqrt(normal_mean(values**2) - normal_mean(values) ** 2)
    return lambda z: BY_NUMPY[name](z) / deviation


@functools.partial(jax.jit, static_argnums=(0, 1))
def points(spec, count, seed=0, noise=9, first=0):
    task = teacher_student(spec)
    world = task.init(jax.random.key(seed))
    index = first + jnp.arange(count, dtype=jnp.int32)
    emit = jax.vmap(task.emit, (None, None, 0, None))
    batch = emit(jax.random.key(noise), world, Draw(index, 0 * index), Knobs())
    return world, batch, task.predictors(world, batch, Knobs(), None)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_moments_of_activations_by_quadrature(name):
    ours, exact = ACTIVATIONS[name], scaled(name)(GRID)
    assert normal_mean(exact) == pytest.approx(ours.mean, abs=1e-7)
    assert normal_mean(GRID * exact) == pytest.approx(ours.slope, abs=1e-7)
    z = GRID[80_000:120_001:500]
    found = jax.jit(ours.value)(np.float32(z))
    np.testing.assert_allclose(found, scaled(name)(z), rtol=2e-5, atol=2e-6)


# "mixed" has all activations; alone, one goes the way of another
each_teacher = pytest.mark.parametrize(
    "name",
    [
        *(MIXED, "hermite3"),
        *(pytest.param(n, marks=pytest.mark.thorough) for n in ("relu", "erf", "quadratic")),
    ],
)


def activations(name):
    """Those of the heads of a teacher."""
    names = list(ACTIVATIONS) if name == MIXED else [name]
    return [names[h % len(names)] for h in range(5)]


def teacher(name):
    """(world, batch, said) of 40,000 points of a teacher of this activation."""
    spec = Spec(dimension=6, teacher_width=3, heads=5, activation=name)
    return jax.device_get(points(spec, MANY))


@each_teacher
def test_targets_and_predictors_by_numpy(name):
    world, batch, said = teacher(name)
    batch, said = jax.tree.map(lambda x: x[:200], (batch, said))
    features, heads, x = (
        np.asarray(part, np.float64) for part in (world.features, world.heads, batch.inputs)
    )
    np.testing.assert_allclose(features @ features.T, np.eye(3), atol=1e-6)
    each = activations(name)
    z = x @ features.T
    wanted = np.stack([scaled(one)(z) @ heads[h] for h, one in enumerate(each)], axis=1)
    np.testing.assert_allclose(batch.targets, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(said["teacher"], batch.targets)
    mean = [normal_mean(scaled(one)(GRID)) * heads[h].sum() for h, one in enumerate(each)]
    slope = [normal_mean(GRID * scaled(one)(GRID)) for one in each]
    np.testing.assert_allclose(said["mean"], np.tile(mean, (200, 1)), atol=1e-5)
    np.testing.assert_allclose(said["linear"], mean + z @ (slope * heads.T), atol=1e-5)


@each_teacher
def test_losses_without_x_and_linear_in_x_are_exact(name):
    """1 and 1 - E[z s(z)]^2 for every head, within 5 standard errors; least squares finds no less.

    (Of degree 1: on a sample its optimum is lower by about (d + 1) / n of the rest.)
    """
    (_, batch, said), n = teacher(name), MANY
    x, y = np.asarray(batch.inputs, np.float64), np.asarray(batch.targets, np.float64)
    slopes = np.array([ACTIVATIONS[one].slope for one in activations(name)])
    for predictor, exact in (("mean", 1.0), ("linear", 1.0 - slopes**2)):
        square = (np.asarray(said[predictor], np.float64) - y) ** 2
        error = square.std(axis=0) / np.sqrt(n)
        assert np.all(np.abs(square.mean(axis=0) - exact) < 5 * error), predictor
    design = np.concatenate([np.ones((n, 1)), x], axis=1)
    least = np.mean((y - design @ np.linalg.lstsq(design, y)[0]) ** 2, axis=0)
    assert np.all(least > square.mean(axis=0) * (1 - 100 / n))


@functools.cache
def heads():
    """Law -> many rows; and few, of the first two laws in turn."""
    specs = {
        law: Spec(heads=2000, teacher_width=4, dimension=4, head_law=law)
        for law in (*LAWS, DIFFERENT)
    }
    specs["fewer"] = Spec(heads=6, head_law=DIFFERENT, laws=2)

    @jax.jit
    def run():
        key = jax.random.key(3)  # of all laws: the normals that they share are drawn once
        return {law: head_weights(jax.random.clone(key), spec) for law, spec in specs.items()}

    return jax.tree.map(np.float64, run())


@pytest.mark.parametrize("law", [*LAWS, DIFFERENT])
def test_laws_of_heads(law):
    """Norm 1; what each law is known by, over many rows; different laws are in turn."""
    rows = heads()[law]
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-6)

    def facts(law, rows):
        mean, fourth = rows.mean(), np.mean(rows**4)
        error = 4 / np.sqrt(rows.size)
        return {
            # on the sphere of R^4, E u_i^4 = 3 / (4 x 6)
            "gaussian": abs(mean) < error and abs(fourth - 0.125) < error,
            "sign": abs(mean) < error and np.allclose(np.abs(rows), 0.5),
            "sparse": abs(mean) < error and np.all(np.sum(rows != 0, axis=1) == 1),
            "shifted": mean > 0.35,
            "heavy": abs(mean) < error and 0.16 < fourth < 0.25,
        }[law]

    for i, name in enumerate(LAWS if law == DIFFERENT else [law]):
        own = rows[i :: len(LAWS)] if law == DIFFERENT else rows
        assert facts(name, own), name
    pair = heads()["fewer"]
    assert np.allclose(np.abs(pair[1::2]), 0.5) and not np.any(np.abs(pair[::2]) == 0.5)


def test_sum_and_mean_over_heads():
    _, batch, said = points(Spec(heads=8), 2000)

    @jax.jit
    def measured(*given):
        task, mean = (teacher_student(Spec(heads=8, reduction=r)) for r in ("sum", "mean"))
        laws = task.loss, mean.loss, task.test_loss, task.metrics["loss_by_head"]
        return [jax.vmap(law)(*given) for law in laws]

    losses, means, test_losses, by_head = measured(said["mean"], batch)
    errors = np.float64(said["mean"]) - np.float64(batch.targets)
    np.testing.assert_allclose(losses, np.sum(errors**2, axis=1), rtol=1e-5)
    np.testing.assert_allclose(8 * np.asarray(means), losses, rtol=1e-6)
    np.testing.assert_allclose(np.sum(np.asarray(by_head), axis=1), losses, rtol=1e-5)
    np.testing.assert_allclose(8 * np.asarray(test_losses), losses, rtol=1e-6)


def test_points_are_normal_and_of_the_pool():
    """Point i is the same under any noise; features are another teacher's under another seed."""
    world, batch, _ = points(Spec(), 2000)
    inputs = np.asarray(batch.inputs)
    assert stats.kstest(np.ravel(inputs), "norm").pvalue > 1e-4
    _, again, _ = points(Spec(), 2000, noise=1, first=7)
    np.testing.assert_array_equal(np.asarray(again.inputs)[:-7], inputs[7:])
    other, _, _ = points(Spec(), 2000, seed=1)
    assert not np.allclose(other.features, world.features, atol=0.1)


def test_a_wider_teacher_than_the_space_is_refused():
    assert list(check({"teacher_width": 4, "dimension": 4})) == []
    assert [name for name, _ in check({"teacher_width": 5, "dimension": 4})] == ["teacher_width"]
