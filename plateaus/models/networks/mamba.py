"""Mamba: a selective state space model, every activation by name."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from plateaus.fields import Field
from plateaus.models.layers import (
    Bias,
    ConvolutionWidth,
    Initialisation,
    Norm,
    Stream,
    activations,
    linear,
    norm,
    uniform,
)
from plateaus.models.networks.transformer import Network
from plateaus.models.state_space import selective_states, short_convolution
from plateaus.models.taps import Taps, build, hashable
from plateaus.types import Array, Model, ReadAt

SHORTEST, LONGEST = 1e-3, 1e-1  # of the first step sizes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec(Stream):
    """The shape of a Mamba and how its weights start."""

    expand: Annotated[
        int, Field(help="channels of the mixer in multiples of the width", low=1, high=64)
    ] = 2
    state_size: Annotated[int, Field(help="states of a channel", low=1, high=1024)] = 16
    convolution: ConvolutionWidth = 4
    norm: Norm = "rmsnorm"
    bias: Bias = False
    initialisation: Initialisation = "lecun_normal"

    @property
    def channels(self) -> int:
        """How many inputs the state space model has."""
        return self.expand * self.width

    @property
    def delta_rank(self) -> int:
        """The rank of the map from channels to their step sizes."""
        return math.ceil(self.width / 16)


class Knobs(NamedTuple):
    """A Mamba has no traced number of its own."""


def _step_sizes(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Return biases that make the first step sizes log-uniform in [SHORTEST, LONGEST]."""
    low, high = math.log(SHORTEST), math.log(LONGEST)
    size = jnp.exp(jax.random.uniform(key, shape, dtype, low, high))
    return size + jnp.log(-jnp.expm1(-size))  # softplus of it is the size


def _log_rates(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Return log(1), ..., log(N) for every channel: A = -n, as S4D-Real has it."""
    return jnp.broadcast_to(jnp.log(jnp.arange(1, shape[1] + 1, dtype=dtype))[None], shape)


class Block(nn.Module):
    """A block adds mixer(norm(x)) to the stream x."""

    spec: Spec

    @nn.compact
    def __call__(self, x: Array, taps: Taps) -> tuple[Array, dict[str, Array]]:
        """Return (stream [B, T, width] for the next block, captured)."""
        spec, tap = self.spec, taps()
        channels, states, rank = spec.channels, spec.state_size, spec.delta_rank

        def named(part: str, value: Array) -> Array:
            return tap(f"{self.name}.{part}", value)

        x = named("residual", x)
        normed = named("mixer_norm", norm(spec, "mixer_norm")(x))
        inner = named("mixer_in", linear(spec, "mixer_in", 2 * channels, normed))
        u, gate = jnp.split(inner, 2, axis=-1)

        law = uniform(spec.convolution**-0.5)
        kernel = self.param("convolution", law, (spec.convolution, channels))
        bias = self.param("convolution_bias", law, (channels,))
        u = named("convolved", nn.silu(short_convolution(u, kernel, bias)))

        features = rank + 2 * states
        selection = named("selection", linear(spec, "selection", features, u, bias=False))
        low_rank, write, read = jnp.split(selection, (rank, rank + states), axis=-1)
        delta = linear(
            spec,
            "delta",
            channels,
            low_rank,
            bias=True,
            law=uniform(rank**-0.5),
            bias_law=_step_sizes,
        )
        delta = nn.softplus(named("delta", delta))
        rates = -jnp.exp(self.param("log_rates", _log_rates, (channels, states)))
        held = named("states", selective_states(u, delta, rates, write))
        skip = self.param("skip", nn.initializers.ones, (channels,))
        y = jnp.einsum("btcn,btn->btc", held, read) + skip[None, None] * u
        y = named("gated", y * nn.silu(gate))
        out = linear(spec, "mixer_out", spec.width, y, writes=True)
        return x + named("mixer_out", out), tap.captured


PARTS = (
    *("residual", "mixer_norm", "mixer_in", "convolved", "selection", "delta"),
    *("states", "gated", "mixer_out"),
)


def mamba(
    spec: Spec,
    *,
    inputs: int | None = None,
    vocabulary: int | None = None,
    read_at: ReadAt = slice(None),
) -> Model:
    r"""Build a Mamba: blocks $x \mathrel{+}= M(N(x))$ between a linear read-in and read-out.

    With C = expand * width channels, N states to each, and r = width / 16 rounded up, M is:
    $u, z = W_{in} x$; $u \leftarrow \mathrm{silu}(\mathrm{conv}(u))$, causal, each channel by
    itself; $(\delta, B, C) = W_{sel} u$ of sizes r, N, N; $\Delta = \mathrm{softplus}(W_\Delta
    \delta + b_\Delta)$; $h_t = e^{\Delta_t A} h_{t-1} + \Delta_t B_t u_t$, $A = -e^{A_{log}}$;
    $M = W_{out} [(C_t h_t + D u_t) \, \mathrm{silu}(z_t)]$.

    `inputs`, `vocabulary`, `read_at`, the output and ValueErrors are those of `transformer`; there
    are no positions, and a prompt may have any length.

    Activations, in every block `block_0`, `block_1`, ...:

    * residual [B, T, width]: the stream before the block.
    * mixer_in [B, T, 2C] is [u, z]; convolved [B, T, C] is u after the convolution and silu.
    * selection [B, T, r + 2N] is [delta, B, C]; delta [B, T, C] is before the softplus.
    * states [B, T, C, N]; gated [B, T, C].
    * mixer_norm, mixer_in, selection, delta, mixer_out: the outputs of the layers of these names
      in `params`.

    And read_in, final_residual, final_norm, readout. The input of a linear layer is the name before
    its own in `Model.activations` (of delta, its first r columns).

    First weights: those of `layers.linear` for linear layers, mixer_out writing to the stream; as
    published, whatever `initialisation_scale`: $A = -(1, \ldots, N)$, $D = 1$, U(-1, 1)/sqrt(fan
    in) for the convolution and $W_\Delta$, and biases that make $\Delta$ log-uniform in [.001, .1].

    Source: Gu and Dao 2023 (Mamba), sections 3.2 to 3.6 and their code; paper 2 of the project,
    ablations.

    >>> model = mamba(Spec(width=8, depth=1), inputs=3)
    >>> params = jax.jit(model.init)(jax.random.key(0))
    >>> apply = jax.jit(model.apply, static_argnames="capture")
    >>> y, seen = apply(params, jnp.ones((5, 4, 3)), capture=("block_0.states",))
    >>> y.shape, seen["block_0.states"].shape
    ((5, 4), (5, 4, 16, 16))
    """
    network = Network(spec, Block, vocabulary, hashable(read_at))
    return build(network, activations(spec, PARTS), inputs)
