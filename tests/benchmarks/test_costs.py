"""What a preset costs: products counted in a trace, as often as they run."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus import train
from plateaus.config import presets
from plateaus.jobs import sweep, tracing


@pytest.fixture
def operations(module):
    return module("costs.operations").operations


X, W = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((7, 3), (3, 5)))


def test_a_product_counts_two_operations_a_term_and_its_gradients_twice_that(operations):
    assert operations(jnp.matmul, X, W) == 2 * 7 * 3 * 5
    loss = lambda w, x: jnp.sum(jnp.matmul(x, w) ** 2)  # noqa: E731
    assert operations(jax.grad(loss, (0, 1)), W, X) == 3 * 2 * 7 * 3 * 5
    assert operations(jax.grad(loss), W, X) == 2 * 2 * 7 * 3 * 5  # the other gradient is not needed


def test_loops_count_as_often_as_they_run_and_branches_at_their_cheapest(operations):
    def scanned(x, w):
        return jax.lax.scan(lambda s, _: (s + jnp.sum(x @ w), None), 0.0, length=11)[0]

    def branched(x, w):
        return jax.lax.cond(x[0, 0] > 0, lambda: x @ w @ w.T @ w, lambda: x @ w)

    assert operations(scanned, X, W) == 11 * operations(jnp.matmul, X, W)
    assert operations(branched, X, W) == operations(jnp.matmul, X, W)
    assert operations(jax.vmap(jnp.matmul, (0, None)), jnp.zeros((4, 7, 3)), W) == 4 * 2 * 7 * 3 * 5


def test_a_convolution_counts_its_window(operations):
    image, kernel = jnp.zeros((2, 3, 10)), jnp.zeros((4, 3, 5))
    convolve = functools.partial(jax.lax.conv, window_strides=(1,), padding="VALID")
    assert operations(convolve, image, kernel) == 2 * (2 * 4 * 6) * (3 * 5)


def test_a_cost_is_that_of_all_runs_and_agrees_with_xla(module, operations):
    costs = module("costs.__main__")
    path, _ = presets.find("configs/linear_regression.py")
    plan = costs.plan_of(path, "covariance", "small")
    found = costs.cost(plan, compiling=False)
    assert found.runs == 25 and found.width == 128 and found.held is None
    assert found.total == pytest.approx(25 * 10_000 * found.step)
    (program,) = sweep.programs(plan, sweep.members(plan))
    compiled = tracing.compiled(program)
    held = tracing.held(program, compiled.recipe)
    run = (held.state, held.seed, held.knobs, held.laws, np.int32(0))
    one = compiled.recipe._replace(steps=1, phase_steps=1, log_every=1)  # XLA counts a loop once
    phase = functools.partial(train.phase, one)
    xla = jax.jit(phase).lower(*run).compile().cost_analysis()["flops"]
    assert 1.0 < xla / operations(phase, *run) < 1.5  # elementwise work, of a network so narrow
