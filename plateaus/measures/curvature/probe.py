"""The curvature of a loss: the ends of its Hessian's spectrum, from products with vectors only."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from plateaus.trees import dot, norm
from plateaus.types import Array, Float, Key, PyTree

BREAKDOWN = 1e-6  # of the largest entry: below it a residual is rounding


def tridiagonal(
    key: Key, product: Callable[[PyTree], PyTree], like: PyTree, steps: int
) -> tuple[Float[Array, " k"], Float[Array, " k-1"]]:
    r"""Return the diagonal and off-diagonal of T after k steps of Lanczos from a random vector.

    $\beta_{j+1} v_{j+1} = A v_j - \alpha_j v_j - \beta_j v_{j-1}$, of a symmetric A given by its
    products with vectors like `like`. Only three vectors are held: nothing is orthogonalised again,
    since what is lost by that repeats eigenvalues of T that have converged and moves none beyond
    the ends of A's spectrum. Where the vectors are exhausted, what remains of the diagonal is its
    first entry, which lies between the ends found.

    Source: Golub and Van Loan, Matrix Computations, 10.1 and 10.3; Paige 1980.
    """
    leaves, structure = jax.tree.flatten(like)
    keys = jax.random.split(key, len(leaves))
    start = jax.tree.unflatten(
        structure,
        [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)],
    )
    length = norm(start)
    first = jax.tree.map(lambda x: (x / length).astype(x.dtype), start)

    def step(carry, number):
        before, now, beta, opening, largest, going = carry
        image = product(now)
        along = dot(now, image)
        rest = jax.tree.map(lambda a, v, u: a - along * v - beta * u, image, now, before)
        again = dot(now, rest)  # what rounding has left along it
        rest = jax.tree.map(lambda r, v: r - again * v, rest, now)
        size = norm(rest)
        opening = jnp.where(number == 0, along, opening)
        alpha = jnp.where(going, along, opening)
        largest = jnp.maximum(largest, jnp.maximum(jnp.abs(alpha), size))
        going &= ~(size <= BREAKDOWN * largest)  # a NaN goes on, and shows
        beta = jnp.where(going, size, 0.0)
        scale = 1 / jnp.where(going, size, 1.0)
        after = jax.tree.map(lambda r, v: jnp.where(going, r * scale, v).astype(v.dtype), rest, now)
        return (now, after, beta, opening, largest, going), (alpha, beta)

    zero = jnp.float32(0.0)
    none = jax.tree.map(jnp.zeros_like, first)
    carry = (none, first, zero, zero, zero, jnp.bool_(True))
    _, (alphas, betas) = jax.lax.scan(step, carry, jnp.arange(steps))
    return alphas, betas[:-1]


def extremes(
    key: Key, product: Callable[[PyTree], PyTree], like: PyTree, steps: int
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""Return estimates of the smallest and the largest eigenvalue of a symmetric A.

    Both from inside the spectrum: the largest is the largest *positive* one also where the most
    negative is larger in size, for which a power iteration would go. Separated ends converge within
    some 20 steps.

    >>> values = jnp.array([-5.0, 0.0, 1.0, 2.0])
    >>> ends = jax.jit(lambda key: extremes(key, lambda v: values * v, values, steps=4))
    >>> low, high = ends(jax.random.key(0))
    >>> round(float(low), 3), round(float(high), 3)
    (-5.0, 2.0)
    """
    alphas, betas = tridiagonal(key, product, like, steps)
    matrix = jnp.diag(alphas) + jnp.diag(betas, 1) + jnp.diag(betas, -1)
    eigenvalues = jnp.linalg.eigvalsh(matrix)
    return eigenvalues[0], eigenvalues[-1]


def of_batches(
    key: Key, loss: Callable[[PyTree, PyTree], Array], params: PyTree, many: PyTree, steps: int
) -> dict[str, Float[Array, ""]]:
    r"""Return what the mean loss over N batches is like about the parameters.

    `sharpness`: the largest eigenvalue of its Hessian, `sharpness_lowest`: the smallest, by `steps`
    products $H v = \partial_\epsilon \nabla L(\theta + \epsilon v)$; `gradient_norm`:
    $\lVert \nabla L \rVert_2$. `many` has an axis N on every leaf; one batch is held at a time.

    Source: Cohen et al. 2021 (arXiv 2103.00065), section 2, for the word.

    >>> measured = of_batches(
    ...     jax.random.key(0), lambda w, x: x * w**2, jnp.float32(3.0), jnp.array([1.0, 3.0]), 1
    ... )
    >>> {name: float(value) for name, value in measured.items()}  # 2 w^2, from its 2nd derivative
    {'sharpness': 4.0, 'sharpness_lowest': 4.0, 'gradient_norm': 12.0}
    """

    batches = jax.tree.leaves(many)[0].shape[0]

    def mean(of_batch: Callable[[PyTree], PyTree]) -> PyTree:
        """Return the mean over batches of something shaped like the parameters."""

        def add(total: PyTree, batch: PyTree) -> tuple[PyTree, None]:
            return jax.tree.map(lambda a, b: a + b / batches, total, of_batch(batch)), None

        return jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), many)[0]

    def product(vector: PyTree) -> PyTree:
        return mean(
            lambda batch: jax.jvp(lambda p: jax.grad(loss)(p, batch), (params,), (vector,))[1]
        )

    gradient = mean(lambda batch: jax.grad(loss)(params, batch))
    lowest, largest = extremes(key, product, params, steps)
    return {"sharpness": largest, "sharpness_lowest": lowest, "gradient_norm": norm(gradient)}
