"""Sparse parity: y is the product of k of d signs; the law of paper 1, section 2.2."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus.fields import Field
from plateaus.fusing import apart
from plateaus.types import Array, Draw, Example, Float, Key, Number, Scalar, Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The sizes of the problem."""

    dimension: Annotated[int, Field(help="number of signs d", low=1, high=64)] = 20
    relevant_bits: Annotated[int, Field(help="size k of the parity", low=1, high=64)] = 6
    dataset_size: Annotated[
        int, Field(help="points in the data set", low=1, high=2**31 - 2, units="points")
    ] = 1_000_000


class Knobs(NamedTuple):
    """The numbers of the law."""

    staircase_epsilon: Annotated[
        Scalar, Field(help="weight of the lower parities", low=-10, high=10, neutral=0.0)
    ] = 0.0
    random_label_steps: Annotated[
        Scalar,
        Field(help="steps of random labels at first", low=0, high=2**30, neutral=0, units="steps"),
    ] = 0


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for a parity over more signs than there are."""
    if values["relevant_bits"] > values["dimension"]:
        yield "relevant_bits", f"must be at most task.dimension ({values['dimension']})"


def _words(key: Key, bits: int) -> Array:
    return jax.random.bits(key, (-(-bits // 32),), jnp.uint32)


def _sign(word: Array) -> Array:
    """Return 1.0 where the lowest bit is 0, else -1.0: the bit becomes that of the sign."""
    return jax.lax.bitcast_convert_type((word << 31) | jnp.uint32(0x3F800000), jnp.float32)


def _signs(words: Array, count: int) -> Float[Array, " count"]:
    """Return the first `count` bits of the words as signs, lowest bit first."""
    places = [jnp.arange(min(32, count - first), dtype=jnp.uint32) for first in range(0, count, 32)]
    parts = [_sign(words[number] >> place) for number, place in enumerate(places)]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts)


def signs(key: Key, dimension: int) -> Float[Array, " d"]:
    """Draw a uniform point of {-1, +1}^d, one bit a coordinate.

    >>> jax.jit(signs, static_argnums=1)(jax.random.key(0), 3).shape
    (3,)
    """
    return _signs(_words(key, dimension), dimension)


def _parities(words: Array, count: int) -> tuple[Float[Array, ""], Float[Array, ""]]:
    r"""Return $\chi_k$ of the first k = `count` bits of the words, and $\sum_{j<k} \chi_j$.

    On words, not on k signs, which would cost as much as to make them.
    """
    odd, lower = jnp.uint32(0), jnp.uint32(0)  # the last parity, as a bit; how many before are odd
    for number, first in enumerate(range(0, count, 32)):
        word = words[number]
        for distance in (1, 2, 4, 8, 16):  # bit j becomes the parity of the bits 0 .. j
            word = word ^ (word << distance)
        word = word ^ (jnp.uint32(0) - odd)
        bits = min(32, count - first)
        odd = (word >> (bits - 1)) & 1
        lower += jax.lax.population_count(word & jnp.uint32(2**bits - 1))
    return _sign(odd), (count - 1) - 2.0 * (lower - odd).astype(jnp.float32)


def sparse_parity(spec: Spec) -> Task:
    r"""Learn $\chi_k(x) = x_1 x_2 \cdots x_k$ from x uniform on {-1, +1}^d, by squared error.

    Training targets are $\chi_k + \epsilon \sum_{j<k} \chi_j$ (the staircase; neutral at
    epsilon = 0), test targets $\chi_k$. In the first `random_label_steps` steps (neutral at 0) the
    target of a point is instead a random sign, the same whenever the point is drawn. Point i
    of the data set and its random sign are functions of (world, i); test points are fresh. The
    best predictor that ignores the parity is 0 and has loss 1.
    (The paper writes x in {0, 1}^d; the product would then be an AND, which shows no plateau.)

    Source: paper 1, section 2.2; the staircase: appendix C.3; random labels first: "Less Data,
    Faster Training", arXiv 2605.20314.

    >>> task = sparse_parity(Spec(dimension=4, relevant_bits=2))
    >>> world = task.init(jax.random.key(0))
    >>> example = jax.jit(task.emit)(jax.random.key(1), world, Draw(7), Knobs())
    >>> bool(example.targets == example.inputs[0] * example.inputs[1])
    True
    """

    def parities(x: Float[Array, " d"]) -> Float[Array, " k"]:
        return jnp.cumprod(x[: spec.relevant_bits])

    def at(knobs: Knobs, t: Number) -> Knobs:
        return knobs._replace(random_label_steps=jnp.maximum(knobs.random_label_steps - t, 0))

    def emit(key: object, world: Key, draw: Draw, knobs: Knobs) -> Example:
        d = spec.dimension
        words = _words(jax.random.fold_in(world, draw.index), d + 1)

        def labels(words: Array) -> tuple[Array, ...]:  # one bit more of the words costs nothing
            return (*_parities(words, spec.relevant_bits), _sign(words[d // 32] >> (d % 32)))

        chi, lower, random = apart(labels, words)
        target = chi + knobs.staircase_epsilon * lower
        target = jnp.where(knobs.random_label_steps > 0, random, target)
        return Example(_signs(words, d), target)

    def emit_test(key: Key, world: object, number: object) -> Example:
        x = signs(key, spec.dimension)
        return Example(x, parities(x)[-1])

    def loss(prediction: Array, example: Example) -> Array:
        return jnp.square(prediction - example.targets)

    def accuracy(prediction: Array, example: Example) -> Array:
        return (jnp.sign(prediction) == example.targets).astype(jnp.float32)

    def predictors(
        world: object, batch: Example, knobs: object, log_prior: object
    ) -> dict[str, Array]:
        chi = jax.vmap(parities)(batch.inputs)[:, -1]
        return {"zero": jnp.zeros_like(chi), "parity": chi}

    return Task(
        init=lambda key: key,
        emit=emit,
        emit_test=emit_test,
        loss=loss,
        test_loss=loss,
        metrics={"accuracy": accuracy},
        predictors=predictors,
        uninformed="zero",
        best="parity",
        size=spec.dataset_size,
        at=at,
        relevant=tuple(range(spec.relevant_bits)),
    )
