"""Scans, convolutions, Mamba and Hyena against plain numpy loops in float64."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.gram.engine import capture, gram
from plateaus.models import state_space
from plateaus.models.networks import hyena, mamba

B, T, W = 2, 7, 8
MODELS = {
    "mamba": (mamba.mamba, mamba.Spec(width=W, depth=2, state_size=3)),
    "hyena": (hyena.hyena, hyena.Spec(width=W, depth=2, order=3, filter_width=5, max_positions=9)),
}
models = pytest.mark.parametrize("name", MODELS)


def drawn(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def close(found, wanted, tolerance=2e-6):
    """Relative to the largest entry: float32 beside float64."""
    wanted = np.asarray(wanted, np.float64)
    assert found.shape == wanted.shape
    assert np.abs(np.asarray(found, np.float64) - wanted).max() <= tolerance * np.abs(wanted).max()


def double(tree):
    return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


def silu(x):
    return x / (1 + np.exp(-x))


# ---- the functions


@pytest.mark.parametrize("length", (1, 2, 5, 8, 13))
def test_the_parallel_scan_is_the_loop(length):
    decay, drive = drawn(0, B, length, 3, 2), drawn(1, B, length, 3, 2)
    state, states = np.zeros((B, 3, 2)), []
    for t in range(length):
        state = decay[:, t].astype(np.float64) * state + drive[:, t]
        states.append(state)
    close(jax.jit(state_space.linear_recurrence)(decay, drive), np.stack(states, axis=1))


def test_a_step_of_size_zero_keeps_the_state_and_a_large_one_forgets():
    inputs, write = drawn(0, 1, 3, 2), drawn(1, 1, 3, 4)
    delta = np.float32([1.0, 0.0, 50.0])[None, :, None] * np.ones((1, 3, 2), np.float32)
    rates = -np.ones((2, 4), np.float32)
    states = np.asarray(jax.jit(state_space.selective_states)(inputs, delta, rates, write))
    np.testing.assert_array_equal(states[0, 1], states[0, 0])
    last = 50.0 * inputs[0, 2][:, None] * write[0, 2][None]
    np.testing.assert_allclose(states[0, 2], last, rtol=1e-6)


@pytest.mark.parametrize("length", (1, 2, 7, 16))
def test_convolutions_are_numpys(length):
    x, filters, bias = drawn(0, B, length, 3), drawn(1, length, 3), drawn(2, 3)

    def direct(kernel):
        channels = [
            [
                np.convolve(np.float64(x[b, :, c]), np.float64(kernel[:, c]))[:length]
                for b in range(B)
            ]
            for c in range(3)
        ]
        return np.transpose(channels, (1, 2, 0))

    @jax.jit
    def both(x, filters, kernel, bias):
        long = state_space.long_convolution(x, filters)
        return long, state_space.short_convolution(x, kernel, bias)

    kernel = drawn(3, 4, 3)  # longer than some of the prompts
    long, short = both(x, filters, kernel, bias)
    close(long, direct(filters))
    close(short, direct(kernel) + bias)


def test_filters_know_their_lag_and_decay_with_it():
    made = jax.jit(
        lambda: (state_space.filter_features(5, 9, 3), state_space.filter_window(9, 9, 4))
    )
    features, window = map(np.asarray, made())
    for t in range(5):
        turn = np.exp(-2j * np.pi * np.arange(3) * t / 9)  # their code's complex exponentials
        close(features[t], [t / 8, *turn.real, *turn.imag], 1e-6)
    np.testing.assert_array_equal(window[0], 1)
    rates = -np.log(np.asarray(window[8], np.float64))  # per longest prompt
    np.testing.assert_allclose(
        rates, np.linspace(np.log(100) / 1.5, np.log(100) / 0.3, 4), rtol=1e-5
    )


# ---- the models


def parameters(model):
    """None is at a special value, such as a bias of zero."""
    rng, near_one = np.random.default_rng(1), ("scale", "skip", "frequency")
    return jax.tree_util.tree_map_with_path(
        lambda path, x: np.asarray(rng.normal(path[-1].key in near_one, 0.3, x.shape), np.float32),
        jax.eval_shape(model.init, jax.random.key(0)),
    )


@functools.cache
def built(name):
    """(model, parameters, inputs [B, T, 3])."""
    make, spec = MODELS[name]
    model = make(spec, inputs=3)
    return model, parameters(model), drawn(2, B, T, 3)


@functools.cache
def forward(name):
    """Return (outputs, activations) of a forward pass."""
    model, params, inputs = built(name)
    call = jax.jit(lambda p, x: model.apply(p, x, capture=model.activations))
    return jax.tree.map(np.asarray, call(params, inputs))


def seen(name):
    """What a forward pass captures, and the first block's parameters, in float64."""
    return double(forward(name)[1]), double(built(name)[1]["block_0"])


def test_the_mixer_of_mamba_is_a_recurrence_step_by_step():
    captured, p = seen("mamba")
    spec = MODELS["mamba"][1]
    channels, states, rank = 2 * W, 3, 1
    assert (spec.channels, spec.delta_rank) == (channels, rank)
    normed, found = captured["block_0.mixer_norm"], captured["block_0.mixer_out"]
    for b in range(B):
        past, h = np.zeros((4, channels)), np.zeros((channels, states))
        for t in range(T):  # what one token does, given the last four and the state
            u, z = np.split(normed[b, t] @ p["mixer_in"]["kernel"], 2)
            past = np.concatenate([u[None], past[:-1]])
            u = silu(p["convolution_bias"] + (p["convolution"] * past).sum(0))
            low, write, read = np.split(u @ p["selection"]["kernel"], [rank, rank + states])
            delta = np.log1p(np.exp(low @ p["delta"]["kernel"] + p["delta"]["bias"]))
            rates = -np.exp(p["log_rates"])
            for c in range(channels):
                h[c] = np.exp(delta[c] * rates[c]) * h[c] + delta[c] * write * u[c]
            close(captured["block_0.states"][b, t], h, 1e-5)
            y = (h @ read + p["skip"] * u) * silu(z)
            close(found[b, t], y @ p["mixer_out"]["kernel"], 1e-5)


def test_the_mixer_of_hyena_is_gates_and_sums_over_the_past():
    captured, p = seen("hyena")
    normed, found = captured["block_0.mixer_norm"], captured["block_0.mixer_out"]
    h, f = jax.jit(lambda: state_space.filter_features(T, 9, 16))(), p["filters"]
    h = np.asarray(h, np.float64)
    for layer in range(3):
        dense = f[f"hidden_{layer}"]
        h = np.sin(f["frequency"] * (h @ dense["kernel"] + dense["bias"]))
    rates = np.linspace(np.log(100) / 1.5, np.log(100) / 0.3, 2 * W)
    h = h @ f["out"]["kernel"] * np.exp(-np.arange(T)[:, None] / 8 * rates)
    filters = [h[:, :W], h[:, W:]]
    close(captured["block_0.filters"], np.stack(filters), 1e-4)  # of sines of large angles

    for b in range(B):
        inner = normed[b] @ p["mixer_in"]["kernel"] + p["mixer_in"]["bias"]
        conv = [
            p["convolution_bias"]
            + sum(p["convolution"][k] * inner[t - k] for k in range(min(3, t + 1)))
            for t in range(T)
        ]
        v, *gates = np.split(np.stack(conv), 4, axis=1)
        for i in range(2):
            v = gates[i] * v
            past = [sum(filters[i][t - s] * v[s] for s in range(t + 1)) for t in range(T)]
            v = np.stack(past) + p["skip"][i] * v
        v = (gates[2] * v) @ p["mixer_out"]["kernel"] + p["mixer_out"]["bias"]
        close(found[b], v, 1e-4)


@models
def test_no_output_depends_on_a_later_token(name):
    model, params, inputs = built(name)
    slopes = jax.jit(jax.jacrev(lambda x, p: model.apply(p, x[None])[0][0]))(inputs[0], params)
    size = np.abs(np.asarray(slopes)).max(-1)  # [T out, T in]
    past = np.tril(np.ones((T, T), bool))
    assert size[past].min() > 1e-4 * size.max()
    # the transform of a convolution rounds; the scan does not
    assert size[~past].max() <= (1e-6 * size.max() if name == "hyena" else 0)


@models
def test_a_prompt_is_read_the_same_whatever_follows(name):
    model, params, inputs = built(name)
    whole, _ = forward(name)
    short, _ = jax.jit(model.apply)(params, inputs[:, :4])
    np.testing.assert_allclose(whole[:, :4], short, atol=2e-6 * np.abs(whole).max())


def shallow(name, **changes):
    spec = MODELS[name][1]
    return type(spec)(**{**vars(spec), "depth": 1, **changes})


def count(name, **sizes):
    make, spec = MODELS[name]
    shapes = jax.eval_shape(make(spec, **sizes).init, jax.random.key(0))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def test_parameters_by_formula():
    C, N, R = 2 * W, 3, 1
    block = W + W * 2 * C + 4 * C + C + C * (R + 2 * N) + R * C + C + C * N + C + C * W
    assert count("mamba", inputs=3) == 3 * W + 2 * block + W + W
    assert count("mamba", vocabulary=11) == 11 * W + 2 * block + W + 11 * W
    F, n = 5, 3
    filters = F + (33 * F + F) + 2 * (F * F + F) + F * (n - 1) * W
    mixer = W * 4 * W + 4 * W + 3 * 4 * W + 4 * W + (n - 1) * W + W * W + W
    block = 2 * W + mixer + filters + 2 * W + W * 4 * W + 4 * W + 4 * W * W + W
    assert count("hyena", inputs=3) == 3 * W + W + 2 * block + 2 * W + W + 1
    assert count("hyena", vocabulary=11) == 11 * W + 2 * block + 2 * W + 11 * W


def test_first_weights_as_published():
    spec = mamba.Spec(width=64, depth=1, initialisation_scale=3.0)
    init = mamba.mamba(spec, inputs=2).init
    block = jax.jit(lambda seed: init(jax.random.key(seed, impl="unsafe_rbg"))["block_0"])
    block = jax.tree.map(np.asarray, block(np.uint32(0)))
    np.testing.assert_allclose(-jnp.exp(block["log_rates"]), -np.tile(np.arange(1.0, 17), (128, 1)))
    np.testing.assert_array_equal(block["skip"], 1)
    sizes = np.log10(np.log1p(np.exp(np.float64(block["delta"]["bias"]))))
    assert -3 <= sizes.min() < -2.8 and -1.2 < sizes.max() <= -1  # of 128 draws in [-3, -1]
    assert abs(sizes.mean() + 2) < 4 * (2 / 12**0.5) / 128**0.5
    for value, fan_in in ((block["convolution"], 4), (block["delta"]["kernel"], 4)):
        assert 0.9 < np.abs(value).max() * fan_in**0.5 <= 1
    assert abs(np.std(block["mixer_in"]["kernel"]) * 8 / 3 - 1) < 0.05
    assert abs(np.std(block["mixer_out"]["kernel"]) * 128**0.5 * 2**0.5 / 3 - 1) < 0.05


@models
def test_discrete_tokens_read_at_some_positions(name):
    make, spec = MODELS[name][0], shallow(name)
    tokens = np.random.default_rng(0).integers(5, size=(B, T))
    whole, some = (make(spec, vocabulary=5, read_at=at) for at in (slice(None), slice(1, None, 2)))
    params = parameters(whole)
    both = jax.jit(lambda p, x: (whole.apply(p, x)[0], some.apply(p, x)[0]))
    logits, few = map(np.asarray, both(params, tokens))
    assert logits.shape == (B, T, 5)
    np.testing.assert_allclose(few, logits[:, 1::2], rtol=1e-5, atol=1e-6)


def test_a_prompt_beyond_the_longest_is_refused_by_hyena_alone():
    model, params, _ = built("hyena")
    with pytest.raises(ValueError, match="10 tokens, but max_positions is 9"):
        jax.eval_shape(model.apply, params, np.zeros((1, 10, 3), np.float32))
    model, params, _ = built("mamba")
    assert jax.eval_shape(model.apply, params, np.zeros((1, 300, 3), np.float32))[0].shape == (
        1,
        300,
    )


@models
def test_inner_products_of_gradients_of_rematerialised_blocks(name):
    """The scan and the transforms in a block that is computed again; a fallback would warn."""
    model = MODELS[name][0](shallow(name, rematerialise=True), inputs=3)
    plain = MODELS[name][0](shallow(name), inputs=3)

    def loss(model):
        return lambda p, x: jnp.sum(model.apply(p, x[None])[0] ** 2)

    @jax.jit
    def both(params, inputs):
        found = gram(capture(loss(model), params, inputs)[1])
        return found, jax.vmap(jax.grad(loss(plain)), (None, 0))(params, inputs)

    found, each = both(parameters(model), drawn(2, B, T, 3))
    flat = np.concatenate([np.float64(x).reshape(B, -1) for x in jax.tree.leaves(each)], axis=1)
    close(found, flat @ flat.T, 1e-5)
