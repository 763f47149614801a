"""The layers of a transformer: its spec, the laws of its first weights, its block."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
from flax import linen as nn

from plateaus.fields import Field
from plateaus.models.attention import linear_weights, rotate, softmax_weights
from plateaus.models.taps import Tap
from plateaus.types import Array

EPSILON = 1e-5  # of the norms

Taps = Callable[[], Tap]
"""Makes a fresh tap with the edits and captures of this pass: a rematerialised block needs its own,
because what it captures must leave it as a result."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The shape of a transformer, its parts, and how its weights start."""

    width: Annotated[int, Field(help="width of the residual stream", low=1, high=65536)] = 256
    depth: Annotated[int, Field(help="number of blocks", low=1, high=256)] = 12
    heads: Annotated[int, Field(help="attention heads of a block", low=1, high=1024)] = 8
    mlp_multiple: Annotated[
        int, Field(help="hidden width of the MLPs in multiples of the width", low=1, high=64)
    ] = 4
    attention_only: Annotated[bool, Field(help="blocks without an MLP")] = False
    attention: Annotated[
        str, Field(help="what turns scores into weights", choices=("softmax", "linear"))
    ] = "softmax"
    positions: Annotated[
        str, Field(help="how a token knows its place", choices=("learned", "rotary"))
    ] = "learned"
    max_positions: Annotated[
        int, Field(help="size of the table of learned positions", low=1, high=2**20)
    ] = 202
    norm: Annotated[str, Field(help="kind of norm", choices=("layernorm", "rmsnorm"))] = "layernorm"
    activation: Annotated[
        str, Field(help="of the MLPs; gelu in its tanh form", choices=("gelu", "swiglu"))
    ] = "gelu"
    bias: Annotated[bool, Field(help="biases in linear layers and LayerNorms")] = True
    tied: Annotated[bool, Field(help="the embedding of discrete tokens is the read-out too")] = (
        False
    )
    compute: Annotated[
        str, Field(help="type of products and activations", choices=("float32", "bfloat16"))
    ] = "float32"
    rematerialise: Annotated[
        bool, Field(help="compute blocks again in the backward pass, to save memory")
    ] = False
    initialisation: Annotated[
        str, Field(help="law of the first weights", choices=("gpt2", "icl", "lecun_normal"))
    ] = "gpt2"
    initialisation_scale: Annotated[
        float, Field(help="multiplies all first weights", low=0, low_open=True, high=100)
    ] = 1.0


def weight_law(spec: Spec, fan_in: int, writes: bool = False) -> Callable[..., Array]:
    """Return the law of a weight matrix; `writes` if its layer adds to the residual stream.

    >>> law = weight_law(Spec(depth=2, initialisation="lecun_normal"), fan_in=100, writes=True)
    >>> round(float(law(jax.random.key(0), (100, 100)).std()), 2)  # 1 / sqrt(100) / sqrt(2 depth)
    0.05
    """
    std = fan_in**-0.5 if spec.initialisation == "lecun_normal" else 0.02
    if writes:
        std /= (2 * spec.depth) ** 0.5
    return nn.initializers.normal(spec.initialisation_scale * std)


def end(spec: Spec, features: int, fan_in: int, *, name: str, bias: bool, dtype: str) -> nn.Dense:
    """Return the linear read-in or read-out, which "icl" starts by a law of its own."""
    bound = spec.initialisation_scale * fan_in**-0.5

    def uniform(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    icl = spec.initialisation == "icl"
    return nn.Dense(
        features,
        use_bias=bias,
        dtype=dtype,
        kernel_init=uniform if icl else weight_law(spec, fan_in),
        bias_init=uniform if icl else nn.initializers.zeros,
        name=name,
    )


def norm(spec: Spec, name: str) -> nn.Module:
    """Return a norm layer; its mean and variance are float32 whatever the compute type."""
    if spec.norm == "rmsnorm":
        return nn.RMSNorm(epsilon=EPSILON, dtype=spec.compute, name=name)
    return nn.LayerNorm(epsilon=EPSILON, dtype=spec.compute, use_bias=spec.bias, name=name)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); returns what it captured beside x."""

    spec: Spec

    @nn.compact
    def __call__(self, x: Array, taps: Taps) -> tuple[Array, dict[str, Array]]:
        """Map the residual stream [B, T, width] to the next block's."""
        spec, tap = self.spec, taps()

        def named(part: str, value: Array) -> Array:
            return tap(f"{self.name}.{part}", value)

        def linear(part: str, features: int, value: Array, writes: bool = False) -> Array:
            law = weight_law(spec, value.shape[-1], writes)
            layer = nn.Dense(
                features, use_bias=spec.bias, dtype=spec.compute, kernel_init=law, name=part
            )
            # Over one axis of tokens: for the kernel's gradient over two, XLA copies the cotangent,
            # transposed (5 to 10% of a step on a CPU).
            flat = layer(value.reshape(-1, value.shape[-1]))
            return named(part, flat.reshape(*value.shape[:-1], features))

        x = named("residual", x)
        qkv = linear(
            "qkv", 3 * spec.width, named("attention_norm", norm(spec, "attention_norm")(x))
        )
        by_head = (*x.shape[:2], spec.heads, spec.width // spec.heads)
        queries, keys, values = (part.reshape(by_head) for part in jnp.split(qkv, 3, axis=-1))
        if spec.positions == "rotary":
            queries, keys = rotate(queries), rotate(keys)
        weigh = softmax_weights if spec.attention == "softmax" else linear_weights
        weights = named("attention_weights", weigh(queries, keys)).astype(values.dtype)
        heads = named("heads", jnp.einsum("bhts,bshd->bthd", weights, values))
        x = x + linear("attention_out", spec.width, heads.reshape(x.shape), writes=True)
        if spec.attention_only:
            return x, tap.captured

        x = named("residual_middle", x)
        inner, normed = spec.mlp_multiple * spec.width, named("mlp_norm", norm(spec, "mlp_norm")(x))
        if spec.activation == "swiglu":
            gate, up = jnp.split(linear("mlp_up", 2 * inner, normed), 2, axis=-1)
            hidden = nn.silu(gate) * up
        else:
            hidden = nn.gelu(linear("mlp_up", inner, normed), approximate=True)
        x = x + linear("mlp_down", spec.width, named("mlp_hidden", hidden), writes=True)
        return x, tap.captured
