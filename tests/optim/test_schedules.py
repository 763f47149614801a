"""The warm-up and the decay against their formulas."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from plateaus.optim.schedules import decay, warm_up

cosine = functools.partial(decay, shape="cosine")


@functools.partial(jax.jit, static_argnums=0, static_argnames="count")
def factors(schedule, *lengths, count=12):
    """The multipliers of `count` updates of a few weights, in one scan."""
    transformation = schedule(*lengths)
    updates = {"w": jnp.ones(3), "half": jnp.ones((), jnp.bfloat16)}

    def step(state, _):
        out, state = transformation.update(updates, state)
        return state, out

    return jax.lax.scan(step, transformation.init(updates), length=count)[1]


@pytest.mark.parametrize("steps", (0, 1, 2, 4, 8, 100))
def test_updates_grow_linearly_and_stay(steps):
    found = factors(warm_up, np.int32(steps))
    expected = np.minimum(1.0, np.arange(1, 13) / max(steps, 1))
    np.testing.assert_allclose(found["w"], np.tile(expected[:, None], 3), rtol=1e-6)
    assert found["half"].dtype == jnp.bfloat16
    if steps < 2:
        np.testing.assert_array_equal(found["w"], np.ones((12, 3)))


def test_lengths_are_mapped():
    mapped = jax.jit(jax.vmap(lambda steps: factors(warm_up, steps)["w"][:, 0]))
    found = np.asarray(mapped(np.arange(6)))
    np.testing.assert_allclose(found[:, 0], 1 / np.maximum(np.arange(6), 1), rtol=1e-6)


def decayed(start, steps, count=12):
    """The multipliers by the formula, update by update; 1 without a decay."""
    return [min(1, max(0, 1 - (t - start) / steps)) if steps else 1 for t in range(count)]


@pytest.mark.parametrize("start", (0, 3, 8, 11, 2**30))
@pytest.mark.parametrize("steps", (0, 1, 4, 100, 2**30))
def test_updates_shrink_linearly_to_zero(start, steps):
    found = factors(decay, np.int32(start), np.int32(steps))
    expected = np.array(decayed(start, steps))
    np.testing.assert_allclose(found["w"], np.tile(expected[:, None], 3), rtol=1e-6)
    assert found["half"].dtype == jnp.bfloat16
    if steps == 0 or start == 2**30:
        np.testing.assert_array_equal(found["w"], np.ones((12, 3)))


@pytest.mark.parametrize("steps", (0, 1, 4, 9, 100))
def test_a_cosine_decay_is_that_of_optax_from_its_start(steps):
    found = factors(cosine, np.int32(2), np.int32(steps))["w"]
    plain = optax.cosine_decay_schedule(1.0, max(steps, 1))
    expected = [float(plain(max(t - 2, 0))) if steps else 1.0 for t in range(12)]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[:3], np.ones((3, 3)))
    if steps == 0:
        np.testing.assert_array_equal(found, np.ones((12, 3)))


def test_starts_and_lengths_of_a_decay_are_mapped():
    starts, lengths = (x.ravel() for x in np.meshgrid(np.arange(5), np.arange(4)))
    mapped = jax.jit(jax.vmap(lambda *of: factors(decay, *of)["w"][:, 0]))
    found = mapped(starts, lengths)
    expected = [decayed(int(s), int(d)) for s, d in zip(starts, lengths, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_decay_of_the_last_steps_is_a_warm_up_backwards():
    """No step of the run is lost: the last has 1 / D, the next would have none."""
    up = np.asarray(factors(warm_up, np.int32(5))["w"])
    down = np.asarray(factors(decay, np.int32(12 - 5), np.int32(5), count=13)["w"])
    np.testing.assert_array_equal(down[:12], up[::-1])
    np.testing.assert_array_equal(down[12], np.zeros(3))
