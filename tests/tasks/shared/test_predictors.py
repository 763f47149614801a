"""Ridge and dMMSE against float64 brute force, their limits and their symmetries."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.data import designs
from plateaus.data.source import uniform
from plateaus.tasks.laws import linear_regression as lr
from plateaus.tasks.shared.predictors import dmmse, log_rest, ridge, ridge_evidence
from plateaus.types import Draw

RIDGE = jax.jit(ridge)
DMMSE = jax.jit(dmmse, static_argnames="block")
LOG_REST = jax.jit(log_rest)
EYE = functools.partial(np.eye, dtype=np.float32)


def _prompt(seed, n, d, sigma, w=None):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)).astype(np.float32)
    w = rng.normal(size=d) if w is None else w
    return x, (x @ w + sigma * rng.normal(size=n)).astype(np.float32)


def _tasks(seed, k, d):
    return np.random.default_rng(seed).normal(size=(k, d)).astype(np.float32)


def _double(values):
    """The values in float64; `np.float64` makes a scalar of none, in numpy 2.0."""
    return np.asarray(values, np.float64)


def _posterior_mean_brute(x, y, sigma, covariance):
    """w given x, y from the normal equations of the joint Gaussian law of w and y, in float64."""
    x, y = _double(x), _double(y)
    of_y = x @ covariance @ x.T + sigma**2 * np.eye(len(x))
    return covariance @ x.T @ np.linalg.solve(of_y, y)


def _dmmse_brute(x, y, tasks, weights, sigma):
    """Return (predictions, posteriors [n, k]) by the product of densities, in float64."""
    x, y, tasks = _double(x), _double(y), _double(tasks)
    said = x @ tasks.T
    density = np.exp(-((y[:, None] - said) ** 2) / (2 * sigma**2))
    posterior = np.stack([weights * np.prod(density[:i], axis=0) for i in range(len(x))])
    posterior /= posterior.sum(1, keepdims=True)
    return (posterior * said).sum(1), posterior


@pytest.mark.parametrize("sigma", [2.0, 0.3, 0.01])
@pytest.mark.parametrize("beta", [0.0, 0.7, 1.0])  # 1: a singular prior
def test_ridge_is_the_gaussian_posterior_mean(sigma, beta):
    d, n = 5, 12
    v = np.eye(d)[1] * 0.8 + np.eye(d)[3] * 0.6
    covariance = 4.0 * ((1 - beta) * np.eye(d) + beta * np.outer(v, v))
    eigenvalues, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(eigenvalues, 0))  # another root than the symmetric one
    x, y = _prompt(0, n, d, sigma, w=root @ np.ones(d))
    wanted = [x[i] @ _posterior_mean_brute(x[:i], y[:i], sigma, covariance) for i in range(n)]
    np.testing.assert_allclose(RIDGE(x, y, sigma, np.float32(root)), wanted, atol=2e-4)


def test_ridge_is_equation_3():
    d, n, sigma, tau = 20, 41, 1.0, 1.5
    x, y = _prompt(1, n, d, sigma)
    penalty = sigma**2 / tau**2 * np.eye(d)
    wanted = [
        x[i] @ np.linalg.solve(_double(x[:i]).T @ x[:i] + penalty, x[:i].T @ y[:i])
        for i in range(n)
    ]
    np.testing.assert_allclose(RIDGE(x, y, sigma, np.float32(tau) * EYE(d)), wanted, atol=2e-5)


@pytest.mark.parametrize("sigma", [1e-3, 1e-5, 0.0])
def test_ridge_without_noise_interpolates(sigma):
    d, n = 8, 20
    x, y = _prompt(2, n, d, 0.0)
    said = np.asarray(RIDGE(x, y, sigma, EYE(d)))
    least_norm = [x[i] @ np.linalg.pinv(x[:i]) @ y[:i] if i else 0.0 for i in range(n)]
    np.testing.assert_allclose(said[: d - 1], least_norm[: d - 1], atol=1e-3)
    np.testing.assert_allclose(said[d + 2 :], y[d + 2 :], atol=1e-4)


def test_ridge_survives_the_same_exact_point_again_and_again():
    said = RIDGE(np.ones((30, 2), np.float32), np.full(30, 3.0, np.float32), 0.0, EYE(2))
    np.testing.assert_allclose(said[1:], 3.0, rtol=1e-5)


def test_ridge_reads_the_past_only_and_in_any_order():
    x, y = _prompt(3, 9, 4, 0.5)
    said = np.asarray(RIDGE(x, y, 0.5, EYE(4)))
    later = np.asarray(RIDGE(np.r_[x[:6], -x[6:]], np.r_[y[:5], -y[5:]], 0.5, EYE(4)))
    np.testing.assert_array_equal(said[:6], later[:6])
    order = np.r_[np.random.default_rng(0).permutation(8), 8]
    shuffled = np.asarray(RIDGE(x[order], y[order], 0.5, EYE(4)))
    np.testing.assert_allclose(said[8], shuffled[8], rtol=1e-5)
    assert abs(said[6] - later[6]) > 1e-3 and abs(said[1] - shuffled[1]) > 1e-3


@pytest.mark.parametrize("sigma", [1.0, 0.3])
@pytest.mark.parametrize("block", [1, 3, 7, 64])
def test_dmmse_is_equation_6(sigma, block):
    tasks = _tasks(0, 7, 3)
    weights = np.arange(1, 8) ** -1.0
    x, y = _prompt(4, 10, 3, sigma, w=tasks[2])
    wanted, _ = _dmmse_brute(x, y, tasks, weights, sigma)
    said = DMMSE(x, y, tasks, np.log(weights, dtype=np.float32), sigma, block=block)
    np.testing.assert_allclose(said, wanted, atol=1e-5)


def test_dmmse_with_one_task_says_that_task():
    tasks = _tasks(1, 1, 3)
    x, y = _prompt(5, 10, 3, 1.0)
    said = DMMSE(x, y, tasks, np.zeros(1, np.float32), 1.0)
    np.testing.assert_allclose(said, x @ tasks[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("sigma", "needed"), [(0.05, 3), (0.0, 1)])
def test_dmmse_with_little_noise_soon_knows_the_task(sigma, needed):
    tasks = _tasks(2, 500, 6)
    x, y = _prompt(6, 12, 6, 0.0, w=tasks[400])
    log_weights = np.zeros(500, np.float32)
    said = np.asarray(DMMSE(x, y, tasks, log_weights, sigma))
    np.testing.assert_allclose(said[0], x[0] @ tasks.mean(0), rtol=1e-4)
    np.testing.assert_allclose(said[needed:], y[needed:], rtol=1e-6)


def test_dmmse_follows_weights_that_concentrate():
    tasks = _tasks(3, 6, 3)
    x, y = _prompt(7, 8, 3, 1.0)
    far = DMMSE(x, y, tasks, np.float32([-90.0] * 4 + [0.0, -90.0]), 1.0)
    np.testing.assert_allclose(far, x @ tasks[4], rtol=1e-5)
    certain = DMMSE(x, y, tasks, np.float32([-np.inf] * 4 + [0.0, -np.inf]), 1.0, block=2)
    np.testing.assert_allclose(certain, x @ tasks[4], rtol=1e-6)


def test_dmmse_of_tasks_that_are_all_impossible_says_the_least_impossible():
    tasks = _tasks(7, 100, 3)
    x, y = _prompt(11, 10, 3, 0.1, w=np.array([9.0, -9.0, 9.0]))
    errors = (y[:9, None] - x[:9] @ tasks.T) ** 2
    nearest = tasks[errors.sum(0).argmin()]  # its density is below exp(-10^4)
    for shift in (0.0, -1e3):
        said = np.asarray(DMMSE(x, y, tasks, np.full(100, shift, np.float32), 0.1, block=16))
        assert np.all(np.isfinite(said))
        np.testing.assert_allclose(said[9], x[9] @ nearest, rtol=1e-5)


def test_dmmse_does_not_depend_on_the_order_of_tasks_or_points():
    tasks, log_weights = _tasks(4, 40, 3), np.log(np.arange(1, 41, dtype=np.float32)) * -0.75
    x, y = _prompt(8, 8, 3, 0.5, w=tasks[3])
    said = np.asarray(DMMSE(x, y, tasks, log_weights, 0.5, block=16))
    order = np.random.default_rng(0).permutation(40)
    other = DMMSE(x, y, tasks[order], log_weights[order], 0.5, block=16)
    np.testing.assert_allclose(said, other, atol=1e-5)
    turned = np.r_[np.arange(7)[::-1], 7]
    np.testing.assert_allclose(
        said[7], DMMSE(x[turned], y[turned], tasks, log_weights, 0.5, block=16)[7], atol=1e-5
    )
    later = DMMSE(np.r_[x[:6], -x[6:]], np.r_[y[:5], -y[5:]], tasks, log_weights, 0.5, block=16)
    np.testing.assert_array_equal(said[:6], later[:6])


def test_dmmse_of_many_tasks_approaches_ridge():
    k, d, n, sigma = 20_000, 2, 5, 0.7
    tasks = _tasks(5, k, d)
    x, y = _prompt(9, n, d, sigma)
    said = np.asarray(DMMSE(x, y, tasks, np.zeros(k, np.float32), sigma))
    wanted = np.asarray(RIDGE(x, y, sigma, EYE(d)))
    mean, posterior = _dmmse_brute(x, y, tasks, np.ones(k), sigma)
    deviations = posterior * (x @ tasks.T - mean[:, None])
    standard_error = np.sqrt((deviations**2).sum(1))  # of a self-normalised average
    assert np.all(standard_error < 0.1)
    assert np.all(abs(said - wanted) < 4 * standard_error)


def test_evidence_is_the_gaussian_density_of_the_points_before():
    """Cholesky in float64; on the scale that has no -log(sigma sqrt(2 pi)) for each point."""
    d, n = 4, 9
    root = np.random.default_rng(1).normal(size=(d, d))
    for sigma in (2.0, 0.5, 0.05):
        x, y = _prompt(12, n, d, sigma, w=root @ np.ones(d))
        said, found = jax.jit(ridge_evidence)(x, y, sigma, np.float32(root))
        np.testing.assert_array_equal(said, RIDGE(x, y, sigma, np.float32(root)))
        wanted = [_log_evidence(x[:i], y[:i], sigma, root) for i in range(n)]
        np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-4)


def _log_evidence(x, y, sigma, root):
    """log N(y; 0, x S S^T x^T + sigma^2) + n log(sigma sqrt(2 pi)), in float64."""
    x, y = _double(x), _double(y)
    of_y = x @ root @ root.T @ x.T + sigma**2 * np.eye(len(x))
    _, log_volume = np.linalg.slogdet(of_y / sigma**2)
    return -0.5 * (y @ np.linalg.solve(of_y, y) + log_volume)


@pytest.mark.parametrize("mass", [0.9, 0.3, 1e-3])
@pytest.mark.parametrize("sigma", [1.0, 0.2])
def test_dmmse_with_a_rest_is_the_mixture(mass, sigma):
    """A few tasks and one Gaussian for all others, by densities in float64."""
    d, n, k = 3, 8, 5
    root, tasks = np.diag([1.0, 0.5, 2.0]), _tasks(8, k, d)
    weights = (1 - mass) * np.arange(1, k + 1) / np.arange(1, k + 1).sum()
    x, y = _prompt(13, n, d, sigma)
    wanted = []
    for i in range(n):
        error = _double(y[:i, None]) - _double(x[:i]) @ _double(tasks).T
        log_odds = np.r_[
            np.log(weights) - (error**2).sum(0) / (2 * sigma**2),
            np.log(mass) + _log_evidence(x[:i], y[:i], sigma, root),
        ]
        odds = np.exp(log_odds - log_odds.max())
        mean = root @ root.T
        rest = x[i] @ _posterior_mean_brute(x[:i], y[:i], sigma, mean)
        wanted.append(np.r_[_double(x[i]) @ tasks.T, rest] @ odds / odds.sum())
    rest = np.log(np.float32(mass)), np.float32(root)
    said = DMMSE(x, y, tasks, np.log(weights, dtype=np.float32), sigma, rest=rest, block=2)
    np.testing.assert_allclose(said, wanted, atol=1e-4)


def test_a_rest_of_no_mass_is_none_to_the_bit():
    tasks, log_weights = _tasks(9, 70, 3), np.full(70, -np.log(70.0), np.float32)
    x, y = _prompt(14, 9, 3, 0.01, w=np.array([5.0, 5.0, -5.0]))  # no task explains it
    none = np.float32(-np.inf), EYE(3)
    said = DMMSE(x, y, tasks, log_weights, 0.01, rest=none)
    np.testing.assert_array_equal(said, DMMSE(x, y, tasks, log_weights, 0.01))
    leaked = DMMSE(x, y, tasks, log_weights, 0.01, rest=(np.float32(-16.0), EYE(3)))
    assert np.max(np.abs(leaked - said)) > 1.0  # as a rounding of 1e-7 would


def test_a_new_task_is_the_rest_and_an_old_one_is_itself():
    tasks, sigma, rest = _tasks(10, 64, 4), 1e-3, (np.log(np.float32(0.5)), EYE(4))
    log_weights = np.full(64, np.log(0.5 / 64), np.float32)
    x, y = _prompt(15, 12, 4, 0.0)
    new = DMMSE(x, y, tasks, log_weights, sigma, rest=rest)
    np.testing.assert_allclose(new[2:], RIDGE(x, y, sigma, EYE(4))[2:], atol=1e-3)
    x, y = _prompt(16, 12, 4, 0.0, w=tasks[50])
    old = DMMSE(x, y, tasks, log_weights, sigma, rest=rest)
    np.testing.assert_allclose(old[2:], y[2:], atol=1e-3)


def test_what_is_left_of_a_probability():
    for held in ([0.5, 0.5], [0.25, 0.25], [1e-6, 1e-6]):
        log_held = np.log(np.float32(held))
        assert LOG_REST(log_held, np.float32(-np.inf)) == -np.inf
        if sum(held) < 1:
            left = LOG_REST(log_held, np.log(np.float32(held[-1])))
            np.testing.assert_allclose(left, np.log1p(-sum(held)), rtol=1e-5, atol=1e-6)
    # the last of 3,000 tasks, which the others' rounding would lose
    log_held, log_next = np.full(2999, -np.log(3000.0), np.float32), np.float32(-np.log(3000.0))
    np.testing.assert_allclose(LOG_REST(log_held, log_next), np.log(1 / 3000), rtol=2e-3)


TINY = lr.Spec(dimension=3, points=6, noise=0.4, pool=12, dmmse_tasks=5)
EXACT = dataclasses.replace(TINY, dmmse_tasks=4096)
IN_PLAY = frozenset({"items", "zipf_exponent"})


def all_of_them(alpha):
    return designs.Knobs(items=np.int32(12), zipf_exponent=np.float32(alpha))


@functools.cache
def of_task(spec, used=frozenset(), names=("dmmse",)):
    """(data knobs, beta, seed) -> (x, y, the pool's task vectors, what the predictors say)."""
    task = lr.linear_regression(spec)
    source = designs.design(designs.Spec(), 1, task.size, used)

    @jax.jit
    def say(data, beta, seed):
        plan, knobs = source.prepare(data, task.size), lr.Knobs(beta)
        key_world, key_noise = jax.random.split(jax.random.key(seed))
        world, draw = task.init(key_world), Draw(jnp.arange(20) % 12, jnp.zeros(20, int))
        keys = jax.random.split(key_noise, 20)
        batch = jax.vmap(task.emit, (0, None, 0, None))(keys, world, draw, knobs)
        said = task.predictors(world, batch, knobs, lambda i: source.log_prob(plan, i, 0))
        tasks = lr.task_vectors(spec, world, jnp.arange(12), knobs)
        return *lr.unpack(batch.inputs), tasks, {name: said[name] for name in names}

    return say


@pytest.mark.parametrize(("items", "alpha"), [(12, 0.0), (12, 1.0), (12, 3.0), (5, 1.0), (1, 0.0)])
def test_the_task_weighs_its_tasks_as_the_design_draws_them(items, alpha):
    """Uniform and Zipf, all 12 tasks or the first few in play, beside float64; one program."""
    say = of_task(EXACT, IN_PLAY)
    data = all_of_them(alpha)._replace(items=np.int32(items))
    x, y, tasks, said = say(data, np.float32(0.3), 0)
    weights = np.where(np.arange(12) < items, np.arange(1, 13.0) ** -alpha, 0.0)
    for prompt in range(20):
        wanted, _ = _dmmse_brute(x[prompt], y[prompt], tasks, weights, TINY.noise)
        np.testing.assert_allclose(said["dmmse"][prompt], wanted, atol=2e-4)
    assert say._cache_size() == 1


def test_more_tasks_than_are_told_apart_are_their_gaussian():
    """5 of 12 tasks one by one, the 7 others as one component of the mass they are drawn with."""
    say = of_task(TINY, frozenset({"zipf_exponent"}))
    x, y, tasks, said = say(designs.Knobs(zipf_exponent=np.float32(1.0)), np.float32(0.0), 1)
    probability = np.arange(1, 13.0) ** -1 / np.sum(np.arange(1, 13.0) ** -1)
    rest = np.log(np.float32(probability[5:].sum())), EYE(3)
    log_weights = np.log(np.float32(probability[:5]))
    for prompt in range(20):
        wanted = DMMSE(x[prompt], y[prompt], tasks[:5], log_weights, TINY.noise, rest=rest)
        np.testing.assert_allclose(said["dmmse"][prompt], wanted, atol=1e-4)


@pytest.mark.parametrize("beta", [0.0, 0.6])
def test_infinitely_many_tasks_are_ridge(beta):
    spec = dataclasses.replace(TINY, pool=lr.Spec().pool, dmmse_tasks=256)
    names = ("dmmse", "ridge", "biased_ridge")
    *_, said = of_task(spec, names=names)(designs.Knobs(), np.float32(beta), 2)
    np.testing.assert_allclose(said["dmmse"], said["biased_ridge"], atol=1e-4)
    assert beta == 0 or np.max(np.abs(said["dmmse"] - said["ridge"])) > 0.1
    few = of_task(EXACT, IN_PLAY)(all_of_them(0.0), np.float32(beta), 2)
    assert np.max(np.abs(few[3]["dmmse"] - said["dmmse"])) > 0.1


def _largest(jaxpr):
    """The most elements of any array that a program makes, in its loops and calls too."""
    made = [0]
    for equation in jaxpr.eqns:
        made += [int(np.prod(v.aval.shape)) for v in equation.outvars]
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")
        ):
            inner = getattr(value, "jaxpr", value)
            made += [_largest(inner)] if hasattr(inner, "eqns") else []
    return max(made)


def test_4096_tasks_never_meet_all_prompts_at_once():
    """Of the task's own predictors at the paper's size: no array above B x n x 64."""
    batch, spec = 256, lr.Spec()
    task, source = lr.linear_regression(spec), uniform(1)
    world = jax.eval_shape(task.init, jax.eval_shape(jax.random.key, 0))
    emit = jax.vmap(task.emit_test, (0, None, None))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), batch))
    prompts = jax.eval_shape(lambda keys, world: emit(keys, world, 0), keys, world)

    def say(world, prompts):
        log_prior = lambda index: source.log_prob(jnp.int32(task.size), index, 0)  # noqa: E731
        return task.predictors(world, prompts, lr.Knobs(), log_prior)

    largest = _largest(jax.make_jaxpr(say)(world, prompts).jaxpr)
    assert batch * spec.points * 32 < largest <= batch * spec.points * 64

    x, y = (jax.ShapeDtypeStruct((batch, spec.points, *d), jnp.float32) for d in ((20,), ()))
    tasks, weights = (jax.ShapeDtypeStruct((4096, *d), jnp.float32) for d in ((20,), ()))
    bare = jax.vmap(functools.partial(dmmse, sigma=1.0, block=4096), (0, 0, None, None))
    whole = _largest(jax.make_jaxpr(bare)(x, y, tasks, weights).jaxpr)
    assert whole == batch * spec.points * 4096  # what it would be, and this test would see
