"""In-context linear regression: its law by moments, its units and the paper's constants."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.data.source import uniform
from plateaus.tasks.laws.linear_regression import (
    Knobs,
    Spec,
    check,
    linear_regression,
    loss_unit,
    prefix_losses,
    prior_root,
    task_vectors,
    unpack,
)
from plateaus.tasks.shared.predictors import dmmse
from plateaus.types import Draw, Example

SPEC = Spec(dimension=4, points=8, noise=0.5, prior_scale=1.5, dmmse_tasks=64)
TASK = linear_regression(SPEC)
MANY = 4000
# compiled with some care: here it is the arithmetic that takes the time, not the compiler
CAREFULLY = {"xla_backend_optimization_level": 1}

_vectors = jax.jit(functools.partial(task_vectors, SPEC))
_root = jax.jit(functools.partial(prior_root, SPEC))


@functools.cache
def _world(seed=0):
    return jax.jit(lambda seed: TASK.init(jax.random.key(seed)))(seed)


def evenly(index):
    """The log-probabilities of tasks that are all drawn equally often."""
    return uniform(1).log_prob(jnp.int32(SPEC.pool), index, 0)


@jax.jit
def _train(world, numbers, knobs):
    """One prompt of the training law for each task number."""
    keys = jax.random.split(jax.random.key(1), MANY)
    draw = Draw(numbers, 0 * numbers)
    return jax.vmap(TASK.emit, (0, None, 0, None))(keys, world, draw, knobs)


@functools.partial(jax.jit, static_argnames="emit_test")
def _test(emit_test, world):
    return jax.vmap(emit_test, (0, None, 0))(
        jax.random.split(jax.random.key(2), MANY), world, jnp.arange(MANY)
    )


def _points(batch):
    """(x, y) in float64, of tokens x_1, (y_1, 0, ..), x_2, .."""
    inputs = np.float64(batch.inputs)
    return inputs[:, 0::2], inputs[:, 1::2, 0]


def _z_score(values):
    """Mean over its standard error."""
    values = np.float64(values)
    return np.mean(values) / (np.std(values) / np.sqrt(len(values)))


def _assert_gaussian(samples, covariance):
    """Entries of the sample's first two moments, within 5 standard errors of a Gaussian's."""
    samples, variance = np.float64(samples), np.diag(covariance)
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / len(samples))
    found = samples.T @ samples / len(samples)
    np.testing.assert_array_less(abs(found - covariance), 5 * error + 1e-6)
    np.testing.assert_array_less(abs(samples.mean(0)), 5 * np.sqrt(variance / len(samples)) + 1e-6)


def test_a_prompt_interleaves_points_and_padded_values():
    @jax.jit
    def run(world):
        example = TASK.emit(jax.random.key(1), world, Draw(4), Knobs())
        return example, unpack(example.inputs)

    example, (x, y) = run(_world())
    inputs = np.asarray(example.inputs)
    assert inputs.shape == (16, 4) and example.targets.shape == (8,)
    np.testing.assert_array_equal(inputs[1::2, 0], example.targets)
    assert not inputs[1::2, 1:].any() and inputs[0::2].all()
    np.testing.assert_array_equal(x, inputs[0::2])
    np.testing.assert_array_equal(y, example.targets)


def test_a_task_is_its_number_and_its_world():
    numbers = np.int32([0, 1, 7, 2**24, 2**24 + 1, SPEC.pool - 1])
    here, there = (np.asarray(_vectors(_world(seed), numbers, Knobs())) for seed in (0, 5))
    assert len(np.unique(np.r_[here, there])) == 2 * here.size
    alone = _vectors(_world(), numbers[3], Knobs())
    np.testing.assert_allclose(alone, here[3], rtol=1e-6)
    assert TASK.size == 2**31 - 2


@pytest.mark.parametrize(("number", "beta"), [(0, 0.0), (SPEC.pool - 1, 0.7)])
def test_prompts_of_a_task_share_its_weights_and_nothing_else(number, beta):
    w = np.float64(_vectors(_world(), np.int32(number), Knobs(beta)))
    x, y = _points(_train(_world(), np.full(MANY, number, np.int32), Knobs(beta)))
    everything = np.concatenate([x, (y - x @ w)[..., None]], axis=-1).reshape(MANY, -1)
    _assert_gaussian(everything, np.diag(np.tile([1.0, 1.0, 1.0, 1.0, 0.25], 8)))
    assert len(np.unique(x)) > 0.99 * x.size  # float32 normals do collide now and then


@pytest.mark.parametrize("beta", [0.0, 0.6, 1.0])
def test_task_vectors_have_the_biased_covariance(beta):
    v = np.float64(_world().direction)
    covariance = 2.25 * ((1 - beta) * np.eye(4) + beta * np.outer(v, v))
    root = np.asarray(_root(_world(), Knobs(beta)))
    np.testing.assert_allclose(root @ root.T, covariance, atol=1e-6)
    w = _vectors(_world(), np.arange(40_000, dtype=np.int32), Knobs(beta))
    _assert_gaussian(w, covariance)


def test_the_direction_is_uniform_on_the_sphere():
    @jax.jit
    def run():
        keys = jax.random.split(jax.random.key(1), 20_000)
        return jax.vmap(lambda key: TASK.init(key).direction)(keys)

    v = np.float64(run())
    np.testing.assert_allclose((v * v).sum(1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(v.mean(0), 0, atol=5 * np.sqrt(1 / 4 / 20_000))
    # Var(v_1^2) = 2 (d - 1) / d^2 (d + 2) = 1/16 at d = 4, more than Var(v_1 v_2)
    np.testing.assert_allclose(v.T @ v / 20_000, np.eye(4) / 4, atol=5 / 4 / np.sqrt(20_000))


def test_no_bias_is_the_unbiased_law_bit_for_bit(exact_jit):
    numbers, world = np.arange(MANY, dtype=np.int32), _world()
    turned = world._replace(direction=-np.asarray(world.direction)[::-1])
    batch = _train(world, numbers, Knobs(0.0))
    np.testing.assert_array_equal(batch.inputs, _train(turned, numbers, Knobs(0.0)).inputs)
    biased = _train(world, numbers, Knobs(0.5))
    assert np.all(np.asarray(batch.targets) != np.asarray(biased.targets))

    @exact_jit
    @jax.vmap
    def normal(i):  # scaled below: in one program the factor would be folded into another
        return jax.random.normal(jax.random.fold_in(world.pool, i), (4,))

    w = exact_jit(functools.partial(task_vectors, SPEC))(world, numbers, Knobs(0.0))
    np.testing.assert_array_equal(w, np.float32(1.5) * np.asarray(normal(numbers)))

    @jax.jit
    def ridges(batch, knobs):
        said = TASK.predictors(world, batch, knobs, evenly)
        return said["ridge"], said["biased_ridge"]

    np.testing.assert_array_equal(*ridges(batch, Knobs(0.0)))


def test_the_test_law_is_gaussian_and_unbiased():
    task = linear_regression(Spec(dimension=3, points=3, noise=0.0, prior_scale=2.0))
    x, y = _points(_test(task.emit_test, _world()))
    _assert_gaussian(np.linalg.solve(x, y[..., None])[..., 0], 4.0 * np.eye(3))


def test_losses_and_their_unit():
    task = linear_regression(Spec(dimension=3, points=5))
    example = Example((), np.float32([1.0, 2.0, 0.0, -1.0, 3.0]))
    prediction = np.float32([0.0, 2.0, 2.0, -1.0, 0.0])
    laws = prefix_losses, task.loss, task.metrics["paper_loss"]
    by_prefix, loss, paper_loss = jax.jit(lambda *given: [law(*given) for law in laws])(
        prediction, example
    )
    np.testing.assert_array_equal(by_prefix, [1, 0, 4, 0, 9])
    np.testing.assert_allclose(loss, 14 / 5)
    np.testing.assert_allclose(paper_loss, 14 / 6)
    sizes = [(3, 2), (3, 9), (1, 1)]
    assert [loss_unit(Spec(dimension=d, points=n)) for d, n in sizes] == [5, 6, 1]
    np.testing.assert_allclose(loss_unit(Spec()) / 41, 5.122, atol=5e-4)


def test_the_paper_s_constants():
    """Zero: n (d tau^2 + sigma^2) / unit = 41 x 21 / 210. Ridge: 1.5064 (+- .0001)."""
    size, spec = 16_000, Spec()
    assert spec.points * (spec.dimension + 1) / loss_unit(spec) == pytest.approx(4.1, abs=1e-12)
    task = linear_regression(spec)

    @functools.partial(jax.jit, compiler_options=CAREFULLY)
    def losses():
        key, world = jax.random.key(2), task.init(jax.random.key(0))
        batch = jax.vmap(task.emit_test, (0, None, None))(jax.random.split(key, size), world, 0)
        said = task.predictors(world, batch, Knobs(0.5), evenly)
        paper_loss = jax.vmap(task.metrics["paper_loss"])
        return {name: paper_loss(said[name], batch) for name in ("zero", "ridge")}

    loss = jax.tree.map(np.float64, losses())
    error = np.std(loss["zero"]) / np.sqrt(size)
    assert error < 0.02 and abs(loss["zero"].mean() - 4.1) < 4 * error
    # The zero predictor's loss, whose mean is known, takes part of the noise out of ridge's.
    slope = np.cov(loss["ridge"], loss["zero"])[0, 1] / np.var(loss["zero"])
    ridge = loss["ridge"] - slope * (loss["zero"] - 4.1)
    error = np.std(ridge) / np.sqrt(size)
    assert error < 0.003 and abs(ridge.mean() - 1.5064) < 0.0001 + 4 * error


def test_knowing_the_bias_helps_where_there_is_one_and_hurts_where_there_is_none():
    world = _world()

    @jax.jit
    def advantage(batch):
        said = TASK.predictors(world, batch, Knobs(0.9), evenly)
        loss = {name: jax.vmap(TASK.loss)(said[name], batch) for name in said}
        return loss["ridge"] - loss["biased_ridge"]

    assert _z_score(advantage(_train(world, np.arange(MANY, dtype=np.int32), Knobs(0.9)))) > 5
    assert _z_score(advantage(_test(TASK.emit_test, world))) < -5


def test_dmmse_beats_ridge_on_its_own_tasks_and_loses_on_new_ones():
    world = _world()

    @jax.jit
    def advantage(batch):
        (x, y), tasks = unpack(batch.inputs), task_vectors(SPEC, world, jnp.arange(8), Knobs(0.3))
        ideal = jax.vmap(dmmse, (0, 0, None, None, None))(x, y, tasks, jnp.zeros(8), SPEC.noise)
        other = TASK.predictors(world, batch, Knobs(0.3), evenly)["biased_ridge"]
        losses = jax.vmap(prefix_losses)
        return losses(other, batch) - losses(ideal, batch)

    own = np.float64(advantage(_train(world, np.arange(MANY, dtype=np.int32) % 8, Knobs(0.3))))
    assert all(_z_score(own[:, i]) > -2 for i in range(SPEC.points))  # at every prefix length
    assert _z_score(own.mean(1)) > 10
    assert _z_score(np.float64(advantage(_test(TASK.emit_test, world))).mean(1)) < -10


def test_a_bias_needs_two_directions():
    def refused(dimension, bias, elsewhere=False):
        values = {"dimension": dimension, "covariance_bias": bias}
        values |= {"points": 2, "out_of_distribution": elsewhere}
        finite = {"pool": 64, "dmmse_tasks": 64, "data.items": 64}
        return [name for name, _ in check(values | finite)]

    assert refused(1, 0.0, True) == ["dimension"] and refused(2, 0.0, True) == []
    assert refused(1, 0.5) == ["covariance_bias"]
    assert refused(1, 0.0) == refused(2, 0.5) == []
