"""Continuous families against numpy, quadrature and plain loops."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import hermite_e
from scipy import integrate, stats

from plateaus.tasks.families.registry import Sizes, family
from plateaus.tasks.families.retrieval import fingerprints

D = 4
SIZES = Sizes(dimension=D, points=8, noise=0.7, hidden=3, leak=0.25)
X = np.random.default_rng(0).normal(size=(8, D)).astype(np.float32)


def _of_length(of_square, d):
    """E[f(|x|^2)] for x ~ N(0, I_d)."""
    density = stats.chi2(d).pdf
    return integrate.quad(lambda s: of_square(s) * density(s), 0, np.inf, limit=200)[0]


def _given_square(shape, s, power=1):
    """E[shape(t)^power] for t ~ N(0, s); split at 0, where a ReLU has its kink."""

    def inner(z):
        return shape(math.sqrt(s) * z) ** power * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    return sum(integrate.quad(inner, a, b)[0] for a, b in ((-12, 0), (0, 12)))


def _hermite(degree):
    powers = [1 / math.sqrt(math.factorial(k) * degree) if k else 0 for k in range(degree + 1)]
    return lambda t: hermite_e.hermeval(t, powers)


SHAPES = {
    "relu": lambda t: np.maximum(t, 0),
    "leaky_relu": lambda t: np.where(t > 0, t, 0.25 * t),
    "sine": np.sin,
    "sigmoid": lambda t: 1 / (1 + np.exp(-t)),
    "hermite_linear": _hermite(1),
    "hermite_quadratic": _hermite(2),
    "hermite_cubic": _hermite(3),
}


def _function(law, seed=0):
    """(parameters of one function, its signal at X, what is best without context), in float64."""

    @jax.jit
    def run():
        theta, x = law.parameters(jax.random.key(seed)), jnp.asarray(X)
        return theta, law.signal(theta, x), law.no_context(x)

    return jax.tree.map(np.float64, run())


@pytest.mark.parametrize("name", SHAPES)
def test_functions_of_one_dot_product(name):
    shape = SHAPES[name]
    w, signal, no_context = _function(family(name, SIZES))
    np.testing.assert_allclose(signal, shape(np.float64(X) @ w), rtol=2e-5, atol=2e-6)
    squares = np.sum(np.float64(X) ** 2, axis=1)
    means = [_given_square(shape, s) for s in squares]
    np.testing.assert_allclose(no_context, means, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SHAPES)
def test_losses_without_context_by_quadrature(name):
    """E[Var(y | x)] by trapezoidal sums over |x| and z (the kink of a ReLU at a node)."""
    shape, z = SHAPES[name], np.linspace(-12, 12, 2401)
    length = np.linspace(0, 14, 1401)
    y = shape(length[:, None] * z)
    weight = stats.norm.pdf(z) * (z[1] - z[0])
    lengths = stats.chi(D).pdf(length) * (length[1] - length[0])
    squared, mean = (y**2) @ weight, y @ weight
    loss = family(name, SIZES).no_context_loss
    np.testing.assert_allclose(loss, (squared - mean**2) @ lengths, rtol=1e-4)


def test_the_constants_of_the_papers():
    at_ten = Sizes(dimension=10)
    figures = {"linear": 10, "quadratic": 12, "sparse_linear": 3, "decision_tree": 1}
    for name, figure in figures.items():
        assert family(name, at_ten).no_context_loss == pytest.approx(figure, rel=1e-12)
    assert round(family("relu", at_ten).no_context_loss, 3) == 3.408
    assert round(family("leaky_relu", at_ten).no_context_loss, 3) == 5.852


def test_quadratic_and_net_against_loops():
    w, signal, _ = _function(family("quadratic", SIZES))
    right = [x @ w @ x / math.sqrt(D) for x in np.float64(X)]
    np.testing.assert_allclose(signal, right, rtol=1e-5, atol=1e-6)
    (w, a), signal, _ = _function(family("relu_net", SIZES))
    assert w.shape == (D, 3) and a.shape == (3,)
    right = [math.sqrt(2 / 3) * sum(a[j] * max(0, x @ w[:, j]) for j in range(3)) for x in X]
    np.testing.assert_allclose(signal, right, rtol=1e-5, atol=1e-6)


def _parameters(law, number):
    """Those of many functions."""
    draw = jax.vmap(law.parameters)
    run = jax.jit(lambda: draw(jax.random.split(jax.random.key(0), number)))
    return jax.device_get(run())


def test_a_sparse_function_has_so_many_uniform_coordinates():
    number = 4000
    w = _parameters(family("sparse_linear", SIZES), number)
    assert (np.sum(w != 0, axis=1) == 3).all()
    counts = np.sum(w != 0, axis=0)
    assert (abs(counts - 0.75 * number) < 4 * math.sqrt(number * 0.75 * 0.25)).all()
    assert stats.kstest(w[w != 0], "norm").pvalue > 1e-3


def test_noise_is_normal_and_fresh(prompts):
    drawn = prompts("noisy_linear", SIZES, 1000)
    noise, other = drawn.y - drawn.signal, drawn.again - drawn.signal
    assert stats.kstest(noise.ravel() / 0.7, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(noise.ravel(), other.ravel())[0, 1]) < 4 / math.sqrt(noise.size)


@pytest.mark.parametrize("depth", (1, 2, 4))
def test_a_tree_is_walked(depth):
    law = family("decision_tree", Sizes(dimension=D, tree_depth=depth))
    (coordinates, leaves), signal, _ = _function(law, depth)
    assert coordinates.shape == (2**depth - 1,) and leaves.shape == (2**depth,)
    right = []
    for x in X:
        low, high, node = 0, 2**depth, 0  # the leaves still possible
        while high - low > 1:
            middle, is_right = (low + high) // 2, x[int(coordinates[node])] > 0
            low, high = (middle, high) if is_right else (low, middle)
            node = 2 * node + (2 if is_right else 1)
        right.append(leaves[low])
    np.testing.assert_array_equal(signal, np.array(right))


def test_a_tree_s_coordinates_and_leaves_have_their_laws():
    law = family("decision_tree", Sizes(dimension=D))
    coordinates, leaves = _parameters(law, 500)
    counts = np.bincount(coordinates.ravel(), minlength=D)
    assert len(counts) == D and stats.chisquare(counts).pvalue > 1e-3
    assert stats.kstest(leaves.ravel(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("name", ("retrieval_gaussian", "retrieval_boolean"))
def test_retrieval_repeats_fresh_keys_with_their_values(name, answered):
    """Five points: three fresh. In context: a dictionary."""
    sizes = Sizes(dimension=D, points=5)
    drawn = answered(name, sizes, 1000)
    sources = []
    for x, y, said in zip(drawn.x, drawn.y, drawn.in_context, strict=True):
        table, right = {}, []
        for x_i, y_i in zip(x, y, strict=True):
            right.append(table.get(tuple(x_i), 0) * (20 if "boolean" in name else 1))
            assert table.setdefault(tuple(x_i), y_i) == y_i
        assert len(table) <= 3 and tuple(x[3]) in list(table)[:3]
        sources += [list(table).index(tuple(x_i)) for x_i in x[3:]] if len(table) == 3 else []
        np.testing.assert_allclose(said, right, rtol=1e-6)
    assert stats.chisquare(np.bincount(sources, minlength=3)).pvalue > 1e-3
    fresh = drawn.y[:, 0]
    if "boolean" in name:
        assert abs(np.sum(fresh)) < 4 * math.sqrt(1000)
    else:
        assert stats.kstest(fresh, "norm").pvalue > 1e-3
        assert len(np.unique(drawn.x[:, :3].reshape(-1, D), axis=0)) == 3000


def test_fingerprints_tell_points_apart():
    signs = 2.0 * ((np.arange(2**14)[:, None] >> np.arange(14)) & 1) - 1.0
    normal = np.random.default_rng(0).normal(size=(2**14, 14))
    of = jax.jit(fingerprints)
    for x in (signs, normal):
        # a birthday in 2^32: 0.03 pairs expected
        assert len(np.unique(of(np.float32(x)))) >= 2**14 - 1
    # operation by operation: compiled, x + 0 becomes x
    assert fingerprints(jnp.array([[0.0]])) == fingerprints(jnp.array([[-0.0]]))


@pytest.mark.parametrize("name", ("hermite_quadratic", "relu", "leaky_relu"))
def test_teachers_say_what_is_best_without_context(name):
    law, teacher = family(name, SIZES), family(f"no_context_{name}", SIZES)

    @jax.jit
    def run(x, other):
        best = law.no_context(x)
        values, known = teacher.values(None, (), x), teacher.in_context(x, best)
        return best, values, known, teacher.no_context(x), law.no_context(other)[0]

    other = np.float32([[2.0, 0.0, 0.0, 0.0]])
    best, values, known, without, unit = jax.device_get(run(X, other))
    np.testing.assert_array_equal(values, best)
    np.testing.assert_array_equal(known, best)
    unit = float(unit)
    said = {
        "hermite_quadratic": lambda s: (s - 1) / 2,
        "relu": lambda s: unit / 2 * math.sqrt(s),
        "leaky_relu": lambda s: unit / 2 * math.sqrt(s),
    }[name]
    mean = _of_length(said, D)
    np.testing.assert_allclose(without, np.full(8, mean), rtol=1e-5)
    variance = _of_length(lambda s: (said(s) - mean) ** 2, D)
    np.testing.assert_allclose(teacher.no_context_loss, variance, rtol=1e-5)
