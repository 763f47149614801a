"""The multilayer perceptron against numpy, and the law of its first weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from plateaus.models.networks.mlp import ACTIVATIONS, Spec, mlp


def parameters(model, seed=0):
    """None is at a special value, such as a bias of zero."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda x: rng.normal(0, x.shape[0] ** -0.5, x.shape).astype(np.float32),
        jax.eval_shape(model.init, jax.random.key(0)),
    )


def applied(model, params, x, **options):
    """What a compiled model says and captures, in numpy."""
    return jax.tree.map(np.asarray, jax.jit(lambda p, x: model.apply(p, x, **options))(params, x))


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
    params, x = parameters(model), np.random.default_rng(1).standard_normal((11, 7))
    x = x.astype(np.float32)
    predictions, captured = applied(model, params, x, capture=model.activations)
    expected, seen = by_numpy(params, x, depth)
    np.testing.assert_allclose(predictions, expected, rtol=1e-5, atol=1e-6)
    assert set(captured) == set(seen) == set(model.activations)
    for name, value in seen.items():
        np.testing.assert_allclose(captured[name], value, rtol=1e-5, atol=1e-6)


def test_the_network_of_the_paper_has_2521_parameters():
    params = jax.eval_shape(mlp(Spec(), inputs=20).init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 2521


def first_weights(*specs, inputs=20, members=64):
    """The first weights by each spec, from the same keys: {(layer, kind): [members, entries]}."""

    @jax.jit
    def drawn(seed):
        def one(key):
            return [mlp(spec, inputs).init(jax.random.clone(key)) for spec in specs]

        return jax.vmap(one)(jax.random.split(jax.random.key(seed), members))

    return [
        {
            (layer, kind): np.asarray(value).reshape(members, -1)
            for layer, kinds in params.items()
            for kind, value in kinds.items()
        }
        for params in drawn(np.uint32(1))
    ]


def test_first_weights_are_uniform_by_fan_in():
    """Kolmogorov-Smirnov over 64 members; biases too; members and layers are unrelated."""
    (found,) = first_weights(Spec())
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
    (found,) = first_weights(Spec(initialisation=law))
    for layer, fan_in in {"hidden_0": 20, "hidden_1": 40}.items():
        values = found[layer, "kernel"]
        assert abs(values.var() * fan_in / gain - 1) < 4 * np.sqrt(2 / values.size)
        assert not found[layer, "bias"].any()


def test_ablation_and_patching():
    model = mlp(Spec(width=5, depth=2), inputs=3)
    x, other = np.random.default_rng(1).standard_normal((2, 4, 3)).astype(np.float32)

    @jax.jit
    def all_of_it(params, x, other):
        edits = {"hidden_1": jnp.zeros_like}
        ablated = model.apply(params, x, edits=edits, capture=("hidden_1",))
        clean, kept = model.apply(params, other, capture=("hidden_0",))
        patched, _ = model.apply(params, x, edits={"hidden_0": lambda h: kept["hidden_0"]})
        return ablated, clean, patched

    params = parameters(model, seed=2)
    (ablated, seen), clean, patched = all_of_it(params, x, other)
    np.testing.assert_array_equal(ablated, np.full(4, params["readout"]["bias"][0]))
    assert not np.any(seen["hidden_1"])  # an activation is captured as its edit leaves it
    np.testing.assert_array_equal(patched, clean)


@pytest.mark.parametrize("law", ("uniform", "he_normal"))
def test_the_initialisation_scale_multiplies_every_first_weight(law):
    scaled = [Spec(initialisation=law, initialisation_scale=scale) for scale in (1.0, 1, 0.25)]
    default, plain, same, small = first_weights(Spec(initialisation=law), *scaled, members=3)
    for name in default:
        np.testing.assert_array_equal(plain[name], default[name])
        np.testing.assert_array_equal(same[name], default[name])
        np.testing.assert_array_equal(small[name], np.float32(0.25) * default[name])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_vector_of_outputs_and_other_activations(activation):
    value = {"relu": lambda h: np.maximum(h, 0), "tanh": np.tanh, "erf": special.erf}
    value |= {"quadratic": np.square}
    model = mlp(Spec(width=9, depth=1, activation=activation), inputs=4, outputs=3)
    params = parameters(model, seed=4)
    x = np.random.default_rng(2).standard_normal((6, 4))
    said, _ = applied(model, params, x.astype(np.float32))
    first, last = (jax.tree.map(np.float64, params[name]) for name in ("hidden_0", "readout"))
    hidden = value[activation](x @ first["kernel"] + first["bias"])
    assert said.shape == (6, 3)
    np.testing.assert_allclose(said, hidden @ last["kernel"] + last["bias"], rtol=1e-4, atol=1e-5)


def test_one_output_of_a_vector_is_the_number_itself():
    number, vector = mlp(Spec(), inputs=5), mlp(Spec(), inputs=5, outputs=1)
    params, x = parameters(number), np.ones((3, 5), np.float32)
    both = jax.jit(lambda p, x: (number.apply(p, x)[0], vector.apply(p, x)[0]))
    one, column = map(np.asarray, both(params, x))
    np.testing.assert_array_equal(column[:, 0], one)
