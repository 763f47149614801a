"""From tokens to predictions through a stack of blocks: what models of sequences share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from plateaus.models.stream import Stream, Taps, end, norm, weight_law
from plateaus.models.taps import Edits, Tap
from plateaus.types import Array, Model, ReadAt

Where = tuple[bool, tuple[Any, ...]]
"""A `ReadAt` as a module may hold it: whether it is a slice, and its numbers."""


class _Stack(nn.Module):
    spec: Stream
    block: Any  # the class of its blocks: (spec, name=...)(x, taps[, past]) -> (x, captured)
    vocabulary: int | None
    read_at: Where
    positions: int  # rows of the table of learned positions; 0: none

    @nn.compact
    def __call__(
        self, inputs: Array, taps: Taps, past: Mapping[str, Array] | None = None
    ) -> tuple[Array, dict[str, Array]]:
        spec, tap = self.spec, taps()
        captured: dict[str, Array] = {}
        law = weight_law(spec, spec.width)
        read_in: Any
        if self.vocabulary is None:
            size, dtype = inputs.shape[-1], spec.compute
            read_in = end(spec, spec.width, size, name="read_in", bias=spec.bias, dtype=dtype)
        else:
            read_in = nn.Embed(
                self.vocabulary, spec.width, spec.compute, embedding_init=law, name="read_in"
            )
        x = read_in(inputs)
        if spec.fixed_instruction:
            rows = self.param("instructions", nn.initializers.normal(1.0), (size, spec.width))
            told = jax.lax.stop_gradient(rows)[jnp.argmax(inputs[:, 0], axis=-1)]
            x = x.at[:, 0].set(told.astype(x.dtype))
        x = tap("read_in", x)
        if self.positions:
            table = self.param("positions", law, (self.positions, spec.width))
            start = _length(past)
            x = x + table[None, start : start + x.shape[1]].astype(x.dtype)
        block = nn.remat(self.block, static_argnums=(2,)) if spec.rematerialise else self.block
        for layer in range(spec.depth):
            before = () if past is None else (past,)
            x, more = block(spec, name=f"block_{layer}")(x, taps, *before)
            captured |= more
        sliced, numbers = self.read_at
        x = tap("final_residual", x[:, slice(*numbers) if sliced else jnp.array(numbers)])
        x = tap("final_norm", norm(spec, "final_norm")(x)).astype(jnp.float32)

        if spec.tied:
            readout = tap("readout", jnp.einsum("btw,vw->btv", x, read_in.embedding))
        else:
            features, bias = (self.vocabulary, False) if self.vocabulary else (1, spec.bias)
            head = end(spec, features, spec.width, name="readout", bias=bias, dtype="float32")
            readout = tap("readout", head(x))
        return readout if self.vocabulary else readout[..., 0], captured | tap.captured


def _length(past: Mapping[str, Array] | None) -> int:
    """Return how many tokens came before."""
    return 0 if past is None else next(iter(past.values())).shape[1]


def layers(spec: Stream, positions: bool = False) -> tuple[str, ...]:
    """Return the names of the layers that learn: the keys of the parameters."""
    table = ("positions",) if positions else ()
    readout = () if spec.tied else ("readout",)
    blocks = (f"block_{layer}" for layer in range(spec.depth))
    return ("read_in", *table, *blocks, "final_norm", *readout)


def activations(spec: Stream, parts: Collection[str]) -> tuple[str, ...]:
    """Return the names of all that can be captured or edited, given those within a block."""
    blocks = (f"block_{layer}.{part}" for layer in range(spec.depth) for part in parts)
    return ("read_in", *blocks, "final_residual", "final_norm", "readout")


def stack(
    spec: Stream,
    block: type[nn.Module],
    names: tuple[str, ...],
    *,
    inputs: int | None,
    vocabulary: int | None,
    read_at: ReadAt,
    positions: int = 0,
    longest: int | None = None,
    cache: Collection[str] = (),
) -> Model:
    """Build a Model of read-in, blocks, final norm and read-out; `names` are its activations.

    `inputs`, `vocabulary` and `read_at` are those of the models built on it. `positions` is the
    size of a table of learned positions, 0 for none; `longest` the most tokens of a prompt; `cache`
    what of every block lets tokens follow others.

    With `fixed_instruction` the first token, one-hot, reads in as a vector of its own that does
    not learn, drawn from N(0, I) with the first weights (paper 3's second form of instructions).

    Raises ValueError for both sizes or none, tied continuous tokens, a fixed instruction among
    discrete ones, more tokens than `longest`.
    """
    if (inputs is None) == (vocabulary is None):
        raise ValueError("give inputs (continuous tokens) or vocabulary (discrete tokens)")
    if spec.tied and vocabulary is None:
        raise ValueError("tied: continuous tokens have no embedding to read out with")
    if spec.fixed_instruction and vocabulary is not None:
        raise ValueError("fixed_instruction: discrete tokens have no one-hot token to replace")
    where: Where = (False, tuple(read_at)) if isinstance(read_at, tuple) else (True, _ends(read_at))
    module = _Stack(spec, block, vocabulary, where, positions)

    def init(key):
        shortest = jnp.zeros((1, 1), jnp.int32) if inputs is None else jnp.zeros((1, 1, inputs))
        return module.init(key, shortest, lambda: Tap(names))["params"]

    held = tuple(f"block_{layer}.{part}" for layer in range(spec.depth) for part in cache)

    def apply(
        params,
        inputs,
        *,
        edits: Edits | None = None,
        capture: Collection[str] = (),
        past: Mapping[str, Array] | None = None,
    ):
        inputs = jnp.asarray(inputs)
        if past is not None and (not held or set(past) != set(held)):
            raise ValueError(f"past must hold {', '.join(held) or 'nothing: there is no cache'}")
        length = _length(past) + inputs.shape[1]
        if longest is not None and length > longest:
            raise ValueError(f"{length} tokens, but max_positions is {longest}")
        more = () if past is None else (past,)
        return module.apply({"params": params}, inputs, lambda: Tap(names, edits, capture), *more)

    return Model(init, apply, names, held)


def _ends(read_at: slice) -> tuple[Any, ...]:
    return read_at.start, read_at.stop, read_at.step  # a slice has no hash before Python 3.12
