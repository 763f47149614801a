"""A multilayer perceptron with one output, or a vector of them."""

from __future__ import annotations

import dataclasses
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from plateaus.fields import Field
from plateaus.models.taps import Tap, direct
from plateaus.types import Array, Key, Model, PyTree

ACTIVATIONS = {"relu": nn.relu, "tanh": jnp.tanh, "erf": jax.lax.erf, "quadratic": jnp.square}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The shape of the network and how its weights start."""

    width: Annotated[int, Field(help="hidden width", low=1, high=65536)] = 40
    depth: Annotated[int, Field(help="hidden layers", low=0, high=64)] = 2
    activation: Annotated[str, Field(help="between layers", choices=tuple(ACTIVATIONS))] = "relu"
    initialisation: Annotated[
        str,
        Field(help="law of the first weights", choices=("uniform", "lecun_normal", "he_normal")),
    ] = "uniform"
    initialisation_scale: Annotated[
        float, Field(help="multiplies all first weights", low=0, low_open=True, high=100)
    ] = 1.0


class Knobs(NamedTuple):
    """An MLP has no traced number of its own."""


def linear(features: int, inputs: int, initialisation: str, name: str | None) -> nn.Dense:
    """Return a linear layer whose first weights follow the law of that name."""
    if initialisation == "uniform":  # U(-1, 1) / sqrt(fan in) for weights and biases alike

        def both(key, shape, dtype=jnp.float32):
            return jax.random.uniform(key, shape, dtype, -1.0, 1.0) / jnp.sqrt(inputs)

        return nn.Dense(features, kernel_init=both, bias_init=both, name=name)
    kernel = {"lecun_normal": nn.initializers.lecun_normal, "he_normal": nn.initializers.he_normal}
    return nn.Dense(features, kernel_init=kernel[initialisation](), name=name)


class _MLP(nn.Module):
    spec: Spec
    outputs: int | None

    @nn.compact
    def __call__(self, x: Array, tap: Tap) -> Array:
        activation = ACTIVATIONS[self.spec.activation]
        for layer in range(self.spec.depth):
            dense = linear(
                self.spec.width, x.shape[-1], self.spec.initialisation, f"hidden_{layer}"
            )
            x = tap(f"hidden_{layer}", activation(dense(x)))
        size = 1 if self.outputs is None else self.outputs
        y = tap("readout", linear(size, x.shape[-1], self.spec.initialisation, "readout")(x))
        return y[..., 0] if self.outputs is None else y


def mlp(spec: Spec, inputs: int, outputs: int | None = None) -> Model:
    r"""Build $f(x) = W \sigma(\ldots \sigma(W_0 x + b_0) \ldots) + b$, sigma ReLU by default.

    `inputs` is the size of x, `outputs` that of f; None is one number, without an axis.
    Activations: hidden_0, hidden_1, ... after the nonlinearity, and readout.
    The default initialisation, uniform in +-1/sqrt(fan in) for weights and biases, is the one the
    plateau lengths known for parity were measured with; `initialisation_scale` multiplies weights
    and biases of all layers, whatever their law.

    Source: paper 1, section 2.2 and appendix B.2 (20-40-40-1 for parity).

    >>> model = mlp(Spec(width=40, depth=2), inputs=20)
    >>> params = jax.jit(model.init)(jax.random.key(0))
    >>> jax.jit(model.apply)(params, jnp.ones((7, 20)))[0].shape
    (7,)
    """
    shapes = jax.ShapeDtypeStruct((1, inputs), jnp.float32)
    model = direct(_MLP(spec, outputs), layers(spec), shapes)

    def init(key: Key) -> PyTree:
        return jax.tree.map(lambda weight: spec.initialisation_scale * weight, model.init(key))

    return model._replace(init=init)


def layers(spec: Spec) -> tuple[str, ...]:
    """Return the names of the layers: the keys of the parameters.

    >>> layers(Spec(depth=2))
    ('hidden_0', 'hidden_1', 'readout')
    """
    return (*(f"hidden_{layer}" for layer in range(spec.depth)), "readout")
