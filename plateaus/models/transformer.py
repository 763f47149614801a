"""A causal transformer, pre-norm as GPT-2's: continuous or discrete tokens, every part by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from plateaus.fields import Field
from plateaus.models.attention import linear_weights, rotate, softmax_weights
from plateaus.models.taps import Edits, Tap
from plateaus.types import Array, Model

EPSILON = 1e-5  # of the norms
Taps = Callable[[], Tap]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The shape of the network, its parts, and how its weights start."""

    width: Annotated[int, Field(help="width of the residual stream", low=1, high=65536)] = 256
    depth: Annotated[int, Field(help="number of blocks", low=1, high=256)] = 12
    heads: Annotated[int, Field(help="attention heads of a block", low=1, high=1024)] = 8
    mlp_multiple: Annotated[
        int, Field(help="hidden width of the MLPs over the width", low=1, high=64)
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
    norm: Annotated[str, Field(help="norm layers", choices=("layernorm", "rmsnorm"))] = "layernorm"
    activation: Annotated[
        str, Field(help="of the MLPs; gelu in its tanh form", choices=("gelu", "swiglu"))
    ] = "gelu"
    bias: Annotated[bool, Field(help="biases in linear layers and LayerNorms")] = True
    tied: Annotated[
        bool, Field(help="the vocabulary's embedding is its read-out too (discrete tokens only)")
    ] = False
    compute: Annotated[
        str,
        Field(help="type of matrix products and activations", choices=("float32", "bfloat16")),
    ] = "float32"
    rematerialise: Annotated[
        bool, Field(help="recompute a block's activations in the backward pass, to save memory")
    ] = False
    initialisation: Annotated[
        str, Field(help="law of the first weights", choices=("gpt2", "icl", "lecun_normal"))
    ] = "gpt2"
    initialisation_scale: Annotated[
        float, Field(help="multiplies all first weights", low=0, low_open=True, high=100)
    ] = 1.0


class Knobs(NamedTuple):
    """None: a transformer has no traced number of its own."""


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for heads that do not divide the width, or cannot be rotated."""
    width, heads = values["width"], values["heads"]
    if width % heads:
        yield "heads", f"must divide model.width ({width})"
    elif values["positions"] == "rotary" and (width // heads) % 2:
        yield "heads", f"rotary positions turn pairs, and width / heads is odd ({width // heads})"


def _law(spec: Spec, fan_in: int, writes: bool = False) -> Callable[..., Array]:
    """Return the law of a weight; `writes` if its layer adds to the residual stream."""
    std = fan_in**-0.5 if spec.initialisation == "lecun_normal" else 0.02
    if writes:
        std /= (2 * spec.depth) ** 0.5
    return nn.initializers.normal(spec.initialisation_scale * std)


def _end(spec: Spec, features: int, fan_in: int, bias: bool, name: str, **kwargs: Any) -> nn.Dense:
    """Return the read-in or the read-out."""
    kernel, bias_law = _law(spec, fan_in), nn.initializers.zeros
    if spec.initialisation == "icl":

        def kernel(key, shape, dtype=jnp.float32):
            bound = spec.initialisation_scale * fan_in**-0.5
            return jax.random.uniform(key, shape, dtype, -bound, bound)

        bias_law = kernel
    return nn.Dense(
        features, use_bias=bias, kernel_init=kernel, bias_init=bias_law, name=name, **kwargs
    )


def _norm(spec: Spec, name: str) -> nn.Module:
    if spec.norm == "rmsnorm":
        return nn.RMSNorm(epsilon=EPSILON, dtype=spec.compute, name=name)
    return nn.LayerNorm(epsilon=EPSILON, dtype=spec.compute, use_bias=spec.bias, name=name)


class _Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); returns what it captured beside x."""

    spec: Spec
    name_of: str

    @nn.compact
    def __call__(self, x: Array, taps: Taps) -> tuple[Array, dict[str, Array]]:
        spec, tap = self.spec, taps()

        def named(part: str, value: Array) -> Array:
            return tap(f"{self.name_of}.{part}", value)

        def linear(part: str, features: int, value: Array, writes: bool = False) -> Array:
            law = _law(spec, value.shape[-1], writes)
            layer = nn.Dense(
                features, use_bias=spec.bias, dtype=spec.compute, kernel_init=law, name=part
            )
            flat = layer(value.reshape(-1, value.shape[-1]))
            return named(part, flat.reshape(*value.shape[:-1], features))

        x = named("residual", x)
        a = named("attention_norm", _norm(spec, "attention_norm")(x))
        qkv = linear("qkv", 3 * spec.width, a)
        shape = (*x.shape[:2], spec.heads, -1)
        queries, keys, values = (y.reshape(shape) for y in jnp.split(qkv, 3, axis=-1))
        if spec.positions == "rotary":
            queries, keys = rotate(queries), rotate(keys)
        weigh = softmax_weights if spec.attention == "softmax" else linear_weights
        weights = named("attention_weights", weigh(queries, keys)).astype(values.dtype)
        heads = named("heads", jnp.einsum("bhts,bshd->bthd", weights, values))
        x = x + linear("attention_out", spec.width, heads.reshape(x.shape), writes=True)
        if spec.attention_only:
            return x, tap.captured

        x = named("residual_middle", x)
        m = named("mlp_norm", _norm(spec, "mlp_norm")(x))
        hidden = spec.mlp_multiple * spec.width
        if spec.activation == "swiglu":
            gate, up = jnp.split(linear("mlp_up", 2 * hidden, m), 2, axis=-1)
            h = nn.silu(gate) * up
        else:
            h = nn.gelu(linear("mlp_up", hidden, m), approximate=True)
        h = named("mlp_hidden", h)
        return x + linear("mlp_down", spec.width, h, writes=True), tap.captured


class _Transformer(nn.Module):
    spec: Spec
    vocabulary: int | None

    @nn.compact
    def __call__(self, inputs: Array, taps: Taps) -> tuple[Array, dict[str, Array]]:
        spec, tap, length = self.spec, taps(), inputs.shape[1]
        captured = {}
        if self.vocabulary is None:
            read_in = _end(
                spec, spec.width, inputs.shape[-1], spec.bias, "read_in", dtype=spec.compute
            )
        else:
            read_in = nn.Embed(
                self.vocabulary,
                spec.width,
                dtype=spec.compute,
                embedding_init=_law(spec, spec.width),
                name="read_in",
            )
        x = tap("read_in", read_in(inputs))
        if spec.positions == "learned":
            if length > spec.max_positions:
                raise ValueError(f"{length} tokens, but max_positions = {spec.max_positions}")
            shape = (spec.max_positions, spec.width)
            table = self.param("positions", _law(spec, spec.width), shape)
            x = x + table[None, :length].astype(x.dtype)
        block = nn.remat(_Block, static_argnums=(2,)) if spec.rematerialise else _Block
        for layer in range(spec.depth):
            name = f"block_{layer}"
            x, more = block(spec, name, name=name)(x, taps)
            captured.update(more)
        x = tap("final_residual", x)
        x = tap("final_norm", _norm(spec, "final_norm")(x)).astype(jnp.float32)
        if self.vocabulary is None:
            readout = _end(spec, 1, spec.width, spec.bias, "readout")
            return tap("readout", readout(x))[..., 0], captured | tap.captured
        if spec.tied:
            logits = jnp.einsum("btw,vw->btv", x, read_in.embedding)
        else:
            logits = _end(spec, self.vocabulary, spec.width, False, "readout")(x)
        return tap("readout", logits), captured | tap.captured


def activations(spec: Spec) -> tuple[str, ...]:
    """Return the names of what can be captured or edited, in the order of computation.

    >>> activations(Spec(depth=1, attention_only=True))[1:6]
    ('block_0.residual', 'block_0.attention_norm', 'block_0.qkv', 'block_0.attention_weights', 'block_0.heads')
    """
    attention = ("residual", "attention_norm", "qkv", "attention_weights", "heads", "attention_out")
    mlp = ("residual_middle", "mlp_norm", "mlp_up", "mlp_hidden", "mlp_down")
    parts = attention if spec.attention_only else attention + mlp
    blocks = (f"block_{layer}.{part}" for layer in range(spec.depth) for part in parts)
    return ("read_in", *blocks, "final_residual", "final_norm", "readout")


def transformer(spec: Spec, *, inputs: int | None = None, vocabulary: int | None = None) -> Model:
    r"""Build a causal transformer over continuous tokens of size `inputs`, or over a `vocabulary`."""
    if (inputs is None) == (vocabulary is None):
        raise ValueError("give inputs (continuous tokens) or vocabulary (discrete ones)")
    if spec.tied and vocabulary is None:
        raise ValueError("tied: continuous tokens have no embedding to tie the read-out to")
    module, names = _Transformer(spec, vocabulary), activations(spec)
    prompt = jnp.zeros((1, 1), jnp.int32) if inputs is None else jnp.zeros((1, 1, inputs))

    def init(key):
        return module.init(key, prompt, lambda: Tap(names))["params"]

    def apply(params, inputs, *, edits: Edits | None = None, capture: Collection[str] = ()):
        return module.apply({"params": params}, inputs, lambda: Tap(names, edits, capture))

    return Model(init, apply, names)
