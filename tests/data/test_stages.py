"""A number of items, and a curriculum that doubles it: against a plain loop, at every size."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.data.designs import Knobs
from plateaus.data.pool import curriculum, first_items, subset
from plateaus.data.source import epochs, uniform
from plateaus.data.zipf_law import zipf
from plateaus.fields import INFINITE
from plateaus.types import Signals

uniform = functools.cache(uniform)  # so that its programs are found again


@functools.partial(jax.jit, static_argnums=0)
def _indices(source, knobs, size, steps):
    plan = source.prepare(knobs, size)
    return jax.vmap(lambda t: source.draw(jax.random.key(0), (), plan, t).index)(steps)


def indices(source, knobs, size, steps):
    """Indices of the steps given [steps, batch]."""
    return np.asarray(_indices(source, knobs, size, steps))


@functools.partial(jax.jit, static_argnums=0)
def in_play(source, knobs, size, steps):
    """How many items a uniform draw of the steps given is of, from its log-probability."""
    plan = source.prepare(knobs, size)
    first = jax.vmap(lambda t: source.log_prob(plan, jnp.int32([0]), t)[0])(steps)
    return jnp.exp(-first)


def by_hand(start, step, doubling, size, steps):
    """The number of items in play at each step, in Python's own integers."""
    found, items = [], min(start, size)
    every, after = max(1, round(doubling * step)), step
    for t in range(steps):
        if t >= step and (not doubling or not step):
            items = size
        elif t == after:
            items, after = min(2 * items, size), after + every
        found.append(items)
    return found


DOUBLED = curriculum(uniform(1))


@pytest.mark.parametrize("size", (1, 7, 1000, 2**20 + 1, INFINITE))
def test_doubling_by_a_plain_loop(size):
    steps = np.arange(80, dtype=np.int32)
    for start, step, every in [
        *((1, 4, 0.5), (1, 2, 0.5), (3, 5, 0.2), (32, 30, 2 / 3), (32, 30, 0.01)),
        *((5, 7, 0.0), (5, 0, 0.5), (999, 3, 1.0), (INFINITE, 5, 0.5), (INFINITE - 1, 5, 1.0)),
    ]:
        knobs = Knobs(
            curriculum_start=np.int32(start),
            curriculum_step=np.int32(step),
            curriculum_doubling=np.float32(every),
        )
        found = in_play(DOUBLED, knobs, np.int32(size), steps)
        np.testing.assert_allclose(found, by_hand(start, step, every, size, 80), rtol=1e-5)


def test_draws_come_from_what_is_in_play_and_old_items_are_kept():
    source = curriculum(uniform(2048))
    knobs = Knobs(curriculum_start=4, curriculum_step=6, curriculum_doubling=0.5)
    found = indices(source, knobs, np.int32(100), np.arange(25, dtype=np.int32))
    for drawn, items in zip(found, by_hand(4, 6, 0.5, 100, 25), strict=True):
        np.testing.assert_array_equal(np.unique(drawn), np.arange(items))  # but for 100 e^-20


@pytest.mark.parametrize(
    "inner",
    (uniform(16), epochs(16), pytest.param(zipf(uniform(4), 50), marks=pytest.mark.thorough)),
)
@pytest.mark.parametrize("doubles", (False, True))
def test_without_doubling_all_items_open_at_once_bit_for_bit(inner, doubles):
    steps, staged = np.arange(12, dtype=np.int32), curriculum(inner, doubles)
    for start, step, more in [(4, 7, 0.0), (4, 0, 0.0), (INFINITE, 7, 0.0), (8, 0, 0.5)]:
        knobs = Knobs(
            curriculum_start=np.int32(start),
            curriculum_step=np.int32(step),
            curriculum_multiple=np.float32(more),
            plateau_steps=np.int32(10),
            zipf_exponent=np.float32(1.0),
        )
        switch = step + round(10 * more)
        for size in (10, 50):
            found = indices(staged, knobs, np.int32(size), steps)
            few = indices(inner, knobs, np.int32(min(start, size)), steps)
            every = indices(inner, knobs, np.int32(size), steps)
            np.testing.assert_array_equal(found[:switch], few[:switch])
            np.testing.assert_array_equal(found[switch:], every[switch:])


def test_no_first_stage_is_the_source_itself():
    steps, source = np.arange(20, dtype=np.int32), curriculum(uniform(16))
    plain = indices(uniform(16), Knobs(), 1000, steps)
    for given in (
        {"curriculum_start": INFINITE, "curriculum_step": 8},
        {"curriculum_start": 1000, "curriculum_step": 8},
        {"curriculum_start": 3, "curriculum_step": 0},
    ):
        knobs = Knobs(curriculum_doubling=0.5, **given)
        np.testing.assert_array_equal(indices(source, knobs, 1000, steps), plain)
    few = Knobs(curriculum_doubling=0.5, curriculum_start=3, curriculum_step=8)
    assert np.any(indices(source, few, 1000, steps) != plain)


def test_doubling_stays_in_int32_where_everything_is_largest():
    steps, source = np.int32([0, 1, 2**30, 2**31 - 2]), curriculum(uniform(64))
    for every in (1e-3, 1.0, 1000.0):
        for step in (1, 2**30):
            knobs = Knobs(
                curriculum_start=np.int32(3),
                curriculum_step=np.int32(step),
                curriculum_multiple=np.float32(1000.0),
                plateau_steps=np.int32(2**20),
                curriculum_doubling=np.float32(every),
            )
            found = np.asarray(in_play(DOUBLED, knobs, INFINITE, steps))
            assert np.all(found >= 3 * (1 - 1e-5)) and np.all(found <= 2.0**31), (every, step)
            assert np.all(np.diff(found) >= 0)
            drawn = indices(source, knobs, INFINITE, steps)
            assert drawn.min() >= 0 and np.all(drawn.max(axis=1) < found * (1 + 1e-5))


def test_first_items_are_drawn_and_no_others():
    steps, source = np.arange(100, dtype=np.int32), first_items(uniform(32))
    found = indices(source, Knobs(items=50), 1000, steps)
    np.testing.assert_array_equal(np.unique(found), np.arange(50))
    smaller = indices(uniform(32), Knobs(), 50, steps)
    np.testing.assert_array_equal(found, smaller)  # the source of a pool of that size
    plain = indices(uniform(32), Knobs(), 1000, steps)
    for neutral in (INFINITE, 1000, 1001):
        np.testing.assert_array_equal(indices(source, Knobs(items=neutral), 1000, steps), plain)


def test_a_subset_is_a_fraction_of_the_items():
    """`first_items(subset(..))`, as the design has it: half of 50 items are 25."""
    source, steps = first_items(subset(uniform(32))), np.arange(100, dtype=np.int32)
    found = indices(source, Knobs(items=50, subset=0.5), 1000, steps)
    np.testing.assert_array_equal(np.unique(found), np.arange(25))


@pytest.mark.parametrize("wrap", [lambda s: zipf(s, 100), curriculum, subset])
def test_a_source_inside_observes_its_own_plan(wrap):
    """As many items as it draws from at that step, before and after the stage."""
    bare = uniform(2)._replace(observe=lambda state, signals, plan, t: plan)
    source = wrap(bare)
    knobs = Knobs(curriculum_start=10, curriculum_step=5)

    @jax.jit
    def run(t):
        plan = source.prepare(knobs, 100)
        return source.observe(jnp.int32(0), Signals(jnp.zeros(1)), plan, t)

    first = 10 if wrap is curriculum else 100
    assert [int(run(t)) for t in (np.int32(0), np.int32(9))] == [first, 100]
