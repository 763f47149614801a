"""Learning rates by layer: exact where neutral, frozen at 0, traced, and refused where unknown."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plateaus.build.registry import OPTIM
from plateaus.config.schema import entries
from plateaus.optim.layers import layer_rates
from plateaus.optim.optimisers import FAMILIES, Knobs, Spec, knobs_with_rates, optimiser

LAYERS = ("hidden_0", "hidden_1", "readout")
RATES = frozenset(f"rate_{layer}" for layer in LAYERS)


@pytest.fixture
def params():
    generator = np.random.default_rng(0)
    return {
        layer: {
            "kernel": np.float32(generator.normal(size=(3, 2))),
            "bias": np.ones(2, np.float32),
        }
        for layer in LAYERS
    }


def cosines(params, number=0):
    """The gradient of sum(sin(p)), wherever it is asked for."""
    del number
    return jax.tree.map(jnp.cos, params)


@functools.partial(jax.jit, static_argnums=0)
def trained(transformation, params):
    """Parameters after five steps down sum(sin(p))."""
    transformation = optax.with_extra_args_support(transformation)

    def step(carry, _):
        params, state = carry
        gradients = cosines(params)
        updates, state = transformation.update(gradients, state, params, grad_fn=cosines)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, transformation.init(params)), None, 5)[0][0]


def equal(a, b):
    return [bool(np.all(x == y)) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True)]


def test_a_factor_of_one_changes_no_bit(params):
    updates = jax.tree.map(lambda x: x * np.float32(1e-30), params)
    for one in (1.0, jnp.float32(1.0)):
        transformation = layer_rates(dict.fromkeys(LAYERS, one))
        scaled, _ = transformation.update(updates, transformation.init(params))
        assert all(equal(scaled, updates))
    assert jax.tree.structure(scaled) == jax.tree.structure(updates)


@pytest.mark.parametrize("family", FAMILIES)
def test_zero_freezes_a_layer_and_leaves_the_others(family, params):
    """Under Adam too, where a gradient's scale would hardly matter; bit for bit."""
    base = optimiser(Spec(name=family), frozenset())(Knobs(learning_rate=0.1))
    frozen = trained(optax.chain(base, layer_rates({"readout": 0.0})), params)
    plain = trained(base, params)
    assert all(equal(frozen["readout"], params["readout"]))
    assert not any(equal(plain["readout"], params["readout"]))
    for layer in LAYERS[:2]:
        assert all(equal(frozen[layer], plain[layer]))


def test_half_the_rate_is_half_the_update(params):
    transformation = layer_rates({"hidden_1": 0.5})
    scaled, _ = transformation.update(params, transformation.init(params))
    np.testing.assert_array_equal(scaled["hidden_1"]["kernel"], params["hidden_1"]["kernel"] / 2)
    assert all(equal(scaled["hidden_0"], params["hidden_0"]))


@pytest.mark.parametrize(("layer", "near"), [("readuot", "readout"), ("hidden_7", "hidden_")])
def test_a_layer_that_is_not_there_is_refused_with_the_nearest(layer, near, params):
    with pytest.raises(ValueError, match=f"no layer '{layer}'; did you mean {near}"):
        layer_rates({layer: 1.0}).init(params)


def test_factors_are_traced_and_mapped(params):
    """Lanes of one program, each what its own number gives."""
    built = optimiser(Spec(name="adam"), RATES)
    knobs = knobs_with_rates(LAYERS)

    @jax.jit
    @jax.vmap
    def run(factor):
        return trained(built(knobs(learning_rate=0.1, rate_hidden_1=factor)), params)

    lanes = jax.tree.map(np.asarray, run(np.float32([0.0, 0.5, 1.0, 10.0])))
    for i, factor in enumerate((0.0, 0.5, 1.0, 10.0)):
        alone = trained(built(knobs(learning_rate=0.1, rate_hidden_1=factor)), params)
        for found, wanted in zip(*map(jax.tree.leaves, (lanes, alone)), strict=True):
            np.testing.assert_allclose(found[i], wanted, rtol=1e-5, atol=1e-6)
    moved = np.abs(lanes["hidden_1"]["bias"] - 1.0).mean(axis=1)
    assert moved[0] == 0 and np.all(np.diff(moved) > 0)
    assert np.all(lanes["hidden_0"]["bias"] == lanes["hidden_0"]["bias"][:1])


def test_each_layer_has_a_knob_of_its_own():
    made = knobs_with_rates(LAYERS)
    assert made is knobs_with_rates(LAYERS) and made is not knobs_with_rates(LAYERS[1:])
    assert made._fields == (*Knobs._fields, *(f"rate_{layer}" for layer in LAYERS))
    assert made()._asdict() == Knobs()._asdict() | dict.fromkeys(sorted(RATES), 1.0)
    table = entries({"optim": OPTIM._replace(knobs=made)})
    for layer in LAYERS:
        entry = table[f"optim.rate_{layer}"]
        assert entry.knob and entry.kind is float and entry.default == entry.field.neutral == 1.0
        assert entry.field.contains(0.0) and not entry.field.contains(-1.0)
    assert (
        table["optim.learning_rate"].field == entries({"optim": OPTIM})["optim.learning_rate"].field
    )


@pytest.mark.programs(45)  # operation by operation, so that it holds to the bit: each is small
@pytest.mark.parametrize("family", FAMILIES)
def test_neutral_rates_are_the_optimiser_without_them(family, params):
    knobs = knobs_with_rates(LAYERS)(learning_rate=0.1)
    one, other = (
        optax.with_extra_args_support(optimiser(Spec(name=family), used)(knobs))
        for used in (RATES, frozenset())
    )
    state, bare = one.init(params), other.init(params)
    for _ in range(4):
        gradients = jax.tree.map(np.cos, params)
        updates, state = one.update(gradients, state, params, grad_fn=cosines)
        plain, bare = other.update(gradients, bare, params, grad_fn=cosines)
        assert all(equal(updates, plain))
        params = jax.tree.map(np.asarray, optax.apply_updates(params, updates))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_knob_reaches_its_layer_and_no_other(layer, params):
    used = frozenset({f"rate_{layer}", "gradient_bias"})
    made = knobs_with_rates(LAYERS)
    slow, plain = (
        trained(optimiser(Spec(name="adam"), used)(made(**{f"rate_{layer}": rate})), params)
        for rate in (0.25, 1.0)
    )
    assert [name for name in LAYERS if not all(equal(slow[name], plain[name]))] == [layer]
