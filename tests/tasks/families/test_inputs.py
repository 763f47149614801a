"""Laws of inputs against their definitions: moments, rotations, Student's t."""

import jax
import numpy as np
import pytest
from scipy import integrate, stats

from plateaus.tasks.families.inputs import gaussian, signs, skewed, student

D, MANY = 4, 20_000
FALLING = np.array([1, 1 / 2, 1 / 3, 1 / 4]) * D / (25 / 12)


def _draw(law, number=MANY):
    """Points x [number, d] of one world."""

    @jax.jit
    def run():
        world = law.init(jax.random.key(0))
        z = jax.random.normal(jax.random.key(1), (number, D))
        return law.inputs(jax.random.key(2), world, z), world

    return jax.tree.map(np.float64, run())


def test_gaussian_inputs_are_z():
    z = np.ones((2, D), np.float32)
    inputs = jax.jit(lambda z: gaussian(D).inputs(jax.random.key(0), (), z))
    np.testing.assert_array_equal(inputs(z), z)


def test_signs_are_never_zero():
    assert jax.jit(signs)(np.float32([[-0.5, 0.0, 0.5]])).tolist() == [[-1.0, 1.0, 1.0]]


def test_skewed_inputs_have_falling_variances_in_a_rotated_frame():
    x, world = _draw(skewed(D))
    covariance = np.float64(world) @ np.float64(world).T
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance)[::-1], FALLING, rtol=1e-5)
    np.testing.assert_allclose(np.trace(covariance), D, rtol=1e-5)
    assert abs(covariance - np.diag(np.diag(covariance))).max() > 0.05  # it is rotated
    found, spread = x.T @ x / MANY, np.diag(covariance)
    error = np.sqrt((np.outer(spread, spread) + covariance**2) / MANY)
    assert (abs(found - covariance) < 5 * error).all()


def test_rotations_are_uniform():
    """Entries of a uniform rotation have mean 0, variance 1/d, fourth moment 3 / d (d + 2)."""
    init = jax.vmap(skewed(D).init)
    worlds = jax.jit(lambda: init(jax.random.split(jax.random.key(0), 4000)))()
    q = np.float64(worlds) / np.sqrt(FALLING)
    np.testing.assert_allclose(q @ q.swapaxes(1, 2), np.eye(D)[None].repeat(4000, 0), atol=1e-5)
    for power, moment in ((1, 0), (2, 1 / D), (4, 3 / (D * (D + 2)))):
        error = np.std(q**power, axis=0) / np.sqrt(4000)
        assert (abs(np.mean(q**power, axis=0) - moment) < 4.5 * error).all()


def test_student_inputs_are_independent_t_of_variance_two():
    x, _ = _draw(student(D))
    for column in x.T:
        assert stats.kstest(column, stats.t(4).cdf).pvalue > 1e-3
    ranks = stats.spearmanr(abs(x))[0]
    assert (abs(ranks - np.eye(D)) < 4.5 / np.sqrt(MANY)).all()  # no common scale
    assert np.isfinite(x).all()
    assert student(D).moments[0] == D * stats.t(4).var()


def test_moments_of_the_squared_length():
    """Isserlis' theorem, written out over all indices."""
    for law, v in ((gaussian(D), np.ones(D)), (skewed(D), FALLING)):
        fourth = sum(v[i] * v[j] * (3 if i == j else 1) for i in range(D) for j in range(D))
        sixth = sum(
            v[i] * v[j] * v[k] * {1: 15, 2: 3, 3: 1}[len({i, j, k})]
            for i in range(D)
            for j in range(D)
            for k in range(D)
        )
        np.testing.assert_allclose(law.moments, (np.sum(v), fourth, sixth), rtol=1e-12)


@pytest.mark.parametrize("u", (0.1, 2.0))
def test_laplace_transforms(u):
    def one(density):
        return 2 * integrate.quad(lambda x: density(x) * np.exp(-u * x * x), 0, np.inf)[0]

    np.testing.assert_allclose(gaussian(D).laplace(u), one(stats.norm.pdf) ** D, rtol=1e-7)
    np.testing.assert_allclose(student(D).laplace(u), one(stats.t(4).pdf) ** D, rtol=1e-7)
    each = [one(stats.norm(scale=np.sqrt(v)).pdf) for v in FALLING]
    np.testing.assert_allclose(skewed(D).laplace(u), np.prod(each), rtol=1e-7)
