"""A causal transformer: continuous or discrete tokens, every activation by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from plateaus.models import stack
from plateaus.models.blocks import CACHE, Block, Spec
from plateaus.models.stream import FEED_FORWARD
from plateaus.types import Model, ReadAt

__all__ = ["Knobs", "Spec", "activations", "check", "layers", "transformer"]


class Knobs(NamedTuple):
    """None: a transformer has no traced number of its own."""


def check(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (field, message) for heads that do not divide the width, or cannot be turned."""
    width, heads = values["width"], values["heads"]
    if width % heads:
        yield "heads", f"must divide model.width ({width})"
    elif values["positions"] == "rotary" and width // heads % 2:
        yield "heads", f"rotary positions turn pairs, but width / heads is odd ({width // heads})"


def layers(spec: Spec) -> tuple[str, ...]:
    """Return the names of the layers that learn: the keys of the parameters.

    >>> layers(Spec(depth=2, tied=True))
    ('read_in', 'positions', 'block_0', 'block_1', 'final_norm')
    """
    return stack.layers(spec, spec.positions == "learned")


def activations(spec: Spec) -> tuple[str, ...]:
    """Return the names of all that can be captured or edited, in the order of computation.

    >>> activations(Spec(depth=1, attention_only=True))[3:6]
    ('block_0.qkv', 'block_0.keys', 'block_0.values')
    """
    parts = ["residual", "attention_norm", "qkv", *CACHE, "attention_weights", "heads"]
    parts.append("attention_out")
    if not spec.attention_only:
        parts += FEED_FORWARD
    return stack.activations(spec, parts)


def transformer(
    spec: Spec,
    *,
    inputs: int | None = None,
    vocabulary: int | None = None,
    read_at: ReadAt = slice(None),
) -> Model:
    r"""Build a causal pre-norm transformer: $x \mathrel{+}= A(N(x))$, $x \mathrel{+}= M(N(x))$.

    Give one of the two sizes, T <= max_positions tokens a prompt:
      inputs: continuous tokens [B, T, inputs] through a linear read-in; a scalar out, [B, T].
      vocabulary: discrete tokens [B, T] of int; logits out, [B, T, vocabulary], without a bias.
    `read_at` are the positions that are read out (default: all T); the final norm sees only these.

    Activations, in every block `block_0`, `block_1`, ... (H heads of size D, W the width):
      residual, residual_middle [B, T, W]: the stream before the attention and before the MLP.
      keys, values [B, T, H, D]: rotated where positions are. They are the cache: of a prefix of S
        tokens, `apply(params, inputs, past=captured)` goes on from token S (no further cache).
      attention_weights [B, H, T, T]: float32, zero above the diagonal.
      heads [B, T, H, D]: what each head has gathered, before the output projection.
      mlp_hidden [B, T, mlp_multiple W]: after the activation function.
      attention_norm, qkv, attention_out, mlp_norm, mlp_up, mlp_down: the outputs of the layers of
      these names in `params`. qkv is [queries, keys, values], each by heads; swiglu's mlp_up is
      [gate, up].
    And read_in (before positions), final_residual, final_norm, readout. The input of a linear layer
    is the name before its own in `Model.activations`.

    With compute = "bfloat16" the products and the stream are bfloat16; parameters, attention
    weights, means and variances of norms, and the read-out stay float32.

    First weights: "gpt2" is N(0, .02^2), over sqrt(2 depth) for attention_out and mlp_down, biases
    zero; "icl" the same between a linear read-in and read-out from U(-1, 1)/sqrt(fan in), biases
    too; "lecun_normal" has N(0, 1/fan in), over sqrt(2 depth) as in gpt2.

    Raises ValueError for both sizes or none, tied continuous tokens, more tokens than positions.

    Source: Radford et al. 2019 (GPT-2); for continuous tokens and "icl" the code of Garg et al.
    2022; papers 1, 2 and 5 of the project (12 layers of width 256: 9,534,977 parameters).

    >>> import jax
    >>> import jax.numpy as jnp
    >>> model = transformer(Spec(width=8, depth=1, heads=2), inputs=3)
    >>> params = jax.jit(model.init)(jax.random.key(0))
    >>> zero_head = {"block_0.heads": lambda heads: heads.at[:, :, 1].set(0)}
    >>> x, name = jnp.ones((5, 4, 3)), "block_0.attention_weights"
    >>> apply = lambda params, x: model.apply(params, x, edits=zero_head, capture=[name])
    >>> y, seen = jax.jit(apply)(params, x)
    >>> y.shape, seen[name].shape
    ((5, 4), (5, 2, 4, 4))
    """
    table = spec.max_positions if spec.positions == "learned" else 0
    return stack.stack(
        spec,
        Block,
        activations(spec),
        inputs=inputs,
        vocabulary=vocabulary,
        read_at=read_at,
        positions=table,
        longest=table or None,
        cache=CACHE,
    )
