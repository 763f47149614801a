"""Schedule-free training against optax's, and against plain means."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plateaus.optim.averaging import schedule_free
from plateaus.optim.optimisers import Knobs, Spec, optimiser

STEPS = 30
RATE, BETA1, BETA2, DECAY, WARMUP = 0.05, 0.8, 0.95, 0.3, 7
CURVATURE = np.float32([0.5, 1.0, 4.0])
START = {"w": np.float32([1.5, -2.0, 0.5])}


def gradient(params, number=0):
    """Of a quadratic with its minimum at 1."""
    del number
    return {"w": CURVATURE * (params["w"] - 1)}


def averages(transformation):
    """The parameters x after each step [T, P], in one scan."""

    def step(carry, _):
        params, state = carry
        updates, state = transformation.update(gradient(params), state, params, grad_fn=gradient)
        params = optax.apply_updates(params, updates)
        return (params, state), params["w"]

    params = jax.tree.map(jnp.asarray, START)
    return jax.lax.scan(step, (params, transformation.init(params)), length=STEPS)[1]


def of_optax(base, rate=RATE):
    """The same by optax's own, in a Python loop over y, of which x is computed."""
    made, found = optax.contrib.schedule_free(base, rate, b1=BETA1), []
    params = jax.tree.map(jnp.asarray, START)
    state, update = made.init(params), jax.jit(made.update)
    for _ in range(STEPS):
        updates, state = update(gradient(params), state, params)
        params = optax.apply_updates(params, updates)
        found.append(optax.contrib.schedule_free_eval_params(state, params)["w"])
    return np.stack(found)


def warming(count):
    return RATE * jnp.minimum(1.0, count / WARMUP)


def rms_decayed():
    scaled = optax.scale_by_rms(decay=BETA2, eps_in_sqrt=False, bias_correction=True)
    return optax.chain(scaled, optax.add_decayed_weights(DECAY), optax.scale_by_learning_rate(RATE))


CASES = {  # family and knobs in use -> optax
    ("schedule_free_sgd", ()): lambda: of_optax(optax.sgd(RATE)),
    ("schedule_free_adam", ()): lambda: of_optax(optax.adam(RATE, b1=0.0, b2=BETA2)),
    ("schedule_free_sgd", ("warmup_steps",)): lambda: of_optax(
        optax.sgd(lambda count: warming(count + 1)), warming
    ),
    ("schedule_free_adam", ("weight_decay",)): lambda: of_optax(rms_decayed()),
}


@pytest.mark.parametrize("family, used", CASES)
def test_the_averages_are_optax_s(family, used):
    build = optimiser(Spec(name=family), frozenset(used))
    knobs = Knobs(RATE, BETA1, BETA2, weight_decay=DECAY, warmup_steps=WARMUP)
    found = jax.jit(lambda knobs: averages(build(knobs)))(knobs)
    np.testing.assert_allclose(found, CASES[family, used](), rtol=2e-5, atol=2e-5)


def test_without_beta_it_is_the_mean_of_what_gradient_descent_passes_through():
    """Of all points after the first, also where rates and betas are mapped over."""
    rates = np.float32([0.05, 0.2])
    mapped = jax.jit(jax.vmap(lambda rate: averages(schedule_free(optax.sgd(rate), beta=0.0))))
    found = np.asarray(mapped(rates))
    for rate, averaged in zip(rates, found, strict=True):
        point, passed = START["w"].astype(np.float64), []
        for _ in range(STEPS):
            point = point - rate * CURVATURE * (point - 1)
            passed.append(point)
        means = np.cumsum(passed, axis=0) / np.arange(1, STEPS + 1)[:, None]
        np.testing.assert_allclose(averaged, means, rtol=1e-5, atol=1e-6)


def test_a_warm_up_weighs_the_first_points_less():
    """By the square of its rates, that is by 1, 4, 9, 16, 16, ... at four steps."""
    made = schedule_free(optax.sgd(RATE), beta=0.0, warmup_steps=4)
    plain = schedule_free(optax.sgd(RATE), beta=0.0)
    weighted, equal = jax.jit(lambda: (averages(made), averages(plain)))()
    counts = np.arange(1, STEPS + 1)[:, None]
    passed = np.diff(np.asarray(equal) * counts, axis=0, prepend=0)  # the points, from their means
    weights = np.minimum(counts, 4.0) ** 2
    expected = np.cumsum(weights * passed, axis=0) / np.cumsum(weights, axis=0)
    np.testing.assert_allclose(weighted, expected, rtol=1e-4, atol=1e-4)


def test_sharpness_aware_steps_start_from_where_the_gradient_is_taken():
    """Gradients are asked for at y, and then uphill of y; none at the average itself."""
    knobs = Knobs(RATE, BETA1, sam_radius=0.5)
    made = optimiser(Spec(name="schedule_free_sgd"), frozenset({"sam_radius"}))(knobs)
    x, z = np.float32([4.0]), np.float32([2.0])

    @jax.jit
    def asked_for(x, z):
        seen = []

        def ones(params, number):
            seen.append(params)
            return jnp.ones_like(params)

        state = made.init(x)._replace(iterate=z)
        made.update(x, state, x, grad_fn=ones)
        return seen

    y = (1 - BETA1) * z + BETA1 * x
    np.testing.assert_allclose(np.ravel(asked_for(x, z)), np.ravel([y, y + 0.5]), rtol=1e-6)


@pytest.mark.parametrize("missing", ({"params": None}, {"grad_fn": None}))
def test_without_a_gradient_function_it_is_refused(missing):
    made = schedule_free(optax.sgd(RATE), BETA1)
    given = {"params": START, "grad_fn": gradient, **missing}
    with pytest.raises(ValueError, match="needs the parameters and their gradient function"):
        made.update(START, made.init(START), **given)
