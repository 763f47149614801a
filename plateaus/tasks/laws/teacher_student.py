"""A teacher with many heads on shared features: the supervised toy model of task diversity."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus.fields import INFINITE, Field
from plateaus.tasks.shared.mixtures import NoKnobs
from plateaus.types import EXACT, Array, Draw, Example, Float, Key, Reads, Task


class Activation(NamedTuple):
    """A function of z ~ N(0, 1) with E[s(z)] = `mean`, Var[s(z)] = 1 and E[z s(z)] = `slope`."""

    value: Callable[[Array], Array]
    mean: float
    slope: float


def _relu() -> Activation:
    deviation = math.sqrt(0.5 - 0.5 / math.pi)
    mean = 1 / math.sqrt(2 * math.pi) / deviation
    return Activation(lambda z: jnp.maximum(z, 0.0) / deviation, mean, 0.5 / deviation)


def _erf() -> Activation:
    deviation = math.sqrt(2 / math.pi * math.asin(2 / 3))
    slope = 2 / math.sqrt(3 * math.pi) / deviation
    return Activation(lambda z: jax.lax.erf(z) / deviation, 0.0, slope)


# By information exponent: 1 for relu and erf, then the degree of the first Hermite polynomial.
ACTIVATIONS = {
    "relu": _relu(),
    "erf": _erf(),
    "quadratic": Activation(lambda z: z * z / math.sqrt(2), 1 / math.sqrt(2), 0.0),
    "hermite3": Activation(lambda z: z * (z * z - 3.0) / math.sqrt(6), 0.0, 0.0),
}
MIXED = "mixed"

# Laws of a row of U before it is scaled to norm 1, from normal numbers [m].
LAWS: dict[str, Callable[[Array], Array]] = {
    "gaussian": lambda z: z,
    "sign": jnp.sign,
    "sparse": lambda z: jax.nn.one_hot(jnp.argmax(jnp.abs(z)), z.shape[0]) * z,
    "shifted": lambda z: 1.0 + 0.5 * z,
    "heavy": lambda z: z * jnp.square(z),
}
DIFFERENT = "different"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The sizes of the teacher and the laws of its heads; the paper states none of them."""

    dimension: Annotated[int, Field(help="size d of x", low=1, high=4096)] = 16
    teacher_width: Annotated[int, Field(help="features m of the teacher", low=1, high=4096)] = 4
    heads: Annotated[int, Field(help="outputs k of the teacher", low=1, high=4096)] = 8
    activation: Annotated[
        str,
        Field(help="of the teacher; mixed: one after the other", choices=(*ACTIVATIONS, MIXED)),
    ] = "hermite3"
    head_law: Annotated[
        str,
        Field(help="law of a head's weights; different: in turn", choices=(*LAWS, DIFFERENT)),
    ] = "gaussian"
    laws: Annotated[
        int, Field(help="how many laws there are in turn, if different", low=1, high=len(LAWS))
    ] = len(LAWS)
    reduction: Annotated[
        str, Field(help="how the training loss joins heads", choices=("sum", "mean"))
    ] = "sum"
    dataset_size: Annotated[
        int, Field(help="points in the data set", low=1, high=INFINITE, units="points")
    ] = INFINITE


Knobs = NoKnobs  # what is varied is the teacher


class World(NamedTuple):
    """A teacher, and the key that points are hashed from."""

    points: Array
    features: Array  # [m, d], orthonormal rows
    heads: Array  # [k, m], rows of norm 1


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for more orthonormal features than dimensions."""
    if values["teacher_width"] > values["dimension"]:
        yield "teacher_width", f"must be at most task.dimension ({values['dimension']})"


def head_weights(key: Key, spec: Spec) -> Float[Array, "k m"]:
    """Draw the heads: head h by the law, or by law number h mod `laws`; rows of norm 1.

    >>> spec = Spec(heads=3, teacher_width=2, head_law="sign")
    >>> weights = jax.jit(head_weights, static_argnums=1)(jax.random.key(0), spec)
    >>> bool(jnp.allclose(weights**2, 0.5))
    True
    """
    normal = jax.random.normal(key, (spec.heads, spec.teacher_width))
    names = list(LAWS)[: spec.laws] if spec.head_law == DIFFERENT else [spec.head_law]
    by_law = jnp.stack([jax.vmap(LAWS[name])(normal) for name in names])
    head = jnp.arange(spec.heads)
    rows = by_law[head % len(names), head]
    return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)


def teacher_student(spec: Spec) -> Task:
    r"""Learn $f^*(x) = U \sigma(A x)$, all heads at once, by squared error; x ~ N(0, I_d).

    A [m, d] has orthonormal rows, uniform among such; sigma is scaled to variance 1 and the rows
    of U to norm 1, so that every head has variance 1, whatever its law: the best that ignores x
    has a loss of 1, exactly. Laws before scaling: gaussian; sign, fair; sparse, one feature alone;
    shifted, N(1, 1/4); heavy, the cube of a normal. "mixed": head h has activation h mod 4.
    Trained on the loss summed over heads ("mean": k times less); the tested loss is their mean.

    Shapes: inputs [d], targets and predictions [k]. Predictors: "mean", E y; "linear", the best
    of degree 1 in x, of loss 1 - E[z sigma(z)]^2; "teacher". Point i is a function of (world, i).

    Source: paper 2, its toy supervised model; not stated there: sigma, the laws, all sizes.

    >>> task = teacher_student(Spec(dimension=5, heads=3))
    >>> world = jax.jit(task.init)(jax.random.key(0))
    >>> example = jax.jit(task.emit)(jax.random.key(1), world, Draw(7), Knobs())
    >>> example.inputs.shape, example.targets.shape
    ((5,), (3,))
    """
    chosen = [spec.activation] if spec.activation != MIXED else list(ACTIVATIONS)
    number = jnp.arange(spec.heads) % len(chosen)  # of each head's activation
    means = jnp.array([ACTIVATIONS[name].mean for name in chosen])[number]
    slopes = jnp.array([ACTIVATIONS[name].slope for name in chosen])[number]

    def init(key: Key) -> World:
        key_points, key_features, key_heads = jax.random.split(key, 3)
        normal = jax.random.normal(key_features, (spec.dimension, spec.teacher_width))
        q, r = jnp.linalg.qr(normal)
        # with the signs of r's diagonal the law of q is uniform
        features = (q * jnp.sign(jnp.diagonal(r))[None, :]).T
        return World(key_points, features, head_weights(key_heads, spec))

    def teacher(world: World, x: Float[Array, " d"]) -> Float[Array, " k"]:
        z = jnp.matmul(world.features, x, precision=EXACT)
        if spec.activation != MIXED:
            return jnp.matmul(world.heads, ACTIVATIONS[spec.activation].value(z), precision=EXACT)
        values = [ACTIVATIONS[name].value(z) for name in chosen]
        outputs = jnp.stack([jnp.matmul(world.heads, value, precision=EXACT) for value in values])
        return outputs[number, jnp.arange(spec.heads)]

    def point(key: Key, world: World) -> Example:
        x = jax.random.normal(key, (spec.dimension,))
        return Example(x, teacher(world, x))

    def emit(key: object, world: World, draw: Draw, knobs: object) -> Example:
        return point(jax.random.fold_in(world.points, draw.index), world)

    def emit_test(key: Key, world: World, number: object) -> Example:
        return point(key, world)

    def loss_by_head(prediction: Array, example: Example) -> Array:
        return jnp.square(prediction - example.targets)

    def test_loss(prediction: Array, example: Example) -> Array:
        return jnp.mean(loss_by_head(prediction, example))

    def loss(prediction: Array, example: Example) -> Array:
        scale = spec.heads if spec.reduction == "sum" else 1
        return scale * test_loss(prediction, example)

    def predictors(
        world: World, batch: Example, knobs: object, log_prior: object
    ) -> dict[str, Array]:
        mean = means * jnp.sum(world.heads, axis=1)
        weights = jnp.matmul(slopes[:, None] * world.heads, world.features, precision=EXACT)
        slope = jnp.matmul(batch.inputs, weights.T, precision=EXACT)
        return {
            "mean": jnp.zeros_like(slope) + mean[None, :],
            "linear": slope + mean[None, :],
            "teacher": jax.vmap(teacher, (None, 0))(world, batch.inputs),
        }

    return Task(
        init=init,
        emit=emit,
        emit_test=emit_test,
        loss=loss,
        test_loss=test_loss,
        metrics={"loss_by_head": loss_by_head},
        predictors=predictors,
        uninformed="mean",
        best="teacher",
        size=spec.dataset_size,
        axes={"loss_by_head": "head"},
        distance=lambda prediction, other, example: jnp.mean(jnp.square(prediction - other)),
        reads=Reads(outputs=spec.heads),
    )
