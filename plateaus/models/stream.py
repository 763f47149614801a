"""What models of sequences share: the spec of a residual stream, first weights, common layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, TypeAlias

import jax
import jax.numpy as jnp
from flax import linen as nn

from plateaus.fields import Field
from plateaus.models.taps import Tap
from plateaus.types import Array

EPSILON = 1e-5  # of the norms

Taps = Callable[[], Tap]
"""Makes a fresh tap with the edits and captures of this pass: a rematerialised block needs its own,
because what it captures must leave it as a result."""

Law = Callable[..., Array]
"""(key, shape, dtype) -> first weights."""

# Declared here for models whose default is another.
Norm: TypeAlias = Annotated[str, Field(help="kind of norm", choices=("layernorm", "rmsnorm"))]
Bias: TypeAlias = Annotated[bool, Field(help="biases in linear layers and LayerNorms")]
Initialisation: TypeAlias = Annotated[
    str, Field(help="law of the first weights", choices=("gpt2", "icl", "lecun_normal"))
]
MLPMultiple: TypeAlias = Annotated[
    int, Field(help="hidden width of the MLPs in multiples of the width", low=1, high=64)
]
ConvolutionWidth: TypeAlias = Annotated[
    int, Field(help="tokens that the short causal convolution sees", low=1, high=64)
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stream:
    """What every stack of blocks on a residual stream has."""

    width: Annotated[int, Field(help="width of the residual stream", low=1, high=65536)] = 256
    depth: Annotated[int, Field(help="number of blocks", low=1, high=256)] = 12
    norm: Norm = "layernorm"
    bias: Bias = True
    tied: Annotated[bool, Field(help="the embedding of discrete tokens is the read-out too")] = (
        False
    )
    fixed_instruction: Annotated[
        bool,
        Field(help="the first token, one-hot, reads in as a random vector that is not learned"),
    ] = False
    rematerialise: Annotated[
        bool, Field(help="compute blocks again in the backward pass, to save memory")
    ] = False
    initialisation: Initialisation = "gpt2"
    initialisation_scale: Annotated[
        float, Field(help="multiplies all first weights", low=0, low_open=True, high=100)
    ] = 1.0

    @property
    def compute(self) -> str:
        """The type of products and activations; a field where a model offers another."""
        return "float32"


def weight_law(spec: Stream, fan_in: int, writes: bool = False) -> Law:
    """Return the law of a weight matrix; `writes` if its layer adds to the residual stream.

    >>> law = weight_law(Stream(depth=2, initialisation="lecun_normal"), fan_in=100, writes=True)
    >>> round(float(law(jax.random.key(0), (100, 100)).std()), 2)  # 1 / sqrt(100) / sqrt(2 depth)
    0.05
    """
    std = fan_in**-0.5 if spec.initialisation == "lecun_normal" else 0.02
    if writes:
        std /= (2 * spec.depth) ** 0.5
    return nn.initializers.normal(spec.initialisation_scale * std)


def uniform(bound: float) -> Law:
    """Return the law U(-bound, bound)."""

    def law(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return law


def end(spec: Stream, features: int, fan_in: int, *, name: str, bias: bool, dtype: str) -> nn.Dense:
    """Return the linear read-in or read-out, which "icl" starts by a law of its own."""
    own = uniform(spec.initialisation_scale * fan_in**-0.5)
    icl = spec.initialisation == "icl"
    return nn.Dense(
        features,
        use_bias=bias,
        dtype=dtype,
        kernel_init=own if icl else weight_law(spec, fan_in),
        bias_init=own if icl else nn.initializers.zeros,
        name=name,
    )


def norm(spec: Stream, name: str) -> nn.Module:
    """Return a norm layer; its mean and variance are float32 whatever the compute type."""
    if spec.norm == "rmsnorm":
        return nn.RMSNorm(epsilon=EPSILON, dtype=spec.compute, name=name)
    return nn.LayerNorm(epsilon=EPSILON, dtype=spec.compute, use_bias=spec.bias, name=name)


def linear(
    spec: Stream,
    name: str,
    features: int,
    value: Array,
    *,
    writes: bool = False,
    bias: bool | None = None,
    law: Law | None = None,
    bias_law: Law = nn.initializers.zeros,
) -> Array:
    """Apply the linear layer of that name, in a block, to a value [B, T, inputs].

    `law` and `bias_law` are for layers that start by a law of their own; `bias` overrides the
    spec's.
    """
    layer = nn.Dense(
        features,
        use_bias=spec.bias if bias is None else bias,
        dtype=spec.compute,
        kernel_init=law or weight_law(spec, value.shape[-1], writes),
        bias_init=bias_law,
        name=name,
    )
    # Over one axis of tokens: for the kernel's gradient over two, XLA copies the cotangent,
    # transposed (5 to 10% of a step on a CPU).
    flat = layer(value.reshape(-1, value.shape[-1]))
    return flat.reshape(*value.shape[:-1], features)


def feed_forward(
    spec: Stream, x: Array, named: Callable[[str, Array], Array], multiple: int, activation: str
) -> Array:
    """Return x + mlp(norm(x)) of the residual stream [B, T, width]; gelu in its tanh form."""
    x = named("residual_middle", x)
    inner, normed = multiple * spec.width, named("mlp_norm", norm(spec, "mlp_norm")(x))
    if activation == "swiglu":
        up = named("mlp_up", linear(spec, "mlp_up", 2 * inner, normed))
        gate, up = jnp.split(up, 2, axis=-1)
        hidden = nn.silu(gate) * up
    else:
        up = named("mlp_up", linear(spec, "mlp_up", inner, normed))
        hidden = nn.gelu(up, approximate=True)
    hidden = named("mlp_hidden", hidden)
    return x + named("mlp_down", linear(spec, "mlp_down", spec.width, hidden, writes=True))


FEED_FORWARD = ("residual_middle", "mlp_norm", "mlp_up", "mlp_hidden", "mlp_down")
"""What can be captured of `feed_forward`, in the order of computation."""
