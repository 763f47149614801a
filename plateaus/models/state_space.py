"""Sequence mixing without attention: selective scans and causal convolutions, pure functions."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from plateaus.types import Array, Float

# Hyena's windows have decayed to TARGET after these shares of the longest prompt.
TARGET, FASTEST, SLOWEST = 1e-2, 0.3, 1.5


def linear_recurrence(
    decay: Float[Array, "B T *state"], drive: Float[Array, "B T *state"]
) -> Float[Array, "B T *state"]:
    r"""Return $h_t = a_t h_{t-1} + b_t$ from $h_0 = 0$, elementwise, in log T parallel steps.

    Two steps in a row, $(a, b)$ then $(a', b')$, are the one step $(a' a, a' b + b')$: associative.

    Source: Blelloch 1990 (prefix sums), section 1.4.

    >>> jax.jit(linear_recurrence)(jnp.full((1, 4), 0.5), jnp.ones((1, 4))).tolist()
    [[1.0, 1.5, 1.75, 1.875]]
    """

    def both(first: tuple[Array, Array], then: tuple[Array, Array]) -> tuple[Array, Array]:
        return then[0] * first[0], then[0] * first[1] + then[1]

    return jax.lax.associative_scan(both, (decay, drive), axis=1)[1]


def selective_states(
    inputs: Float[Array, "B T C"],
    delta: Float[Array, "B T C"],
    rates: Float[Array, "C N"],
    write: Float[Array, "B T N"],
) -> Float[Array, "B T C N"]:
    r"""Return the states $h_t = e^{\Delta_t A} h_{t-1} + \Delta_t B_t x_t$ of C inputs, N to each.

    `rates` is A < 0, `write` is B: as the step sizes `delta`, it depends on the token, so that a
    token selects whether the state is written ($\Delta$ large) or kept ($\Delta = 0$).

    Source: Gu and Dao 2023 (Mamba), equations 2a and 4, algorithm 2; B by Euler's rule, as in their
    code.

    >>> x, kept = jnp.ones((1, 3, 1)), jnp.array([1.0, 0.0, 0.0]).reshape(1, 3, 1)
    >>> states = jax.jit(selective_states)(x, kept, -jnp.ones((1, 1)), jnp.ones((1, 3, 1)))
    >>> states.ravel().tolist()
    [1.0, 1.0, 1.0]
    """
    decay = jnp.exp(delta[..., None] * rates[None, None])
    return linear_recurrence(decay, (delta * inputs)[..., None] * write[:, :, None, :])


def short_convolution(
    values: Float[Array, "B T C"], kernel: Float[Array, "K C"], bias: Float[Array, " C"]
) -> Float[Array, "B T C"]:
    r"""Return $y_t = b + \sum_{k < K} w_k x_{t-k}$, each channel by itself, causal.

    A sum of shifted products: K is small, and each gradient stays elementwise.

    >>> x = jnp.array([1.0, 10.0, 100.0]).reshape(1, 3, 1)
    >>> jax.jit(short_convolution)(x, jnp.array([[1.0], [2.0]]), jnp.zeros(1)).ravel().tolist()
    [1.0, 12.0, 120.0]
    """
    length = values.shape[1]
    past = jnp.pad(values, ((0, 0), (kernel.shape[0] - 1, 0), (0, 0)))
    total = bias[None, None]
    for k in range(kernel.shape[0]):
        start = kernel.shape[0] - 1 - k
        total = total + kernel[None, k : k + 1] * past[:, start : start + length]
    return total


def long_convolution(
    values: Float[Array, "B T C"], filters: Float[Array, "T C"]
) -> Float[Array, "B T C"]:
    r"""Return $y_t = \sum_{s \le t} h_{t-s} x_s$, each channel by itself, by FFT.

    Of length 2T, padded with zeros: what a circular convolution wraps round is cut off.

    Source: Poli et al. 2023 (Hyena), section 2.1.

    >>> x = jnp.array([1.0, 10.0, 100.0]).reshape(1, 3, 1)
    >>> jax.jit(long_convolution)(x, jnp.array([[1.0], [2.0], [3.0]])).ravel().round().tolist()
    [1.0, 12.0, 123.0]
    """
    length = values.shape[1]
    spectrum = jnp.fft.rfft(values, 2 * length, axis=1)
    response = jnp.fft.rfft(filters, 2 * length, axis=0)
    return jnp.fft.irfft(spectrum * response[None], 2 * length, axis=1)[:, :length]


def filter_features(length: int, longest: int, bands: int) -> Float[Array, "T F"]:
    r"""Return what a filter knows of its lag t: $t/(L-1)$, $\cos$ and $-\sin$ of $2\pi k t / L$.

    L is `longest`, k = 0 ... bands - 1, F = 1 + 2 bands.

    Source: Poli et al. 2023 (Hyena), appendix D.3.

    >>> features = jax.jit(filter_features, static_argnums=(0, 1, 2))
    >>> [f"{abs(x):.2f}" for x in features(3, 4, 2)[1].tolist()]  # a quarter of the period
    ['0.33', '1.00', '0.00', '0.00', '1.00']
    """
    time = jnp.arange(length, dtype=jnp.float32)[:, None]
    angle = time * (2 * math.pi / longest * jnp.arange(bands, dtype=jnp.float32))[None]
    return jnp.concatenate([time / max(longest - 1, 1), jnp.cos(angle), -jnp.sin(angle)], axis=1)


def filter_window(length: int, longest: int, channels: int) -> Float[Array, "T C"]:
    r"""Return $e^{-\alpha_c t/(L-1)}$, the decay of the filter of channel c with the lag t.

    The rates are evenly spaced: the window of the first channel is down to 1/100 after 1.5 L, that
    of the last after 0.3 L. L is `longest`.

    Source: Poli et al. 2023 (Hyena), section 3.3 and their code.

    >>> window = jax.jit(filter_window, static_argnums=(0, 1, 2))
    >>> [f"{x:.4f}" for x in window(4, 11, 2)[3].tolist()]
    ['0.3981', '0.0100']
    """
    alpha = jnp.linspace(-math.log(TARGET) / SLOWEST, -math.log(TARGET) / FASTEST, channels)
    time = jnp.arange(length, dtype=jnp.float32)[:, None] / max(longest - 1, 1)
    return jnp.exp(-time * alpha[None])
