"""A package of somebody else's: a task, a model and a mixer, with what plateaus exports."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from plateaus.config.component import Component
from plateaus.data.mixers.mixer import Mixer, Registered, Round, uniform_weights
from plateaus.fields import Field
from plateaus.types import Array, Draw, Example, Key, Model, PyTree, Scalar, Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The size of the problem."""

    signs: Annotated[int, Field(help="number of signs, odd", low=1, high=99)] = 9


class Knobs(NamedTuple):
    """The numbers of the law."""

    flips: Annotated[
        Scalar, Field(help="share of labels that are flipped", low=0, high=0.5, neutral=0.0)
    ] = 0.0


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for signs among which there may be no majority."""
    if values["signs"] % 2 == 0:
        yield "signs", "must be odd, so that there is a majority"


def majority(spec: Spec) -> Task:
    """Build the task: the sign that most of the signs have."""

    def drawn(key: Key, flips: Scalar) -> Example:
        signs = jax.random.rademacher(key, (spec.signs,), jnp.float32)
        flip = jnp.where(jax.random.uniform(jax.random.fold_in(key, 1)) < flips, -1.0, 1.0)
        return Example(signs, flip * jnp.sign(signs.sum()))

    def emit(key: Key, world: Key, draw: Draw, knobs: Knobs) -> Example:
        return drawn(jax.random.fold_in(world, draw.index), knobs.flips)

    def loss(prediction: Array, example: Example) -> Array:
        return jnp.square(prediction - example.targets)

    def predictors(world: Key, batch: Example, knobs: Knobs, log_prior: object) -> dict[str, Array]:
        most = jnp.sign(batch.inputs.sum(-1))
        return {"zero": jnp.zeros_like(most), "majority": most}

    return Task(
        init=lambda key: key,
        emit=emit,
        emit_test=lambda key, world, number: drawn(key, 0.0),
        loss=loss,
        test_loss=loss,
        metrics={},
        predictors=predictors,
        uninformed="zero",
        best="majority",
        size=2**31 - 2,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearSpec:
    """The size of the first weights."""

    scale: Annotated[float, Field(help="of the first weights", low=0.0, high=10.0)] = 0.1


class NoKnobs(NamedTuple):
    """The model has no traced number."""


def linear(spec: LinearSpec, task: Task, example: Example) -> Model:
    """Build a linear model of a vector, without Flax."""
    size = example.inputs.shape[-1]

    def init(key: Key) -> PyTree:
        return {"readout": spec.scale * jax.random.normal(key, (size,))}

    def apply(params: PyTree, inputs: Array, **_: Any) -> tuple[Array, dict[str, Array]]:
        return inputs @ params["readout"], {}

    return Model(init, apply, ("readout",))


class LoudestKnobs(NamedTuple):
    """The numbers of the rule."""

    heat: Annotated[Scalar, Field(help="how much the loudest group gets", low=0, high=100)] = 2.0


def loudest() -> Mixer:
    """Draw groups of high loss more."""

    def update(
        signals: Round, state: tuple[()], knobs: LoudestKnobs, t: object
    ) -> tuple[Array, tuple[()]]:
        return jax.nn.softmax(knobs.heat * jnp.nan_to_num(signals.loss)), state

    return Mixer(lambda groups: (), update)


TASK = Component(Spec, Knobs, majority, check, inputs="vector")
MODEL = Component(LinearSpec, NoKnobs, linear, inputs="vector", layers=lambda spec: ("readout",))
MIXER = Registered(loudest, LoudestKnobs)
EVEN = uniform_weights(2)
