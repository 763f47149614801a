"""How much of the pool is in play: exact fractions, and the step at which a curriculum opens it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.data.designs import Knobs, Spec, check, design
from plateaus.data.pool import curriculum, fraction, subset
from plateaus.data.source import uniform

LARGEST = 2**31 - 2
ZIPF = frozenset({"zipf_exponent"})


@pytest.mark.parametrize(
    ("part", "size", "expected"),
    [
        (1.0, 1_000_000, 1_000_000),
        (1.0, LARGEST, LARGEST),
        (1.0, 2**24 + 1, 2**24 + 1),  # no float32
        (0.02, 1_000_000, 20_000),
        (0.1, 1_000_000, 100_000),
        (0.005, 1_000_000, 5_000),
        (0.0005, 1_000_000, 500),
        (0.5, 7, 4),  # round half to even
        (1e-9, 1_000_000, 1),
        (1e-38, 1, 1),
        (0.99, 1, 1),
    ],
)
def test_fractions_are_exact(part, size, expected):
    assert int(fraction(part, size)) == expected
    assert int(jax.jit(fraction)(np.float32(part), np.int32(size))) == expected


def test_fractions_grow_with_their_part_and_never_exceed_the_pool():
    parts = np.float32([1e-38, 1e-9, 1e-3, 0.3, 0.5, 0.9, 0.999, 1 - 2**-24, 1.0])
    sizes = np.asarray(jax.jit(jax.vmap(fraction, (0, None)))(parts, LARGEST))
    assert np.all(np.diff(sizes) >= 0) and sizes[0] == 1 and sizes[-1] == LARGEST
    np.testing.assert_allclose(sizes[2:] / LARGEST, parts[2:], rtol=1e-6)


def _draw(source, knobs, size, steps):
    """Indices of steps 0 .. steps-1 [steps, batch]."""
    plan = source.prepare(knobs, size)
    return jax.vmap(lambda t: source.draw(jax.random.key(0), (), plan, t).index)(jnp.arange(steps))


_indices = functools.partial(jax.jit, static_argnums=(0, 2, 3))(_draw)
uniform = functools.cache(uniform)  # so that its programs are found again


def indices(source, knobs, size, steps):
    return np.asarray(_indices(source, knobs, size, steps))


def test_a_subset_draws_from_the_first_items_only():
    found = indices(subset(uniform(32)), Knobs(subset=0.05), 1000, 100)
    np.testing.assert_array_equal(np.unique(found), np.arange(50))


@pytest.mark.parametrize("doubles", (False, True))
def test_a_curriculum_opens_at_its_step(doubles):
    """Before: the first items of the pool in play; from the switch on: all of it, bit for bit."""
    cases = [  # curriculum_step, curriculum_multiple, plateau_steps, the step at which it opens
        (0, 0.0, 0, 0),
        (7, 0.0, 0, 7),
        (7, 0.0, 100, 7),
        (0, 0.5, 20, 10),
        (0, 0.25, 10, 2),  # 2.5: half to even
        (0, 1.5, 12, 18),
        (3, 2.0, 4, 11),
    ]
    step, multiple, plateau, switch = map(np.asarray, zip(*cases, strict=True))
    plain, opened = subset(uniform(64)), subset(curriculum(uniform(64), doubles))

    @jax.jit
    @jax.vmap
    def draw(step, multiple, plateau):
        knobs = Knobs(
            subset=0.5,
            curriculum_start=10,
            curriculum_step=step,
            curriculum_multiple=multiple,
            plateau_steps=plateau,
        )
        return _draw(opened, knobs, 1000, 30)

    found = np.asarray(draw(step, np.float32(multiple), plateau))
    few, most = (indices(plain, Knobs(subset=x), 1000, 30) for x in (0.01, 0.5))
    for drawn, opens in zip(found, switch, strict=True):
        np.testing.assert_array_equal(drawn[:opens], few[:opens])
        np.testing.assert_array_equal(drawn[opens:], most[opens:])
    assert few.max() < 10 and most.max() > 400


def test_a_curriculum_opens_at_large_steps_exactly():
    """Multiples of a measured plateau, as far as float32 goes: 4,000 x 2 is step 8,000."""
    plan = curriculum(uniform(1)).prepare(
        Knobs(curriculum_multiple=0.25, plateau_steps=4_000, curriculum_start=2), 100
    )
    assert int(plan.switch) == 1_000
    at_most = Knobs(curriculum_step=2**30, curriculum_multiple=1000.0, plateau_steps=2**20)
    assert int(curriculum(uniform(1)).prepare(at_most, 100).switch) == 2**30 + 1000 * 2**20


def test_zipf_ranks_what_is_in_play():
    """Subset and Zipf together: a Zipf law over the subset, not over the whole pool."""
    source = design(Spec(), 64, 1000, used=ZIPF)
    found = indices(source, Knobs(subset=0.01, zipf_exponent=1.0), 1000, 400).ravel()
    counts = np.bincount(found, minlength=10)
    expected = found.size / np.arange(1, 11) / np.sum(1 / np.arange(1, 11))
    assert counts.size == 10
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected))


def test_zipf_over_batches_ranks_batches():
    source = design(Spec(zipf_over="batches"), 5, 50, used=ZIPF)
    found = indices(source, Knobs(zipf_exponent=1.0), 50, 10_000)
    assert np.all(found % 5 == np.arange(5))
    counts = np.bincount(found[:, 0] // 5, minlength=10)
    expected = 10_000 / np.arange(1, 11) / np.sum(1 / np.arange(1, 11))
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, None),
        ({"order": "epochs", "zipf_over": "batches"}, "order"),
        ({"order": "epochs", "zipf_exponent": 1.0}, "order"),
        (
            {"curriculum_step": 5, "curriculum_multiple": 1.0, "plateau_steps": 9},
            "curriculum_multiple",
        ),
        ({"curriculum_multiple": 1.0}, "plateau_steps"),
    ],
)
def test_combinations_that_mean_nothing_are_named(given, field):
    values = {**vars(Spec()), **Knobs()._asdict(), **given, "task.name": "facts"}
    assert [name for name, _ in check(values)] == ([field] if field else [])
