"""The multilayer perceptron against numpy, and the law of its first weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from plateaus.models.mlp import ACTIVATIONS, Spec, mlp


def by_numpy(params, x, depth):
    """Predictions and every activation, in float64."""
    params = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
    seen, h = {}, np.asarray(x, np.float64)
    for layer in range(depth):
        one = params[f"hidden_{layer}"]
        h = np.maximum(h @ one["kernel"] + one["bias"], 0.0)
        seen[f"hidden_{layer}"] = h
    seen["readout"] = h @ params["readout"]["kernel"] + params["readout"]["bias"]
    return seen["readout"][:, 0], seen


@pytest.mark.parametrize("depth", (0, 1, 2, 3))
def test_predictions_and_activations(depth):
    model = mlp(Spec(width=13, depth=depth), inputs=7)
    params = jax.jit(model.init)(jax.random.key(0))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((11, 7)), jnp.float32)
    predictions, captured = model.apply(params, x, capture=model.activations)
    expected, seen = by_numpy(params, x, depth)
    np.testing.assert_allclose(predictions, expected, rtol=1e-5, atol=1e-6)
    assert set(captured) == set(seen) == set(model.activations)
    for name, value in seen.items():
        np.testing.assert_allclose(captured[name], value, rtol=1e-5, atol=1e-6)


def test_the_network_of_the_paper_has_2521_parameters():
    params = jax.eval_shape(mlp(Spec(), inputs=20).init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 2521


def first_weights(spec, inputs, members=64):
    model = mlp(spec, inputs)
    params = jax.jit(jax.vmap(model.init))(jax.random.split(jax.random.key(1), members))
    return {
        (layer, kind): np.asarray(value).reshape(members, -1)
        for layer, kinds in params.items()
        for kind, value in kinds.items()
    }


def test_first_weights_are_uniform_by_fan_in():
    """Kolmogorov-Smirnov over 64 members; biases too; members and layers are unrelated."""
    found = first_weights(Spec(), inputs=20)
    fan_in = {"hidden_0": 20, "hidden_1": 40, "readout": 40}
    for (layer, kind), values in found.items():
        scaled = values * np.sqrt(fan_in[layer])
        assert np.abs(scaled).max() <= 1.0 + 1e-6, (layer, kind)
        assert stats.kstest(scaled.ravel(), "uniform", (-1, 2)).pvalue > 1e-4, (layer, kind)
    kernel = found["hidden_1", "kernel"]
    assert abs(np.corrcoef(kernel[0], kernel[1])[0, 1]) < 4 / np.sqrt(kernel.shape[1])
    head = found["readout", "kernel"]
    assert abs(np.corrcoef(head.ravel(), found["hidden_1", "bias"].ravel())[0, 1]) < 4 / np.sqrt(
        head.size
    )


@pytest.mark.parametrize(("law", "gain"), [("lecun_normal", 1.0), ("he_normal", 2.0)])
def test_normal_first_weights(law, gain):
    """Variance gain / fan in; biases zero."""
    found = first_weights(Spec(initialisation=law), inputs=20)
    for layer, fan_in in {"hidden_0": 20, "hidden_1": 40}.items():
        values = found[layer, "kernel"]
        assert abs(values.var() * fan_in / gain - 1) < 4 * np.sqrt(2 / values.size)
        assert not found[layer, "bias"].any()


def test_ablation_and_patching():
    model = mlp(Spec(width=5, depth=2), inputs=3)
    params = jax.jit(model.init)(jax.random.key(2))
    x, other = jnp.asarray(np.random.default_rng(1).standard_normal((2, 4, 3)), jnp.float32)
    ablated, seen = model.apply(
        params, x, edits={"hidden_1": jnp.zeros_like}, capture=("hidden_1",)
    )
    np.testing.assert_array_equal(ablated, np.full(4, params["readout"]["bias"][0]))
    assert not np.any(seen["hidden_1"])  # an activation is captured as its edit leaves it
    clean, kept = model.apply(params, other, capture=("hidden_0",))
    patched, _ = model.apply(params, x, edits={"hidden_0": lambda h: kept["hidden_0"]})
    np.testing.assert_array_equal(patched, clean)


@pytest.mark.parametrize("law", ("uniform", "he_normal"))
def test_the_initialisation_scale_multiplies_every_first_weight(law):
    plain, same, small = (
        first_weights(Spec(initialisation=law, initialisation_scale=scale), 20, members=3)
        for scale in (1.0, 1, 0.25)
    )
    default = first_weights(Spec(initialisation=law), 20, members=3)
    for name in default:
        np.testing.assert_array_equal(plain[name], default[name])
        np.testing.assert_array_equal(same[name], default[name])
        np.testing.assert_array_equal(small[name], np.float32(0.25) * default[name])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_vector_of_outputs_and_other_activations(activation):
    value = {"relu": lambda h: np.maximum(h, 0), "tanh": np.tanh, "erf": special.erf}
    value |= {"quadratic": np.square}
    model = mlp(Spec(width=9, depth=1, activation=activation), inputs=4, outputs=3)
    params = jax.jit(model.init)(jax.random.key(4))
    x = np.random.default_rng(2).standard_normal((6, 4))
    said, _ = model.apply(params, jnp.asarray(x, jnp.float32))
    first, last = (jax.tree.map(np.float64, params[name]) for name in ("hidden_0", "readout"))
    hidden = value[activation](x @ first["kernel"] + first["bias"])
    assert said.shape == (6, 3)
    np.testing.assert_allclose(said, hidden @ last["kernel"] + last["bias"], rtol=1e-4, atol=1e-5)


def test_one_output_of_a_vector_is_the_number_itself():
    number, vector = mlp(Spec(), inputs=5), mlp(Spec(), inputs=5, outputs=1)
    params = jax.jit(number.init)(jax.random.key(0))
    x = jnp.ones((3, 5))
    np.testing.assert_array_equal(vector.apply(params, x)[0][:, 0], number.apply(params, x)[0])
