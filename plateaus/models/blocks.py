"""The block of a transformer and its spec."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated

import jax.numpy as jnp
from flax import linen as nn

from plateaus.fields import Field
from plateaus.models.attention import linear_weights, rotate, softmax_weights
from plateaus.models.stream import MLPMultiple, Stream, Taps, feed_forward, linear, norm
from plateaus.types import Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec(Stream):
    """The shape of a transformer, its parts, and how its weights start."""

    heads: Annotated[int, Field(help="attention heads of a block", low=1, high=1024)] = 8
    mlp_multiple: MLPMultiple = 4
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
    activation: Annotated[
        str, Field(help="of the MLPs; gelu in its tanh form", choices=("gelu", "swiglu"))
    ] = "gelu"
    compute: Annotated[
        str, Field(help="type of products and activations", choices=("float32", "bfloat16"))
    ] = "float32"


CACHE = ("keys", "values")
"""What tokens that follow need of those before them, in every block."""


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); returns what it captured beside x."""

    spec: Spec

    @nn.compact
    def __call__(
        self, x: Array, taps: Taps, past: Mapping[str, Array] | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """Map the residual stream [B, T, width] to the next block's; `past`: `CACHE` before it."""
        spec, tap = self.spec, taps()
        before = [] if past is None else [past[f"{self.name}.{part}"] for part in CACHE]

        def named(part: str, value: Array) -> Array:
            return tap(f"{self.name}.{part}", value)

        x = named("residual", x)
        normed = named("attention_norm", norm(spec, "attention_norm")(x))
        qkv = named("qkv", linear(spec, "qkv", 3 * spec.width, normed))
        by_head = (*x.shape[:2], spec.heads, spec.width // spec.heads)
        queries, keys, values = (part.reshape(by_head) for part in jnp.split(qkv, 3, axis=-1))
        if spec.positions == "rotary":
            start = before[0].shape[1] if before else 0
            queries, keys = rotate(queries, start), rotate(keys, start)
        keys, values = named("keys", keys), named("values", values)
        if before:
            keys, values = (
                jnp.concatenate(both, axis=1) for both in zip(before, (keys, values), strict=True)
            )
        weigh = softmax_weights if spec.attention == "softmax" else linear_weights
        weights = named("attention_weights", weigh(queries, keys)).astype(values.dtype)
        heads = named("heads", jnp.einsum("bhts,bshd->bthd", weights, values)).reshape(x.shape)
        out = linear(spec, "attention_out", spec.width, heads, writes=True)
        x = x + named("attention_out", out)
        if not spec.attention_only:
            x = feed_forward(spec, x, named, spec.mlp_multiple, spec.activation)
        return x, tap.captured
