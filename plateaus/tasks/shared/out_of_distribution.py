"""Prompts out of distribution: other laws of the points, of their scale and of the noise.

A prompt of a linear task has all its prefixes at once: position i asks for y_i, given the points
before it. A law under which every x_i is drawn alike (in a subspace, skewed, scaled) can hold for
all prefixes together, and all positions count. A law of how the *query* lies to the points before
it cannot: were every x_i orthogonal to all before, the points themselves would be an orthogonal
family. Such a prompt has one query, at `query(n, d)`, and only what is predicted there counts.
(Garg et al. draw a separate prompt for every prefix length: here, one with a smaller n.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from plateaus.tasks.shared.points import pack
from plateaus.types import EXACT, Array, Example, Float, Key, OtherLaw, Scalar


class PromptLaw(NamedTuple):
    r"""How a prompt is made: x from independent normals z, then $y = c w^T x + \sigma e$.

    Fields:
      points: (key, z [n, d]) -> x [n, d]; by default z itself.
      scale_y: c.
      noise: sigma, of noise on top of the noise of the task.
      query: (n, d) -> the only position that counts; None: all positions do.
    """

    points: Callable[..., Array] = lambda key, z: z
    scale_y: float = 1.0
    noise: float = 0.0
    query: Callable[[int, int], int] | None = None


def last(n: int, d: int) -> int:
    """Return the last position, n - 1."""
    return n - 1


def last_with_room(n: int, d: int) -> int:
    """Return the last position before which the points leave a direction free.

    >>> last_with_room(10, 5), last_with_room(3, 5)
    (4, 2)
    """
    return min(n, d) - 1


def random_quadrants(key: Key, z: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Put the points into one random orthant; the query, the last point, is as drawn.

    The query lies in another orthant with probability 1 - 2^-d.

    Source: Garg et al. 2022 (arXiv 2208.01066), section 3.2, "different orthants".

    >>> z = jnp.array([[1.0], [-2.0], [3.0], [-4.0]])
    >>> x = jax.jit(random_quadrants)(jax.random.key(0), z)
    >>> sorted({float(s) for s in jnp.sign(x[:3, 0])}) in ([-1.0], [1.0]), float(x[3, 0])
    (True, -4.0)
    """
    signs = jax.random.rademacher(key, (1, z.shape[1]), z.dtype)
    return jnp.concatenate([signs * jnp.abs(z[:-1]), z[-1:]])


def opposite_quadrants(key: Key, z: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Put the points into one random orthant and the query, the last point, into the opposite one.

    Source: the released code of Garg et al. 2022, which has it beside `random_quadrants`.

    >>> x = jax.jit(opposite_quadrants)(jax.random.key(0), jnp.array([[1.0], [-2.0], [3.0]]))
    >>> float(x[2, 0] * x[0, 0]), float(x[1, 0] * x[0, 0])
    (-3.0, 2.0)
    """
    signs = jax.random.rademacher(key, (1, z.shape[1]), z.dtype)
    return jnp.concatenate([signs * jnp.abs(z[:-1]), -signs * jnp.abs(z[-1:])])


def orthogonal_query(key: Key, z: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Turn the query, at `last_with_room`, orthogonal to all points before; its length is as drawn.

    Nothing can be known of its y: 0 is the best prediction. Later points are as drawn.

    Source: Garg et al. 2022 (arXiv 2208.01066), section 3.2, "orthogonal"; the length: their code.

    >>> jax.jit(orthogonal_query)(jax.random.key(0), jnp.array([[2.0, 0.0], [3.0, 4.0]])).tolist()
    [[2.0, 0.0], [0.0, 5.0]]
    """
    place = last_with_room(*z.shape)
    if place == 0:
        return z
    basis, _ = jnp.linalg.qr(z[:place].T)  # [d, place]
    query = z[place]
    for _ in range(2):  # once more removes what rounding has left
        query = query - jnp.dot(basis, jnp.dot(query, basis, precision=EXACT), precision=EXACT)
    query = query * (jnp.linalg.norm(z[place]) / jnp.linalg.norm(query))
    return z.at[place].set(query)


def overlapping_query(key: Key, z: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Make the query, the last point, equal to one of the points before, drawn uniformly.

    Its y has been given, up to noise. A prompt of one point is as drawn.

    Source: Garg et al. 2022 (arXiv 2208.01066), section 3.2, "query matches in-context example".

    >>> jax.jit(overlapping_query)(jax.random.key(0), jnp.array([[2.0], [2.0], [7.0]])).tolist()
    [[2.0], [2.0], [2.0]]
    """
    if z.shape[0] == 1:
        return z
    return z.at[-1].set(z[jax.random.randint(key, (), 0, z.shape[0] - 1)])


def _rotation(key: Key, d: int) -> Float[Array, "d d"]:
    """Return an orthogonal matrix, uniform but for the signs of its columns."""
    return jnp.linalg.qr(jax.random.normal(key, (d, d)))[0]


def half_subspace(key: Key, z: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Confine all points of a prompt to a random subspace of dimension d // 2, with E|x|^2 = d.

    Source: Garg et al. 2022 (arXiv 2208.01066), section 3.2; the scale: their code. There one
    subspace serves all prompts of an evaluation; here each prompt draws one.

    >>> z = jax.random.normal(jax.random.key(1), (9, 4))
    >>> x = jax.jit(half_subspace)(jax.random.key(0), z)
    >>> int(jnp.linalg.matrix_rank(x, rtol=1e-5))
    2
    """
    d = z.shape[1]
    half = max(d // 2, 1)
    basis = _rotation(key, d)[:, :half]
    return (d / half) ** 0.5 * jnp.dot(z[:, :half], basis.T, precision=EXACT)


def skewed(key: Key, z: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Give x a covariance with eigenvalues proportional to 1 / k^2, k = 1 .. d, and trace d.

    The axes are random, drawn for each prompt.

    Source: Garg et al. 2022 (arXiv 2208.01066), section 3.2; the trace: their code.

    >>> jax.jit(skewed)(jax.random.key(0), jnp.ones((3, 4))).shape
    (3, 4)
    """
    d = z.shape[1]
    roots = 1.0 / jnp.arange(1.0, d + 1.0)
    roots = roots * jnp.sqrt(d / jnp.sum(jnp.square(roots)))
    return jnp.dot(z * roots[None, :], _rotation(key, d).T, precision=EXACT)


def scaled(factor: float) -> Callable[[Key, Array], Array]:
    """Return the law x = factor z.

    >>> scaled(3.0)(jax.random.key(0), jnp.ones((1, 2))).tolist()
    [[3.0, 3.0]]
    """
    return lambda key, z: factor * z


_FACTORS = {"third": 1 / 3, "half": 1 / 2, "double": 2.0, "triple": 3.0}

OUT_OF_DISTRIBUTION = {  # name -> law, as Garg et al. evaluate
    "half_subspace": PromptLaw(half_subspace),
    "skewed": PromptLaw(skewed),
    **{f"x_{name}": PromptLaw(scaled(factor)) for name, factor in _FACTORS.items()},
    **{f"y_{name}": PromptLaw(scale_y=factor) for name, factor in _FACTORS.items()},
    "noisy": PromptLaw(noise=1.0),  # Garg et al. then scale y back to its variance without noise
    "random_quadrants": PromptLaw(random_quadrants, query=last),
    "opposite_quadrants": PromptLaw(opposite_quadrants, query=last),
    "orthogonal_query": PromptLaw(orthogonal_query, query=last_with_room),
    "overlapping_query": PromptLaw(overlapping_query, query=last),
}


def other_laws(
    laws: Mapping[str, PromptLaw], shape: tuple[int, int], prior_scale: Scalar, noise: float
) -> dict[str, OtherLaw]:
    r"""Return the laws of prompts of (n, d) = `shape` with $w \sim N(0, \tau^2 I)$, fresh each.

    Where one position counts, the loss there is all that is measured.

    >>> law = other_laws({"far": PromptLaw(scaled(9.0))}, (3, 2), 1.0, 0.0)["far"]
    >>> jax.jit(law.emit)(jax.random.key(0), (), 0).inputs.shape
    (6, 2)
    """
    n, d = shape

    def other(law: PromptLaw) -> OtherLaw:
        spread = (noise**2 + law.noise**2) ** 0.5

        def emit(key: Key, world: object, number: object) -> Example:
            key_task, key_prompt, key_law = jax.random.split(key, 3)
            w = prior_scale * jax.random.normal(key_task, (d,))
            draws = jax.random.normal(key_prompt, (n, d + 1))
            x = law.points(key_law, draws[:, :-1])
            signal = law.scale_y * jnp.dot(x, w, precision=EXACT)
            y = signal + spread * draws[:, -1]
            return Example(pack(x, y), y)

        if law.query is None:
            return OtherLaw(emit)
        place = law.query(n, d)

        def query_loss(prediction: Array, example: Example) -> Array:
            return jnp.square(prediction[place] - example.targets[place])

        return OtherLaw(emit, {"loss": query_loss})

    return {name: other(law) for name, law in laws.items()}
