"""Hyena: gates and long implicit convolutions, every activation by name."""

from __future__ import annotations

import dataclasses
from typing import Annotated, NamedTuple

import jax.numpy as jnp
from flax import linen as nn

from plateaus.fields import Field
from plateaus.models.layers import (
    ConvolutionWidth,
    MLPMultiple,
    Stream,
    activations,
    linear,
    norm,
    uniform,
)
from plateaus.models.networks.transformer import Network
from plateaus.models.state_space import (
    filter_features,
    filter_window,
    long_convolution,
    short_convolution,
)
from plateaus.models.taps import Taps, build, hashable
from plateaus.types import Array, Model, ReadAt


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec(Stream):
    """The shape of a Hyena and how its weights start."""

    order: Annotated[int, Field(help="gates of a block", low=2, high=16)] = 2
    mlp_multiple: MLPMultiple = 4
    convolution: ConvolutionWidth = 3
    filter_width: Annotated[
        int, Field(help="hidden width of the MLP that makes the filters", low=1, high=4096)
    ] = 64
    filter_depth: Annotated[
        int, Field(help="hidden layers of the MLP that makes the filters", low=1, high=64)
    ] = 3
    filter_bands: Annotated[
        int, Field(help="frequencies at which a filter sees its lag", low=1, high=4096)
    ] = 16
    filter_frequency: Annotated[
        float, Field(help="first frequency of the sines in that MLP", low=0, low_open=True)
    ] = 14.0
    max_positions: Annotated[
        int, Field(help="longest prompt, the unit of a filter's lags", low=1, high=2**20)
    ] = 202


class Knobs(NamedTuple):
    """A Hyena has no traced number of its own."""


class Filters(nn.Module):
    """The implicit filters [order - 1, T, width]: an MLP with sines, of the lag, times a window."""

    spec: Spec

    @nn.compact
    def __call__(self, length: int) -> Array:
        """Return the filters at lags 0 ... length - 1."""
        spec = self.spec
        frequency = self.param(
            "frequency",
            nn.initializers.constant(spec.filter_frequency),
            (spec.filter_width,),
        )
        h = filter_features(length, spec.max_positions, spec.filter_bands)
        for layer in range(spec.filter_depth):
            law = uniform(h.shape[-1] ** -0.5)
            dense = nn.Dense(
                spec.filter_width, kernel_init=law, bias_init=law, name=f"hidden_{layer}"
            )
            h = jnp.sin(frequency[None] * dense(h))
        channels, law = (spec.order - 1) * spec.width, uniform(h.shape[-1] ** -0.5)
        h = nn.Dense(channels, use_bias=False, kernel_init=law, name="out")(h)
        h = h * filter_window(length, spec.max_positions, channels)
        return h.reshape(length, spec.order - 1, spec.width).transpose(1, 0, 2)


class Block(nn.Module):
    """A block adds mixer(norm(x)) to the stream x, then mlp(norm(x))."""

    spec: Spec

    @nn.compact
    def __call__(self, x: Array, taps: Taps) -> tuple[Array, dict[str, Array]]:
        """Return (stream [B, T, width] for the next block, captured)."""
        spec, tap = self.spec, taps()

        def named(part: str, value: Array) -> Array:
            return tap(f"{self.name}.{part}", value)

        x = named("residual", x)
        normed = named("mixer_norm", norm(spec, "mixer_norm")(x))
        channels = (spec.order + 1) * spec.width
        inner = named("mixer_in", linear(spec, "mixer_in", channels, normed))
        law = uniform(spec.convolution**-0.5)
        kernel = self.param("convolution", law, (spec.convolution, channels))
        bias = self.param("convolution_bias", law, (channels,))
        inner = named("convolved", short_convolution(inner, kernel, bias))
        value, *gates, last = jnp.split(inner, spec.order + 1, axis=-1)

        filters = named("filters", Filters(spec, name="filters")(x.shape[1]))
        skip = self.param("skip", nn.initializers.normal(1.0), (spec.order - 1, spec.width))
        for i, gate in enumerate(gates):
            value = gate * value
            value = long_convolution(value, filters[i]) + skip[i][None, None] * value
            value = named(f"mixed_{i}", value)
        value = named("gated", last * value)
        x = x + named("mixer_out", linear(spec, "mixer_out", spec.width, value, writes=True))

        x = named("residual_middle", x)
        normed = named("mlp_norm", norm(spec, "mlp_norm")(x))
        up = named("mlp_up", linear(spec, "mlp_up", spec.mlp_multiple * spec.width, normed))
        hidden = named("mlp_hidden", nn.gelu(up, approximate=True))
        down = linear(spec, "mlp_down", spec.width, hidden, writes=True)
        return x + named("mlp_down", down), tap.captured


def hyena(
    spec: Spec,
    *,
    inputs: int | None = None,
    vocabulary: int | None = None,
    read_at: ReadAt = slice(None),
) -> Model:
    r"""Build a Hyena, of blocks $x \mathrel{+}= H(N(x))$, $x \mathrel{+}= M(N(x))$.

    With n = order, H is: $(v, g^1, \ldots, g^n) = \mathrm{conv}(W_{in} x)$, a short causal
    convolution of each channel; $v \leftarrow h^i * (g^i v) + d^i g^i v$ for i = 1 ... n - 1;
    $H = W_{out} (g^n v)$. The filters are implicit, $h_t = w_t \, \mathrm{MLP}(p_t)$: sines
    $\sin(\omega \cdot)$ with a learned $\omega$, features p of the lag t, a window w that decays.
    M is the MLP of a transformer, with gelu.

    `inputs`, `vocabulary`, `read_at`, the output and ValueErrors are those of `transformer`; there
    are no positions but the lags. A filter's lags are in units of max_positions, T at the most.

    Activations, in every block `block_0`, `block_1`, ... (W the width):

    * residual, residual_middle [B, T, W]: the stream before the mixer and before the MLP.
    * convolved [B, T, (n + 1) W] is [v, gates].
    * filters [n - 1, T, W]: the same for all examples.
    * mixed_0, ... [B, T, W]: v after each long convolution; gated [B, T, W].
    * mlp_hidden [B, T, mlp_multiple W]: after the activation function.
    * mixer_norm, mixer_in, mixer_out, mlp_norm, mlp_up, mlp_down: the outputs of the layers of
      these names in `params`.

    And read_in, final_residual, final_norm, readout. The input of a linear layer is the name before
    its own in `Model.activations`.

    First weights: those of `layers.linear` for linear layers, mixer_out and mlp_down writing to the
    stream; as published, whatever `initialisation_scale`: U(-1, 1)/sqrt(fan in) for convolutions
    and the filters' MLP, biases too, and N(0, 1) for d.

    Source: Poli et al. 2023 (Hyena), sections 3.1 to 3.3, and their code, which has n - 1 long
    filters where definition 3.1 has n: before the first gate only the short convolution. Paper 2 of
    the project, ablations.

    >>> import jax
    >>> model = hyena(Spec(width=8, depth=1), inputs=3)
    >>> params = jax.jit(model.init)(jax.random.key(0))
    >>> apply = jax.jit(model.apply, static_argnames="capture")
    >>> y, seen = apply(params, jnp.ones((5, 4, 3)), capture=("block_0.filters",))
    >>> y.shape, seen["block_0.filters"].shape
    ((5, 4), (1, 4, 8))
    """
    parts = ["residual", "mixer_norm", "mixer_in", "convolved", "filters"]
    parts += [*(f"mixed_{i}" for i in range(spec.order - 1)), "gated", "mixer_out"]
    parts += ["residual_middle", "mlp_norm", "mlp_up", "mlp_hidden", "mlp_down"]
    network = Network(spec, Block, vocabulary, hashable(read_at))
    return build(network, activations(spec, parts), inputs, longest=spec.max_positions)
