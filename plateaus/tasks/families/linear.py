"""Families that are linear in their parameters: linear, noisy, sparse and quadratic functions."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from plateaus.tasks.families.family import Family, Sizes, require
from plateaus.tasks.families.inputs import InputLaw
from plateaus.tasks.shared.predictors import ridge, ridge_evidence
from plateaus.types import EXACT, Array, Float, Key

MOST_SUPPORTS = 500  # that the predictor of sparse functions tells apart
_STIFFNESS = 1e-4  # sigma that stands for 0: far above float32's residuals, far below any weight


def zeros(x: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Return 0 for every point: the best prediction without context of a law symmetric in y.

    >>> zeros(jnp.ones((2, 3))).tolist()
    [0.0, 0.0]
    """
    return jnp.zeros_like(x[:, 0])


def dots(w: Float[Array, " d"], x: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Return w.x at each point.

    >>> jax.jit(dots)(jnp.array([1.0, 2.0]), jnp.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [1.0, 2.0]
    """
    return jnp.dot(x, w, precision=EXACT)


def subset(key: Key, dimension: int, size: int) -> Float[Array, " d"]:
    """Draw a uniform subset of so many coordinates: 1 within, 0 without.

    >>> float(jax.jit(subset, static_argnums=(1, 2))(jax.random.key(0), 10, 3).sum())
    3.0
    """
    return jax.random.permutation(key, (jnp.arange(dimension) < size).astype(jnp.float32))


def linear(sizes: Sizes, law: InputLaw) -> Family:
    """y = w.x with w ~ N(0, I); without context 0, with loss E|x|^2; in context least squares.

    Source: paper 2, its task "linear regression"; Garg et al. 2022.

    >>> from plateaus.tasks.families.inputs import gaussian
    >>> linear(Sizes(), gaussian(10)).no_context_loss
    10.0
    """

    def parameters(key):
        return jax.random.normal(key, (sizes.dimension,))

    def in_context(x, y):
        return ridge(x, y, 0.0, jnp.eye(sizes.dimension))

    return Family(
        parameters=parameters,
        signal=dots,
        inputs=law.inputs,
        init=law.init,
        no_context=zeros,
        no_context_loss=law.moments[0],
        in_context=in_context,
    )


def noisy_linear(sizes: Sizes, law: InputLaw) -> Family:
    r"""y = w.x + sigma e with w ~ N(0, I), e ~ N(0, 1); in context ridge regression.

    The error cannot fall below sigma^2: it is learned with a tenth of what it can fall by to go.

    Source: Garg et al. 2022, noisy linear regression.

    >>> from plateaus.tasks.families.inputs import gaussian
    >>> noisy_linear(Sizes(noise=0.5), gaussian(10)).no_context_loss
    10.25
    """
    clean = linear(sizes, law)
    loss = clean.no_context_loss + sizes.noise**2

    def noisy(key, theta, x):
        y = dots(theta, x)
        return y + sizes.noise * jax.random.normal(key, y.shape)

    def in_context(x, y):
        return ridge(x, y, sizes.noise, jnp.eye(sizes.dimension))

    floor = sizes.noise**2 / loss
    return clean._replace(
        noisy=noisy,
        no_context_loss=loss,
        in_context=in_context,
        learned_below=floor + 0.1 * (1 - floor),
    )


def sparse_linear(sizes: Sizes, law: InputLaw) -> Family:
    """y = w.x with w ~ N(0, I) on a uniform subset of k = `sparse` coordinates, 0 elsewhere.

    In context: the posterior mean, a mixture over the C(d, k) supports, for at most
    `MOST_SUPPORTS` of them. Within a support it is ridge regression with sigma = 1e-4, standing
    for 0: from k + 1 points on, a wrong support misses by far more than that.

    Source: paper 2, its task "sparse linear regression": exactly 3 coordinates of w kept.

    >>> from plateaus.tasks.families.inputs import gaussian
    >>> sparse_linear(Sizes(), gaussian(10)).no_context_loss
    3.0
    """
    d, k = sizes.dimension, sizes.sparse
    require(1 <= k <= d, "sparse", k, f"must be at most dimension ({d})")
    supports = None
    if math.comb(d, k) <= MOST_SUPPORTS:
        supports = np.array(list(itertools.combinations(range(d), k)), np.int32)

    def parameters(key):
        key_support, key_weights = jax.random.split(key)
        return subset(key_support, d, k) * jax.random.normal(key_weights, (d,))

    def in_context(x, y):
        def within(support):
            return ridge_evidence(x[:, support], y, _STIFFNESS, jnp.eye(k))

        predictions, log_evidence = jax.vmap(within)(jnp.asarray(supports))
        return jnp.sum(jax.nn.softmax(log_evidence, axis=0) * predictions, axis=0)

    return linear(sizes, law)._replace(
        parameters=parameters,
        no_context_loss=k / d * law.moments[0],
        in_context=None if supports is None else in_context,
    )


def squares(x: Float[Array, "n d"]) -> Float[Array, "n m"]:
    r"""Return the m = d (d+1) / 2 features in which x^T W x is linear with unit-variance weights.

    They are $x_i^2$ and $\sqrt 2 x_i x_j$, i < j, over $\sqrt d$: W_ij and W_ji are only seen
    through their sum, of variance 2.

    >>> [round(float(v) * 2**0.5, 4) for v in jax.jit(squares)(jnp.array([[1.0, 3.0]]))[0]]
    [1.0, 4.2426, 9.0]
    """
    d = x.shape[1]
    i, j = np.triu_indices(d)
    scale = np.where(i == j, 1.0, np.sqrt(2.0)) / np.sqrt(d)
    return x[:, i] * x[:, j] * jnp.asarray(scale, x.dtype)[None, :]


def quadratic(sizes: Sizes, law: InputLaw) -> Family:
    r"""$y = x^T W x / \sqrt d$ with all W_ij ~ N(0, 1); without context 0, with loss E|x|^4 / d.

    In context: least squares in the features `squares`.

    Source: paper 2, its task "quadratic regression"; learned below 0.2, as its released code has.

    >>> from plateaus.tasks.families.inputs import gaussian
    >>> quadratic(Sizes(), gaussian(10)).no_context_loss
    12.0
    """
    d = sizes.dimension

    def parameters(key):
        return jax.random.normal(key, (d, d))

    def signal(theta, x):
        return jnp.sum(jnp.dot(x, theta, precision=EXACT) * x, axis=1) / math.sqrt(d)

    def in_context(x, y):
        return ridge(squares(x), y, 0.0, jnp.eye(d * (d + 1) // 2))

    return linear(sizes, law)._replace(
        parameters=parameters,
        signal=signal,
        no_context_loss=law.moments[1] / d,
        in_context=in_context,
        learned_below=0.2,
    )
