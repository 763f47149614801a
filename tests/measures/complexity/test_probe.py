"""The local learning coefficient against closed forms, integrals and other code's recursion."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.measures.complexity import probe as complexity
from plateaus.measures.complexity.probe import Chains

KEY = 5


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def estimate(loss, centre, batches, n_beta, how):
    return complexity.of_batches(jax.random.key(KEY), loss, centre, batches, n_beta, how)


ONE = np.ones(1, np.float32)


def test_a_parabola_has_half_a_coefficient_a_direction():
    """Against the stationary law of the discrete chain, which is Gaussian and known exactly."""
    curvatures, gamma, n_beta = np.array([0.5, 1.0, 2.0, 4.0, 8.0]), 30.0, 100.0
    how = Chains(chains=32, burn_in=500, draws=8000, step_size=4e-4, localisation=gamma)

    def loss(w, x):
        return x * jnp.sum(jnp.float32(curvatures) * w**2) / 2

    found = estimate(loss, np.ones(5, np.float32) * 0, ONE, n_beta, how)
    pulls = n_beta * curvatures + gamma
    variance = 1 / (pulls * (1 - how.step_size * pulls / 4))
    exact = np.sum(n_beta * curvatures * variance) / 2
    memory = (1 - how.step_size * pulls / 2) ** 2
    of_each = (n_beta * curvatures * variance) ** 2 / 2 * (1 + memory) / (1 - memory)
    error = np.sqrt(of_each.sum() / (how.chains * how.draws))
    assert error < 0.02
    assert float(found["llc"]) == pytest.approx(exact, abs=4 * error)
    assert float(found["llc_spread"]) == pytest.approx(error * np.sqrt(how.chains), rel=0.5)
    assert exact == pytest.approx(5 / 2, rel=0.25)  # d / 2 less what the spring takes


def test_without_a_spring_a_parabola_of_d_directions_has_d_halves():
    how = Chains(chains=32, burn_in=500, draws=4000, step_size=2e-4, localisation=0.0)
    found = estimate(lambda w, x: x * jnp.sum(w**2), np.zeros(6, np.float32), ONE, 50.0, how)
    assert float(found["llc"]) == pytest.approx(6 / 2, rel=0.03)


def mean_rise(loss, n_beta, gamma, dimensions):
    """n beta E[L] under exp(-n beta L - gamma |w|^2 / 2), by a sum over a grid."""
    line = np.linspace(-3, 3, 1201 if dimensions == 2 else 60001)
    w = np.meshgrid(*[line] * dimensions, indexing="ij")
    energy = n_beta * loss(w) + gamma / 2 * sum(x**2 for x in w)
    density = np.exp(-energy)
    return float((n_beta * loss(w) * density).sum() / density.sum())


FLAT = {
    "w^4": (lambda w, x: x * w[0] ** 4, 1, 0.0, Chains(256, 2000, 4000, 1e-3, 0.0)),
    "w^4 on a spring": (lambda w, x: x * w[0] ** 4, 1, 20.0, Chains(256, 2000, 4000, 1e-3, 20.0)),
    "a cross": (
        lambda w, x: x * (w[0] * w[1]) ** 2,
        2,
        10.0,
        Chains(512, 2000, 4000, 5e-4, 10.0),
    ),
}


@pytest.mark.parametrize("name", FLAT)
def test_what_is_flatter_than_a_parabola(name):
    loss, dimensions, gamma, how = FLAT[name]
    expected = mean_rise(lambda w: loss(w, 1.0), 100.0, gamma, dimensions)
    if name == "w^4":
        assert expected == pytest.approx(1 / 4, rel=1e-6)
    assert expected < dimensions / 2
    found = estimate(loss, np.zeros(dimensions, np.float32), ONE, 100.0, how)
    assert float(found["llc"]) == pytest.approx(expected, rel=0.05)


def test_against_the_recursion_written_out():
    """Lines by gradient descent on three batches in turn, away from the minimum."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((3, 4, 2)), rng.standard_normal((3, 4))
    centre, n_beta = rng.standard_normal(2), 12 / np.log(12)
    how = Chains(chains=2, burn_in=3, draws=7, step_size=1e-2, localisation=5.0)

    def loss(w, batch):
        return jnp.mean((jnp.sum(batch[0] * w["w"][None], axis=1) - batch[1]) ** 2)

    found = estimate(loss, {"w": np.float32(centre)}, (np.float32(x), np.float32(y)), n_beta, how)
    estimates = []
    for key in jax.random.split(jax.random.key(KEY), 2):
        w, rises = centre.copy(), []
        for t in range(10):
            inputs, targets = x[t % 3], y[t % 3]
            rest = inputs @ w - targets
            rises.append(np.mean(rest**2) - np.mean((inputs @ centre - targets) ** 2))
            drift = n_beta * 2 * inputs.T @ rest / 4 + 5.0 * (w - centre)
            noise = np.asarray(jax.random.normal(jax.random.fold_in(key, t), (2,)), np.float64)
            w += -0.5 * 1e-2 * drift + 1e-2**0.5 * noise
        estimates.append(n_beta * np.mean(rises[3:]))
    assert float(found["llc"]) == pytest.approx(np.mean(estimates), rel=1e-4)
    assert float(found["llc_spread"]) == pytest.approx(np.std(estimates, ddof=1), rel=1e-4)


# Of devinterp 2.0.1 with torch 2.13.0 on a CPU: 8 steps of its SGLD (lr .01, localization 5, nbeta
# 6 / log 6, a generator of seed 7) of least squares on three batches in turn; its noise, and what
# became of the loss and of the weights.
NOISE = np.array(
    [
        [-0.1467950940132141, 0.7861412763595581],
        [0.9468216300010681, -1.1143440008163452],
        [1.6907901763916016, -0.8948279023170471],
        [-0.3556250333786011, 1.2323857545852661],
        [0.13817265629768372, -1.6821985244750977],
        [0.317678302526474, 0.13280697166919708],
        [0.13732409477233887, 0.2405461221933365],
        [1.3954508304595947, 1.3470226526260376],
    ],
    np.float32,
)
LOSSES = [
    *(0.25624996423721313, 0.35532286763191223, 2.7344260215759277, 0.08651678264141083),
    *(0.3375644385814667, 2.518932342529297, 0.09752734005451202, 0.19194519519805908),
]
LAST = [0.5704400539398193, -0.307964950799942]


def test_the_steps_are_those_of_devinterp():
    x = np.float32(
        [[[1, 0.5], [-0.5, 1]], [[0.25, -1], [2, 0.5]], [[1.5, 1], [-1, -0.75]]],
    )
    y = np.float32([[0.5, -1], [1, 0.25], [-0.5, 2]])
    how = Chains(chains=1, burn_in=0, draws=8, step_size=0.01, localisation=5.0)
    centre = np.float32([0.3, -0.2])

    def loss(w, x, y):
        return jnp.mean((x @ w - y) ** 2)

    @jax.jit
    def step(w, x, y, noise):
        value, gradient = jax.value_and_grad(loss)(w, x, y)
        n_beta = complexity.inverse_temperature(6)
        return value, complexity.langevin_step(w, centre, gradient, noise, n_beta, how)

    weights, losses = jnp.array(centre), []
    for t, noise in enumerate(NOISE):
        value, weights = step(weights, x[t % 3], y[t % 3], noise)
        losses.append(float(value))
    assert losses == pytest.approx(LOSSES, rel=1e-5)
    assert weights.tolist() == pytest.approx(LAST, rel=1e-5)
