"""Muon against the singular vectors of its momentum, one run by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.optim.optimisers import Knobs, Spec, optimiser

RATE = 0.25
SHAPES = ((6, 4), (4, 6), (5, 1))  # inputs, outputs
NEWTON_SCHULZ = (0.6, 1.25)  # where five iterations put the singular values
ROUNDED = 1e-4  # 6e-8, which each iteration may multiply by 3.4445


@jax.jit
@jax.vmap
def first_updates(rate, gradients):
    transformation = optimiser(Spec(name="muon"), frozenset())(Knobs(learning_rate=rate))
    return transformation.update(gradients, transformation.init(gradients), gradients)[0]


@pytest.fixture(scope="module")
def given():
    rng = np.random.default_rng(0)
    lanes = {f"{m} x {n}": rng.standard_normal((3, m, n)) for m, n in SHAPES}
    lanes["bias"] = rng.standard_normal((3, 7))
    lengths = np.array([1.0, 1e3, 1.0])  # of the gradients of a run
    gradients = {
        name: np.float32(x * lengths.reshape(3, *[1] * (x.ndim - 1))) for name, x in lanes.items()
    }
    rates = np.float32([RATE, RATE, 2 * RATE])
    return gradients, jax.tree.map(np.asarray, first_updates(rates, gradients)), rates


@pytest.mark.parametrize("shape", SHAPES)
def test_a_matrix_moves_along_its_singular_vectors_all_by_about_the_rate(shape, given):
    gradients, updates, rates = given
    name = f"{shape[0]} x {shape[1]}"
    widening = np.sqrt(max(1, shape[1] / shape[0]))
    for gradient, update, rate in zip(gradients[name], updates[name], rates, strict=True):
        u, _, vt = np.linalg.svd(gradient, full_matrices=False)
        moved = -u.T @ update @ vt.T / (rate * widening)
        assert np.all(np.diag(moved) > NEWTON_SCHULZ[0])
        assert np.all(np.diag(moved) < NEWTON_SCHULZ[1])
        np.testing.assert_allclose(moved - np.diag(np.diag(moved)), 0, atol=ROUNDED)
        np.testing.assert_allclose(u @ (u.T @ update), update, atol=ROUNDED)  # and along no other


def test_what_is_no_matrix_moves_by_adam(given):
    """Whose first step is the rate, by the sign; Nesterov's weights of it sum to 1.4737 at .9."""
    gradients, updates, rates = given
    first = (
        0.9 / (1 - 0.9**2) * (1 - 0.9)
    ) + 1.0  # beta m / (1 - beta^2) + g (1 - beta) / (1 - beta)
    expected = -rates[:, None] * first * np.sign(gradients["bias"])
    np.testing.assert_allclose(updates["bias"], expected, rtol=1e-4)


def test_every_run_sees_its_own_matrices(given):
    """Mapped over runs or alone, the same; a common scale would show that runs were mixed."""
    gradients, updates, rates = given
    for run in range(3):
        one = slice(run, run + 1)
        alone = first_updates(rates[one], jax.tree.map(lambda g, one=one: g[one], gradients))
        for name, update in updates.items():
            np.testing.assert_allclose(alone[name][0], update[run], rtol=1e-4, atol=1e-5)


def test_a_gradient_of_zero_moves_nothing():
    gradients = {"w": jnp.zeros((1, 3, 2)), "b": jnp.zeros((1, 2))}
    updates = first_updates(np.float32([RATE]), gradients)
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(updates))
