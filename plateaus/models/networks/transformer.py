r"""A causal transformer on one page: embedding, blocks, read-out; every activation by its name.

Shapes: B prompts of T tokens, W the width, H heads of size D = W / H; queries look at S tokens, T
or, after a cache, more. `Network` is that of Mamba and Hyena, too, with blocks of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from plateaus.fields import Field
from plateaus.models import layers
from plateaus.models.layers import MLPMultiple, Stream, end, linear, norm, weight_law
from plateaus.models.taps import Named, Taps, build, hashable, length
from plateaus.types import Array, Float, Model, ReadAt

CACHE = ("keys", "values")  # what later tokens need of earlier ones, in every block


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

    @property
    def table(self) -> int:
        """How many rows the table of learned positions has; 0 without one."""
        return self.max_positions if self.positions == "learned" else 0


class Knobs(NamedTuple):
    """A transformer has no traced number of its own."""


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for heads that do not divide the width, or cannot be turned."""
    width, heads = values["width"], values["heads"]
    if width % heads:
        yield "heads", f"must divide model.width ({width})"
    elif values["positions"] == "rotary" and width // heads % 2:
        yield "heads", f"rotary positions turn pairs, but width / heads is odd ({width // heads})"


def rotate(x: Float[Array, "B T H D"], start: int = 0) -> Float[Array, "B T H D"]:
    r"""Turn $(x_i, x_{i + D/2})$ by $t \cdot 10000^{-2i/D}$ at position t, counted from `start`.

    Source: Su et al. 2021 (RoFormer), equation 34, coordinates paired in halves.
    """
    half = x.shape[-1] // 2
    frequency = 10_000.0 ** (-jnp.arange(half, dtype=jnp.float32) / half)
    position = start + jnp.arange(x.shape[1], dtype=jnp.float32)
    angle = position[:, None, None] * frequency[None, None]
    cosine, sine = jnp.cos(angle)[None].astype(x.dtype), jnp.sin(angle)[None].astype(x.dtype)
    left, right = x[..., :half], x[..., half:]
    return jnp.concatenate([left * cosine - right * sine, right * cosine + left * sine], axis=-1)


def attention(spec: Spec, x: Array, named: Named, past: list[Array]) -> Array:
    r"""Return $W_o \sum_{s \le t} a_{ts} v_s$ of x [B, T, W]; `past` is the cache of the block.

    $a_{ts} = \mathrm{softmax}_{s \le t}(q_t \cdot k_s / \sqrt D)$ or, linear, a mean over what is
    visible, $q_t \cdot k_s / (t \sqrt D)$, t = 1, 2, ...

    Source of the linear one: Zhang, Frei and Bartlett 2024, equation 3.1, made causal.
    """
    qkv = named("qkv", linear(spec, "qkv", 3 * spec.width, x))
    by_head = (*x.shape[:2], spec.heads, spec.width // spec.heads)
    q, k, v = (part.reshape(by_head) for part in jnp.split(qkv, 3, axis=-1))  # [B, T, H, D]
    start = past[0].shape[1] if past else 0
    if spec.positions == "rotary":
        q, k = rotate(q, start), rotate(k, start)
    k, v = named("keys", k), named("values", v)
    if past:
        k, v = (jnp.concatenate(both, axis=1) for both in zip(past, (k, v), strict=True))

    s = jnp.arange(k.shape[1])
    t = s[start:]
    visible = (s[None, :] <= t[:, None])[None, None]  # [1, 1, T, S]
    scores = jnp.einsum("bthd,bshd->bhts", q, k, preferred_element_type=jnp.float32)
    scores = scores / q.shape[-1] ** 0.5
    if spec.attention == "softmax":
        weights = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf))
    else:
        count = 1 + start + jnp.arange(q.shape[1], dtype=jnp.float32)[None, None, :, None]
        weights = jnp.where(visible, scores / count, 0.0)
    weights = named("attention_weights", weights).astype(v.dtype)
    heads = named("heads", jnp.einsum("bhts,bshd->bthd", weights, v)).reshape(x.shape)
    return named("attention_out", linear(spec, "attention_out", spec.width, heads, writes=True))


def mlp(spec: Spec, x: Array, named: Named) -> Array:
    r"""Return $W_d \, \mathrm{gelu}(W_u x)$ or, swiglu, $W_d (\mathrm{silu}(W_g x) \, W_u x)$."""
    inner = spec.mlp_multiple * spec.width
    if spec.activation == "swiglu":
        gate, up = jnp.split(named("mlp_up", linear(spec, "mlp_up", 2 * inner, x)), 2, axis=-1)
        hidden = nn.silu(gate) * up
    else:
        hidden = nn.gelu(named("mlp_up", linear(spec, "mlp_up", inner, x)), approximate=True)
    hidden = named("mlp_hidden", hidden)
    return named("mlp_down", linear(spec, "mlp_down", spec.width, hidden, writes=True))


class Block(nn.Module):
    """A block adds attention(norm(x)) to the stream x [B, T, W], then mlp(norm(x))."""

    spec: Spec

    @nn.compact
    def __call__(self, x: Array, taps: Taps, past: Mapping[str, Array] | None = None):
        """Return (stream, captured); `past` holds the keys and values of tokens before, by name."""
        spec, tap = self.spec, taps()

        def named(part: str, value: Array) -> Array:
            return tap(f"{self.name}.{part}", value)

        cache = [past[f"{self.name}.{part}"] for part in CACHE] if past else []
        x = named("residual", x)
        normed = named("attention_norm", norm(spec, "attention_norm")(x))
        x = x + attention(spec, normed, named, cache)
        if not spec.attention_only:
            x = named("residual_middle", x)
            x = x + mlp(spec, named("mlp_norm", norm(spec, "mlp_norm")(x)), named)
        return x, tap.captured


class Network(nn.Module):
    """A network leads from tokens through blocks on a residual stream to predictions."""

    spec: Stream
    block: Any  # the class of the blocks
    vocabulary: int | None
    read_at: tuple[bool, tuple[Any, ...]]  # whether it is a slice, and its numbers

    @nn.compact
    def __call__(self, inputs: Array, taps: Taps, past: Mapping[str, Array] | None = None):
        """Return (predictions, captured) of tokens [B, T] or [B, T, inputs]."""
        spec, tap, law = self.spec, taps(), weight_law(self.spec, self.spec.width)
        before = (past,) if past else ()
        if self.vocabulary:
            embedding = nn.Embed(
                self.vocabulary, spec.width, spec.compute, embedding_init=law, name="read_in"
            )
            x = embedding(inputs)
        else:
            x = end(spec, "read_in", spec.width, inputs, use_bias=spec.bias, dtype=spec.compute)
        if spec.fixed_instruction:  # the first token, one-hot, names a vector that does not learn
            shape = (inputs.shape[-1], spec.width)
            rows = self.param("instructions", nn.initializers.normal(1.0), shape)
            row = jax.lax.stop_gradient(rows)[jnp.argmax(inputs[:, 0], axis=-1)]
            x = x.at[:, 0].set(row.astype(x.dtype))
        x = tap("read_in", x)
        if spec.table:
            rows, start = self.param("positions", law, (spec.table, spec.width)), length(past)
            x = x + rows[None, start : start + x.shape[1]].astype(x.dtype)

        captured: dict[str, Array] = {}
        block = nn.remat(self.block, static_argnums=(2,)) if spec.rematerialise else self.block
        for layer in range(spec.depth):
            x, block_captured = block(spec, name=f"block_{layer}")(x, taps, *before)
            captured |= block_captured

        sliced, numbers = self.read_at
        x = tap("final_residual", x[:, slice(*numbers) if sliced else jnp.array(numbers)])
        x = tap("final_norm", norm(spec, "final_norm")(x)).astype(jnp.float32)
        if spec.tied:
            y = jnp.einsum("btw,vw->btv", x, embedding.embedding)
        else:
            bias = spec.bias and not self.vocabulary
            y = end(spec, "readout", self.vocabulary or 1, x, use_bias=bias, dtype="float32")
        y = tap("readout", y)
        return y if self.vocabulary else y[..., 0], captured | tap.captured


def activations(spec: Spec) -> tuple[str, ...]:
    """Return the names of all that can be captured or edited, in the order of computation."""
    parts = ["residual", "attention_norm", "qkv", *CACHE, "attention_weights", "heads"]
    parts.append("attention_out")
    if not spec.attention_only:
        parts += ["residual_middle", "mlp_norm", "mlp_up", "mlp_hidden", "mlp_down"]
    return layers.activations(spec, parts)


def transformer(
    spec: Spec,
    *,
    inputs: int | None = None,
    vocabulary: int | None = None,
    read_at: ReadAt = slice(None),
) -> Model:
    r"""Build a causal pre-norm transformer: $x \mathrel{+}= A(N(x))$, $x \mathrel{+}= M(N(x))$.

    Give one of the two sizes, and T <= max_positions tokens a prompt.

    Args:
      spec: the sizes.
      inputs: continuous tokens [B, T, inputs]; a scalar out, [B, T].
      vocabulary: discrete tokens [B, T] of int; logits out, [B, T, vocabulary], without a bias.
      read_at: the positions that are read out (all T); the final norm sees only these.

    Activations are read_in (before positions), final_residual, final_norm, readout, and of each
    block: residual and residual_middle [B, T, W], the stream before attention and MLP; keys and
    values [B, T, H, D], rotated where positions are, the cache: what was captured of S tokens lets
    `apply(.., past=captured)` go on from S, once; attention_weights [B, H, T, S], float32; heads
    [B, T, H, D], what each has gathered; mlp_hidden [B, T, mlp_multiple W], after the activation
    function; and the outputs of the layers that `params` names, qkv and swiglu's [gate, up] side by
    side. The input of a linear layer is the name before its own in `Model.activations`.

    With compute = "bfloat16" products and the stream are of that type; parameters, attention
    weights, moments of norms, and the read-out stay float32. The vectors of a fixed instruction
    are drawn from N(0, I).

    Raises ValueError for both sizes or none, tied or instructed tokens of the other kind, more
    tokens than positions.

    Source: Radford et al. 2019 (GPT-2); for continuous tokens and "icl" the code of Garg et al.
    2022; papers 1, 2, 3 and 5 of the project (12 layers of width 256: 9,534,977 parameters).

    >>> model = transformer(Spec(width=8, depth=1, heads=2), inputs=3)
    >>> params = jax.jit(model.init)(jax.random.key(0))
    >>> zero_head = {"block_0.heads": lambda heads: heads.at[:, :, 1].set(0)}
    >>> x, name = jnp.ones((5, 4, 3)), "block_0.attention_weights"
    >>> apply = lambda params, x: model.apply(params, x, edits=zero_head, capture=[name])
    >>> y, seen = jax.jit(apply)(params, x)
    >>> y.shape, seen[name].shape
    ((5, 4), (5, 2, 4, 4))
    """
    network = Network(spec, Block, vocabulary, hashable(read_at))
    return build(network, activations(spec), inputs, longest=spec.table or None, cache=CACHE)
