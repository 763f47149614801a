"""Ridge and dMMSE against float64 brute force, their limits and their symmetries."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.tasks.predictors import dmmse, log_sampling_weights, ridge

RIDGE = jax.jit(ridge)
DMMSE = jax.jit(dmmse, static_argnames="block")


def _prompt(seed, n, d, sigma, w=None):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)).astype(np.float32)
    w = rng.normal(size=d) if w is None else w
    return x, (x @ w + sigma * rng.normal(size=n)).astype(np.float32)


def _tasks(seed, k, d):
    return np.random.default_rng(seed).normal(size=(k, d)).astype(np.float32)


def _posterior_mean_brute(x, y, sigma, covariance):
    """w given x, y from the normal equations of the joint Gaussian law of w and y, in float64."""
    x, y = np.float64(x), np.float64(y)
    of_y = x @ covariance @ x.T + sigma**2 * np.eye(len(x))
    return covariance @ x.T @ np.linalg.solve(of_y, y)


def _dmmse_brute(x, y, tasks, weights, sigma):
    """Return (predictions, posteriors [n, k]) by the product of densities, in float64."""
    x, y, tasks = np.float64(x), np.float64(y), np.float64(tasks)
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
    np.testing.assert_allclose(RIDGE(x, y, sigma, jnp.float32(root)), wanted, atol=2e-4)


def test_ridge_is_equation_3():
    d, n, sigma, tau = 20, 41, 1.0, 1.5
    x, y = _prompt(1, n, d, sigma)
    penalty = sigma**2 / tau**2 * np.eye(d)
    wanted = [
        x[i] @ np.linalg.solve(np.float64(x[:i]).T @ x[:i] + penalty, x[:i].T @ y[:i])
        for i in range(n)
    ]
    np.testing.assert_allclose(RIDGE(x, y, sigma, tau * jnp.eye(d)), wanted, atol=2e-5)


@pytest.mark.parametrize("sigma", [1e-3, 1e-5, 0.0])
def test_ridge_without_noise_interpolates(sigma):
    d, n = 8, 20
    x, y = _prompt(2, n, d, 0.0)
    said = np.asarray(RIDGE(x, y, sigma, jnp.eye(d)))
    least_norm = [x[i] @ np.linalg.pinv(x[:i]) @ y[:i] if i else 0.0 for i in range(n)]
    np.testing.assert_allclose(said[: d - 1], least_norm[: d - 1], atol=1e-3)
    np.testing.assert_allclose(said[d + 2 :], y[d + 2 :], atol=1e-4)


def test_ridge_survives_the_same_exact_point_again_and_again():
    said = RIDGE(jnp.ones((30, 2)), jnp.full(30, 3.0), 0.0, jnp.eye(2))
    np.testing.assert_allclose(said[1:], 3.0, rtol=1e-5)


def test_ridge_reads_the_past_only_and_in_any_order():
    x, y = _prompt(3, 9, 4, 0.5)
    said = np.asarray(RIDGE(x, y, 0.5, jnp.eye(4)))
    later = np.asarray(RIDGE(np.r_[x[:6], -x[6:]], np.r_[y[:5], -y[5:]], 0.5, jnp.eye(4)))
    np.testing.assert_array_equal(said[:6], later[:6])
    order = np.r_[np.random.default_rng(0).permutation(8), 8]
    shuffled = np.asarray(RIDGE(x[order], y[order], 0.5, jnp.eye(4)))
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
    said = DMMSE(x, y, tasks, jnp.zeros(1), 1.0)
    np.testing.assert_allclose(said, x @ tasks[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("sigma", "needed"), [(0.05, 3), (0.0, 1)])
def test_dmmse_with_little_noise_soon_knows_the_task(sigma, needed):
    tasks = _tasks(2, 500, 6)
    x, y = _prompt(6, 12, 6, 0.0, w=tasks[400])
    log_weights = jnp.zeros(500)
    said = np.asarray(DMMSE(x, y, tasks, log_weights, sigma))
    np.testing.assert_allclose(said[0], x[0] @ tasks.mean(0), rtol=1e-4)
    np.testing.assert_allclose(said[needed:], y[needed:], rtol=1e-6)


def test_dmmse_follows_weights_that_concentrate():
    tasks = _tasks(3, 6, 3)
    x, y = _prompt(7, 8, 3, 1.0)
    far = DMMSE(x, y, tasks, jnp.array([-90.0] * 4 + [0.0, -90.0]), 1.0)
    np.testing.assert_allclose(far, x @ tasks[4], rtol=1e-5)
    certain = DMMSE(x, y, tasks, jnp.array([-jnp.inf] * 4 + [0.0, -jnp.inf]), 1.0, block=2)
    np.testing.assert_allclose(certain, x @ tasks[4], rtol=1e-6)


def test_dmmse_of_tasks_that_are_all_impossible_says_the_least_impossible():
    tasks = _tasks(7, 100, 3)
    x, y = _prompt(11, 10, 3, 0.1, w=np.array([9.0, -9.0, 9.0]))
    errors = (y[:9, None] - x[:9] @ tasks.T) ** 2
    nearest = tasks[errors.sum(0).argmin()]  # its density is below exp(-10^4)
    for shift in (0.0, -1e3):
        said = np.asarray(DMMSE(x, y, tasks, jnp.full(100, shift), 0.1, block=16))
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
    said = np.asarray(DMMSE(x, y, tasks, jnp.zeros(k), sigma))
    wanted = np.asarray(RIDGE(x, y, sigma, jnp.eye(d)))
    mean, posterior = _dmmse_brute(x, y, tasks, np.ones(k), sigma)
    deviations = posterior * (x @ tasks.T - mean[:, None])
    standard_error = np.sqrt((deviations**2).sum(1))  # of a self-normalised average
    assert np.all(standard_error < 0.1)
    assert np.all(abs(said - wanted) < 4 * standard_error)


def test_the_number_of_tasks_and_the_exponent_are_traced():
    tasks = _tasks(6, 50, 3)
    x, y = (jnp.asarray(a) for a in _prompt(10, 7, 3, 1.0, w=tasks[1]))
    traces = []

    @jax.jit
    def said(count, alpha):
        traces.append(count)
        return dmmse(x, y, jnp.asarray(tasks), log_sampling_weights(count, alpha, 50), 1.0, block=8)

    for count, alpha in [(1, 0.0), (13, 1.0), (50, 0.0), (50, 0.5)]:
        weights = np.arange(1, count + 1.0) ** -alpha
        wanted, _ = _dmmse_brute(x, y, tasks[:count], weights, 1.0)
        np.testing.assert_allclose(said(count, alpha), wanted, atol=1e-5)
        probabilities = np.exp(log_sampling_weights(count, alpha, 50))
        np.testing.assert_allclose(probabilities[:count], weights / weights.sum(), rtol=1e-5)
        assert not probabilities[count:].any()
    assert len(traces) == 1


def test_4096_tasks_never_meet_all_prompts_at_once():
    batch, n, d, k = 32, 41, 20, 4096
    shapes = [(batch, n, d), (batch, n), (k, d), (k,)]
    args = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    said = jax.vmap(functools.partial(dmmse, sigma=1.0), (0, 0, None, None))
    memory = jax.jit(said).lower(*args).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 4 * batch * n * k / 8
