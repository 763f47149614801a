"""What blocks on a residual stream are made of: common sizes, layers, laws of first weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import linen as nn

from plateaus.fields import Field
from plateaus.types import Array

EPSILON = 1e-5  # of the norms

Law: TypeAlias = Callable[..., Array]
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

    @property
    def table(self) -> int:
        """How many rows a table of learned positions has; 0 without one."""
        return 0


def layers(spec: Stream) -> tuple[str, ...]:
    """Return the names of the layers that learn: the keys of the parameters.

    >>> layers(Stream(depth=2))
    ('read_in', 'block_0', 'block_1', 'final_norm', 'readout')
    """
    table = ("positions",) if spec.table else ()
    blocks = (f"block_{layer}" for layer in range(spec.depth))
    return ("read_in", *table, *blocks, "final_norm", *(() if spec.tied else ("readout",)))


def activations(spec: Stream, parts: Sequence[str]) -> tuple[str, ...]:
    """Return the names of all that can be captured or edited, in the order of computation.

    `parts` are the names within a block.

    >>> activations(Stream(depth=1), ["residual", "mlp_down"])[1:4]
    ('block_0.residual', 'block_0.mlp_down', 'final_residual')
    """
    blocks = (f"block_{layer}.{part}" for layer in range(spec.depth) for part in parts)
    return ("read_in", *blocks, "final_residual", "final_norm", "readout")


def weight_law(spec: Stream, fan_in: int, writes: bool = False) -> Law:
    """Return the law of a weight matrix; `writes` if its layer adds to the residual stream.

    It is N(0, .02^2), with "lecun_normal" N(0, 1/fan in); over sqrt(2 depth) where it writes.

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


def norm(spec: Stream, name: str) -> nn.Module:
    """Return a norm layer; its mean and variance are float32 whatever the compute type."""
    if spec.norm == "rmsnorm":
        return nn.RMSNorm(epsilon=EPSILON, dtype=spec.compute, name=name)
    return nn.LayerNorm(epsilon=EPSILON, dtype=spec.compute, use_bias=spec.bias, name=name)


def linear(
    spec: Stream,
    name: str,
    features: int,
    x: Array,
    *,
    writes: bool = False,
    bias: bool | None = None,
    law: Law | None = None,
    bias_law: Law = nn.initializers.zeros,
) -> Array:
    """Return W x + b of x [B, T, inputs], by the layer of that name in a block.

    `law` and `bias_law` are for layers that start by a law of their own; `bias` overrides the
    spec's.
    """
    layer = nn.Dense(
        features,
        use_bias=spec.bias if bias is None else bias,
        dtype=spec.compute,
        kernel_init=law or weight_law(spec, x.shape[-1], writes),
        bias_init=bias_law,
        name=name,
    )
    # Over one axis of tokens: for the kernel's gradient over two, XLA copies the cotangent,
    # transposed (5 to 10% of a step on a CPU).
    flat = layer(x.reshape(-1, x.shape[-1]))
    return flat.reshape(*x.shape[:-1], features)


def end(spec: Stream, name: str, features: int, x: Array, **options: Any) -> Array:
    """Return the linear read-in or read-out of x; "icl" starts it from U(-1, 1)/sqrt(fan in)."""
    fan_in = x.shape[-1]
    if spec.initialisation == "icl":
        law = uniform(spec.initialisation_scale * fan_in**-0.5)
        return nn.Dense(features, kernel_init=law, bias_init=law, name=name, **options)(x)
    return nn.Dense(features, kernel_init=weight_law(spec, fan_in), name=name, **options)(x)
