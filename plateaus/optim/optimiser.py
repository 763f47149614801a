"""The `optim.*` section of a config: the optimiser family and its numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, NamedTuple

import optax

from plateaus.fields import Field
from plateaus.optim.bias import bias_gradients
from plateaus.types import Scalar

FAMILIES: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": lambda knobs: optax.sgd(knobs.learning_rate),
    "momentum": lambda knobs: optax.sgd(knobs.learning_rate, momentum=knobs.beta1),
    "nesterov": lambda knobs: optax.sgd(knobs.learning_rate, momentum=knobs.beta1, nesterov=True),
    "adam": lambda knobs: optax.adam(knobs.learning_rate, b1=knobs.beta1, b2=knobs.beta2),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The family of the optimiser."""

    name: Annotated[str, Field(help="optimiser", choices=tuple(FAMILIES))] = "sgd"


class Knobs(NamedTuple):
    """The numbers of the optimiser."""

    learning_rate: Annotated[
        Scalar, Field(help="learning rate", low=0, low_open=True, high=1e12, units="1/step")
    ] = 0.1
    beta1: Annotated[
        Scalar, Field(help="momentum, and Adam's first beta", low=0, high=1, high_open=True)
    ] = 0.9
    beta2: Annotated[Scalar, Field(help="Adam's second beta", low=0, high=1, high_open=True)] = (
        0.999
    )
    gradient_bias: Annotated[
        Scalar, Field(help="weight gamma of the stored gradient", low=0, high=1e6, neutral=0.0)
    ] = 0.0
    gradient_bias_every: Annotated[
        Scalar, Field(help="steps between two storings", low=1, high=2**30, units="steps")
    ] = 100


ALL = frozenset(Knobs._fields)


def optimiser(
    spec: Spec, used: frozenset[str] = ALL
) -> Callable[[Knobs], optax.GradientTransformation]:
    """Return knobs -> transformation, to be called *inside* the vmapped function.

    The gradient bias is left out where `gradient_bias` is not in `used`.

    There the knobs are traced scalars, which is bit-identical to Python numbers.

    >>> optimiser(Spec(name="adam"))(Knobs(learning_rate=1e-3)).init({}) is not None
    True
    """

    def build(knobs: Knobs) -> optax.GradientTransformation:
        family = FAMILIES[spec.name](knobs)
        if "gradient_bias" not in used:
            return family
        return optax.chain(bias_gradients(knobs.gradient_bias, knobs.gradient_bias_every), family)

    return build
