"""Out-of-distribution prompts, each against its definition, in numpy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.random import clone

from plateaus.tasks.laws import linear_regression as lr
from plateaus.tasks.shared import out_of_distribution
from plateaus.types import Example

MANY, N, D = 2000, 7, 4
LAWS = out_of_distribution.OUT_OF_DISTRIBUTION
FACTORS = {"third": 1 / 3, "half": 0.5, "double": 2.0, "triple": 3.0}


SHAPES = (  # (law, n, d) of what is looked at
    *((name, N, D) for name, law in LAWS.items() if law.query),
    *(("orthogonal_query", n, D) for n in (3, 4)),
    *(("half_subspace", N, d) for d in (4, 5)),
)


def points(inputs):
    """(x, y) of tokens x_1, (y_1, 0, ..), x_2, .."""
    return inputs[:, 0::2], inputs[:, 1::2, 0]


@functools.cache
def every():
    """(law, n, d) -> points of many prompts, and the normals they are made of."""
    whole = np.asarray(jax.jit(lambda: jax.random.normal(jax.random.key(1), (MANY, N, D + 1)))())
    normals = [whole[:, :n, :d] for _, n, d in SHAPES]

    @jax.jit
    def run(normals):
        keys, found = jax.random.split(jax.random.key(2), MANY), zip(SHAPES, normals, strict=True)
        return [jax.vmap(LAWS[name].points)(clone(keys), z) for (name, *_), z in found]

    return dict(zip(SHAPES, zip(run(normals), normals, strict=True), strict=True))


def drawn(name, n=N, d=D):
    x, z = every()[name, n, d]
    return np.float64(x), np.float64(z)


def test_quadrants():
    for name in ("random_quadrants", "opposite_quadrants"):
        x, z = drawn(name)
        np.testing.assert_array_equal(np.abs(x), np.abs(z))
        signs = np.sign(x[:, 0])
        np.testing.assert_array_equal(np.sign(x[:, :-1]), np.repeat(signs[:, None], N - 1, 1))
        counts = np.unique(signs, axis=0, return_counts=True)[1]
        assert counts.size == 2**D  # each orthant equally often
        assert np.abs(counts - MANY / 2**D).max() < 5 * np.sqrt(MANY / 2**D)
        query = np.sign(x[:, -1]) * signs
        if name == "opposite_quadrants":
            assert (query == -1).all()
        else:
            np.testing.assert_array_equal(x[:, -1], z[:, -1])
            assert abs((query == 1).all(axis=1).mean() - 2.0**-D) < 0.02


@pytest.mark.parametrize("n", [3, 4, 7])
def test_an_orthogonal_query(n):
    """Also where there are more points than dimensions: the query then is the d-th."""
    x, z = drawn("orthogonal_query", n)
    place = out_of_distribution.last_with_room(n, D)
    assert place == min(n, D) - 1
    cosines = np.einsum("pd,pnd->pn", x[:, place], x[:, :place])
    cosines /= np.linalg.norm(x[:, place], axis=1)[:, None] * np.linalg.norm(x[:, :place], axis=2)
    assert np.abs(cosines).max() < 1e-5
    norms = (np.linalg.norm(a[:, place], axis=1) for a in (x, z))
    np.testing.assert_allclose(*norms, rtol=1e-5)
    others = np.arange(n) != place
    np.testing.assert_array_equal(x[:, others], z[:, others])


def test_an_overlapping_query():
    x, z = drawn("overlapping_query")
    np.testing.assert_array_equal(x[:, :-1], z[:, :-1])
    same = (x[:, -1:] == x[:, :-1]).all(axis=2)
    assert (same.sum(axis=1) == 1).all()
    assert np.abs(same.sum(axis=0) - MANY / (N - 1)).max() < 5 * np.sqrt(MANY / (N - 1))


@pytest.mark.parametrize("d", [4, 5])
def test_half_a_subspace(d):
    x, _ = drawn("half_subspace", N, d)
    spectrum = np.linalg.svd(x, compute_uv=False)
    assert (spectrum[:, d // 2 :] < 1e-5 * spectrum[:, :1]).all()
    assert (spectrum[:, d // 2 - 1] > 1e-3 * spectrum[:, 0]).mean() > 0.99
    squares = (x**2).sum(axis=2)
    assert abs(squares.mean() - d) < 5 * squares.mean(axis=1).std() / MANY**0.5
    second = np.einsum("pnd,pne->de", x, x) / (MANY * N)  # subspaces of all directions
    assert np.abs(second - np.eye(d)).max() < 0.15


def test_a_skewed_covariance():
    """Of long prompts, whose covariance is read off; the axes are others in every prompt."""

    @jax.jit
    def run():
        z = jax.random.normal(jax.random.key(1), (20, 20_000, D))
        return jax.vmap(out_of_distribution.skewed)(jax.random.split(jax.random.key(2), 20), z)

    x = np.float64(run())
    covariance = np.einsum("pnd,pne->pde", x, x) / x.shape[1]
    found = np.linalg.eigvalsh(covariance)[:, ::-1]
    wanted = 1 / np.arange(1, D + 1) ** 2.0
    wanted *= D / wanted.sum()
    np.testing.assert_allclose(found, np.tile(wanted, (20, 1)), rtol=0.06)
    first = np.linalg.eigh(covariance)[1][:, :, -1]
    assert np.abs(first @ first.T - np.eye(20)).min() < 0.1


NOISELESS = ("x_third", "x_triple", "y_half", "y_triple", "skewed", "random_quadrants")
NOISY = (*(f"x_{name}" for name in FACTORS), "noisy", "y_triple")


def regression(noise):
    return lr.linear_regression(
        lr.Spec(dimension=D, points=N, noise=noise, prior_scale=1.5, out_of_distribution=True)
    )


@functools.cache
def sampled():
    """(law, noise) -> (x, y) of many prompts of the law, through the task."""
    chosen = {(name, 0.0): regression(0.0) for name in NOISELESS}
    chosen |= {(name, 0.5): regression(0.5) for name in NOISY}

    @jax.jit
    def emit():
        keys = jax.random.split(jax.random.key(3), MANY)  # all laws': what they share is drawn once
        return [
            jax.vmap(task.laws[name].emit, (0, None, None))(clone(keys), (), 0)
            for (name, _), task in chosen.items()
        ]

    return dict(zip(chosen, jax.device_get(emit()), strict=True))


def test_every_law_is_there_and_its_y_are_of_a_fresh_gaussian_w():
    """Noiseless: one w fits a whole prompt, c times a Gaussian of the prior's covariance."""
    task, found = regression(0.0), sampled()
    assert set(task.laws) == set(LAWS) and len(task.laws) == 15
    for name in NOISELESS:
        x, y = (np.float64(a) for a in points(found[name, 0.0].inputs))
        np.testing.assert_array_equal(y, np.float64(found[name, 0.0].targets))
        w = np.stack([np.linalg.lstsq(a, b, rcond=None)[0] for a, b in zip(x, y, strict=True)])
        assert np.abs(np.einsum("pnd,pd->pn", x, w) - y).max() < 1e-4
        scale = 1.5 * LAWS[name].scale_y
        covariance = w.T @ w / MANY / scale**2
        assert np.abs(covariance - np.eye(D)).max() < 5 * (2 / MANY) ** 0.5, name


def test_scales_and_noise():
    found = sampled()
    for name, factor in FACTORS.items():
        x, _ = points(found[f"x_{name}", 0.5].inputs)
        assert LAWS[f"y_{name}"].scale_y == factor
        assert abs(np.float64(x).std() / factor - 1) < 5 / np.sqrt(2 * x.size)
    for name, variance in (("noisy", 1.25), ("x_double", 0.25), ("y_triple", 0.25)):
        x, y = (np.float64(a) for a in points(found[name, 0.5].inputs))
        left = [np.linalg.lstsq(a, b, rcond=None)[1] for a, b in zip(x, y, strict=True)]
        mean = np.mean(left) / (N - D)  # the residuals have n - d degrees of freedom
        assert abs(mean / variance - 1) < 5 * (2 / (MANY * (N - D))) ** 0.5, name


def test_where_one_position_counts_no_other_is_measured():
    task = regression(0.5)
    queries = {name: law.query(N, D) for name, law in LAWS.items() if law.query is not None}
    for name in LAWS:
        measures = task.laws[name].measures
        assert measures is None if name not in queries else list(measures) == ["loss"]

    @jax.jit
    def run(y):
        example, found = Example((), y), {}
        for name, place in queries.items():
            measure = task.laws[name].measures["loss"]
            found[name] = [measure(y.at[at].add(3.0), example) for at in (place, place - 1)]
        return found

    found = run(np.random.default_rng(0).standard_normal(N).astype(np.float32))
    assert len(found) == 4
    for at_query, before in found.values():
        assert abs(float(at_query) - 9.0) < 1e-4
        assert float(before) == 0.0


def test_what_is_known_of_a_query():
    """Nothing of an orthogonal one, all of an overlapping one, by the minimum-norm solution."""
    spec = lr.Spec(dimension=D, points=N, noise=0.0, out_of_distribution=True, baselines=True)
    task = lr.linear_regression(spec)

    @jax.jit
    def losses():
        out, world = {}, task.init(jax.random.key(0))
        keys = jax.random.split(jax.random.key(4), (2, 200))
        for own, name in zip(keys, ("orthogonal_query", "overlapping_query"), strict=True):
            law = task.laws[name]
            batch = jax.vmap(law.emit, (0, None, None))(own, world, 0)
            said = task.predictors(world, batch, lr.Knobs(), lambda i: jnp.zeros(i.shape))
            for one in ("zero", "least_squares", "nearest_neighbours", "averaging"):
                out[name, one] = jnp.mean(jax.vmap(law.measures["loss"])(said[one], batch))
        return out

    found = losses()
    orthogonal, zero = (found["orthogonal_query", p] for p in ("least_squares", "zero"))
    assert abs(orthogonal / zero - 1) < 1e-3 and zero > 1.0
    assert found["overlapping_query", "least_squares"] < 1e-6 < found["overlapping_query", "zero"]
