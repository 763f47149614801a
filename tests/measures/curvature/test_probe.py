"""The ends of a spectrum against dense eigenvalues, and against spectra that were chosen."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from plateaus.measures.curvature import probe as sharpness
from plateaus.models.networks import mlp, transformer


def matrix_of(values, seed=0):
    """A dense symmetric matrix with this spectrum."""
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    return turned @ np.diag(values) @ turned.T


@jax.jit
def of_quadratic(matrix):
    def loss(w, scale):
        return scale * jnp.dot(w, matrix @ w) / 2

    scales = jnp.array([0.5, 1.5])
    return sharpness.of_batches(jax.random.key(0), loss, jnp.ones(len(matrix)), scales, 30)


@pytest.mark.parametrize(
    "values",
    [
        [*np.linspace(0, 1, 60), 4.0],
        [-9.0, *np.linspace(-1, 1, 60), 4.0],  # a power iteration would find -9
        [-9.0, *np.linspace(-5, -1, 60)],  # nothing positive
        [1e6, *np.linspace(0, 100, 60)],
        [*np.linspace(1e-9, 1e-8, 60), 1e-7],
    ],
    ids=("positive", "negative larger", "negative", "large", "small"),
)
def test_both_ends_of_a_quadratic(values):
    found = of_quadratic(matrix_of(values).astype(np.float32))
    size = max(map(abs, values))
    assert float(found["sharpness"]) == pytest.approx(max(values), abs=2e-3 * size)
    assert float(found["sharpness_lowest"]) == pytest.approx(min(values), abs=2e-3 * size)
    gradient = np.linalg.norm(matrix_of(values) @ np.ones(len(values)))
    assert float(found["gradient_norm"]) == pytest.approx(gradient, rel=1e-4)


@functools.partial(jax.jit, static_argnums=1)
def of_diagonal(values, steps):
    return sharpness.extremes(jax.random.key(0), lambda v: values * v, values, steps)


@pytest.mark.parametrize("values", [[-3.0, -2.0, -1.0], [5.0, 5.0, 5.0], [0.0, 0.0], [2.0]])
def test_more_steps_than_there_are_directions(values):
    """What is exhausted adds no eigenvalue: neither a 0 nor anything beyond the ends."""
    low, high = of_diagonal(np.float32(values), 40)
    assert float(low) == pytest.approx(min(values), abs=1e-5)
    assert float(high) == pytest.approx(max(values), abs=1e-5)


def test_what_is_not_finite_is_told():
    low, high = of_diagonal(np.full(4, np.nan, np.float32), 3)
    assert np.isnan(low) and np.isnan(high)


MODELS = {
    "mlp": (mlp.mlp(mlp.Spec(width=5, depth=1), 3), (3,)),
    "transformer": (
        transformer.transformer(
            transformer.Spec(width=4, depth=1, heads=2, max_positions=4, attention_only=True),
            inputs=3,
        ),
        (4, 3),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_against_the_dense_hessian_of_a_network(name):
    model, shape = MODELS[name]
    rng = np.random.default_rng(4)
    params = jax.tree_util.tree_map_with_path(
        lambda path, x: rng.normal(5 if path[-1].key == "scale" else 0.1, 0.2, x.shape).astype(
            np.float32
        ),
        jax.eval_shape(model.init, jax.random.key(1)),
    )
    inputs = rng.standard_normal((2, 3, *shape)).astype(np.float32)  # 2 batches of 3
    targets = rng.standard_normal((2, 3, *shape[:-1])).astype(np.float32)
    pooled = (inputs.reshape(6, *shape), targets.reshape(6, *shape[:-1]))

    def loss(params, batch):
        return jnp.mean((model.apply(params, batch[0])[0] - batch[1]) ** 2)

    @jax.jit
    def both(params, batches, pooled):
        found = sharpness.of_batches(jax.random.key(0), loss, params, batches, 40)
        flat, back = ravel_pytree(params)

        def gradient(w):
            slopes = jax.grad(lambda w: loss(back(w), pooled))(w)
            return slopes, slopes

        return found, *jax.jacfwd(gradient, has_aux=True)(flat)

    found, hessian, gradient = both(params, (inputs, targets), pooled)
    dense = np.linalg.eigvalsh(np.asarray(hessian, np.float64))
    assert float(found["sharpness"]) == pytest.approx(dense[-1], rel=1e-3)
    assert float(found["sharpness_lowest"]) == pytest.approx(dense[0], rel=1e-2)
    assert float(found["gradient_norm"]) == pytest.approx(np.linalg.norm(gradient), rel=1e-4)
