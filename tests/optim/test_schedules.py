"""The warm-up against its formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.optim.schedules import warm_up


def factors(steps, count=12):
    """The multipliers of `count` updates of a few weights, in one scan."""

    @jax.jit
    def run(steps):
        transformation = warm_up(steps)
        updates = {"w": jnp.ones(3), "half": jnp.ones((), jnp.bfloat16)}

        def step(state, _):
            out, state = transformation.update(updates, state)
            return state, out

        return jax.lax.scan(step, transformation.init(updates), length=count)[1]

    return run(steps)


@pytest.mark.parametrize("steps", (0, 1, 2, 4, 8, 100))
def test_updates_grow_linearly_and_stay(steps):
    found = factors(jnp.int32(steps))
    expected = np.minimum(1.0, np.arange(1, 13) / max(steps, 1))
    np.testing.assert_allclose(found["w"], np.tile(expected[:, None], 3), rtol=1e-6)
    assert found["half"].dtype == jnp.bfloat16
    if steps < 2:
        np.testing.assert_array_equal(found["w"], np.ones((12, 3)))


def test_lengths_are_mapped():
    found = jax.vmap(lambda steps: factors(steps)["w"][:, 0])(jnp.arange(6))
    np.testing.assert_allclose(found[:, 0], 1 / np.maximum(np.arange(6), 1), rtol=1e-6)
