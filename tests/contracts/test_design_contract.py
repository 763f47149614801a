"""Contracts of every design: each way of going through the pool, with every knob.

A new intervention is held to them by its field in `design.Spec` or `design.Knobs`.
"""

import dataclasses
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.build.registry import DATA
from plateaus.config.schema import entries
from plateaus.data import designs
from plateaus.types import Draw, Signals

SIZE, BATCH, STEPS = 1000, 8, 12
LANES = 1 + len(designs.Knobs._fields)  # of the programs that draw
SEEDS = 4000  # of the draws whose frequencies are told
STEPS_AHEAD = np.arange(STEPS, dtype=np.int32)


def variants():
    """Every combination of the static choices that the design's own check allows."""
    fields = {f.name for f in dataclasses.fields(designs.Spec)}
    declared = {name: e for name, e in entries({"": DATA}).items() if name in fields}
    choices = {name: e.field.choices or (e.default,) for name, e in declared.items()}
    others = {**designs.Knobs()._asdict(), "task.name": "x"}
    for values in itertools.product(*choices.values()):
        given = dict(zip(choices, values, strict=True))
        if next(designs.check({**given, **others}), None) is None:
            yield designs.Spec(**given)


VARIANTS = list(variants())
each_variant = pytest.mark.parametrize(
    "spec", VARIANTS, ids=lambda spec: "-".join(map(str, dataclasses.astuple(spec)))
)
_compiled = {}


def compiled(jit, function, *arguments):
    """The function as a program for arguments of these shapes; equal ones are compiled once."""
    traced = jit(function).trace(*arguments)
    constants = [np.asarray(x).tobytes() for x in traced.jaxpr.consts]
    same = (str(traced.jaxpr), *constants)
    if (jit, same) not in _compiled:
        _compiled[jit, same] = traced.lower().compile()
    return _compiled[jit, same]


_programs = {}


def draws_of(spec, lanes, steps=STEPS_AHEAD, used=designs.ALL):
    """Draws [lanes, steps, batch] of lanes (seed, knobs, size), `LANES` at a time."""

    def lane(steps, seed, knobs, size):
        source, key = designs.design(spec, BATCH, SIZE, used), jax.random.key(seed)
        state, plan = source.init(key), source.prepare(knobs, size)
        return jax.vmap(lambda t: source.draw(key, state, plan, t))(steps)

    found = []
    for first in range(0, len(lanes), LANES):
        some = lanes[first : first + LANES]
        seeds, knobs, sizes = zip(*some, *[some[-1]] * (LANES - len(some)), strict=True)
        stacked = jax.tree.map(lambda *x: np.stack(x), *knobs)
        arguments = steps, np.uint32(seeds), stacked, np.int32(sizes)
        if (spec, used) not in _programs:
            mapped = jax.vmap(lane, (None, 0, 0, 0))
            _programs[spec, used] = compiled(jax.jit, mapped, *arguments)
        drawn = _programs[spec, used](*arguments)
        found.append(jax.tree.map(lambda x, some=some: np.asarray(x)[: len(some)], drawn))
    return jax.tree.map(lambda *x: np.concatenate(x), *found)


@pytest.fixture(scope="session")
def values(values_of):
    items = values_of(DATA)["items"]  # of ten or fewer, nothing would be left to the others
    return values_of(DATA) | {"items": items._replace(first=jnp.int32(600), second=jnp.int32(900))}


@pytest.fixture(scope="session")
def acting(values):
    """Knobs with every intervention at work."""
    return designs.Knobs(**{name: value.first for name, value in values.items()})


@each_variant
def test_a_batch_is_a_function_of_key_and_step(spec, acting):
    """Steps in any order, and in a scan with `observe` between, give what is prefetched at once."""
    order = np.random.default_rng(0).permutation(STEPS).astype(np.int32)
    ahead = draws_of(spec, [(0, acting, SIZE)])
    mixed = draws_of(spec, [(0, acting, SIZE)], order)
    chex.assert_trees_all_equal(jax.tree.map(lambda x: x[:, order], ahead), mixed)

    source = designs.design(spec, BATCH, SIZE)

    @jax.jit
    def scanned(seed, knobs):
        key = jax.random.key(seed)
        plan, signals = source.prepare(knobs, SIZE), Signals(jnp.ones(1))

        def step(state, t):  # scan raises if the state changes its shapes or types
            draw = source.draw(key, state, plan, t)
            return source.observe(state, signals, plan, t), draw

        return jax.lax.scan(step, source.init(key), jnp.arange(STEPS))[1]

    one_by_one = scanned(np.uint32(0), acting)
    chex.assert_trees_all_equal(one_by_one, jax.tree.map(lambda x: x[0], ahead))


@each_variant
def test_indices_are_in_the_pool_at_every_corner_of_the_knobs(spec, acting):
    table = entries({"": DATA})
    corners = []
    for name, bare in itertools.product(designs.Knobs._fields, (True, False)):
        field, dtype = table[name].field, acting._asdict()[name].dtype
        low = field.low + 1e-6 * field.low_open
        others = designs.Knobs() if bare else acting
        others = jax.tree.map(lambda x, like: np.asarray(x, like.dtype), others, acting)
        corners += [others._replace(**{name: np.asarray(b, dtype)}) for b in (low, field.high)]
    for size in (1, BATCH - 1, SIZE):
        draw = draws_of(spec, [(0, knobs, size) for knobs in corners])
        assert isinstance(draw, Draw)
        chex.assert_shape(list(draw), (len(corners), STEPS, BATCH))
        chex.assert_type(list(draw), jnp.int32)
        assert draw.index.min() >= 0
        # whole batches: one is drawn whole, of a pool that holds one
        assert draw.index.max() < (max(size, BATCH) if spec.zipf_over == "batches" else size)


@each_variant
def test_members_differ_by_their_seed_alone(spec, acting):
    together = draws_of(spec, [(seed, acting, SIZE) for seed in range(3)]).index
    for member, other in itertools.combinations(together, 2):
        assert np.any(member != other)
    among_others = draws_of(spec, [(seed, acting, SIZE) for seed in (7, 1, 5)]).index
    np.testing.assert_array_equal(among_others[1], together[1])


def test_every_knob_acts_somewhere(values, acting):
    """Two values of it, mapped over in one program, draw differently in some variant."""
    lanes = [acting, *(acting._replace(**{name: v.second}) for name, v in values.items())]
    idle = set(values)
    for spec in VARIANTS:
        index = draws_of(spec, [(0, lane, SIZE) for lane in lanes]).index
        idle -= {
            name for name, lane in zip(values, index[1:], strict=True) if np.any(lane != index[0])
        }
    assert not idle


@each_variant
def test_all_values_share_one_trace(spec, values, acting):
    chex.clear_trace_counter()
    source = designs.design(spec, BATCH, SIZE)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def plan(knobs, size):
        return source.prepare(knobs, size)

    for value in values:
        for share in values[value][:2]:
            plan(acting._replace(**{value: share}), np.int32(SIZE))
    plan(acting, np.int32(7))


@each_variant
def test_a_neutral_knob_is_no_intervention(spec, values, acting):
    """With the others at work: bit for bit the batches of the design that lacks it."""
    neutral = {name: v.neutral for name, v in values.items() if v.neutral is not None}
    lanes = [(0, acting._replace(**{name: value}), SIZE) for name, value in neutral.items()]
    together = draws_of(spec, lanes)
    for i, (name, lane) in enumerate(zip(neutral, lanes, strict=True)):
        lacking = draws_of(spec, [lane], used=designs.ALL - {name})
        chex.assert_trees_all_equal(jax.tree.map(lambda x, i=i: x[i : i + 1], together), lacking)


@each_variant
def test_all_neutral_is_the_bare_source(spec, values, acting):
    neutral = {name: v.neutral for name, v in values.items() if v.neutral is not None}
    lane = (0, acting._replace(**neutral), SIZE)
    bare = draws_of(spec, [lane], used=frozenset())
    chex.assert_trees_all_equal(draws_of(spec, [lane]), bare)
    assert np.any(draws_of(spec, [(0, acting, SIZE)]).index != bare.index)


# How probable each draw is.


FIRST, LAST = -BATCH, SIZE + 2 * BATCH  # beyond both ends of the pool
TOLD = np.int32([0, 3, 5, 7, 11, 1000])  # steps before, within and after the doublings
_told = {}


@pytest.fixture(scope="session")
def log_probabilities(exact_jit):
    """(spec, knobs, size, used) -> [steps told, LAST - FIRST] of all indices and more."""

    def told(spec, knobs, size=SIZE, used=designs.ALL):
        def log_prob(knobs, size):
            source = designs.design(spec, BATCH, SIZE, used)
            plan, index = source.prepare(knobs, size), jnp.arange(FIRST, LAST, dtype=jnp.int32)
            return jax.vmap(lambda t: source.log_prob(plan, index, t))(TOLD)

        arguments = knobs, np.int32(size)
        if (spec, used) not in _told:
            _told[spec, used] = compiled(exact_jit, log_prob, *arguments)
        return np.asarray(_told[spec, used](*arguments))

    return told


@each_variant
def test_probabilities_are_those_of_the_draws(spec, acting, log_probabilities):
    """Sums, support and frequencies."""
    source = designs.design(spec, BATCH, SIZE)

    @jax.jit
    def drawn(knobs):
        plan = source.prepare(knobs, SIZE)
        keys = jax.vmap(jax.random.key)(jnp.arange(SEEDS))
        draw = lambda key, t: source.draw(key, source.init(key), plan, t).index  # noqa: E731
        return jax.vmap(lambda t: jax.vmap(draw, (0, None))(keys, t))(TOLD)

    p = np.exp(np.float64(log_probabilities(spec, acting)))
    counts = [
        np.bincount(x.ravel() - FIRST, minlength=LAST - FIRST) for x in np.array(drawn(acting))
    ]
    frequency = np.array(counts) / (SEEDS * BATCH)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-4)
    assert not frequency[p == 0].any()
    # the items of a batch may come together: no more than Poisson's variance in whole batches
    assert np.all(np.abs(frequency - p) < 5 * np.sqrt(p / (SEEDS * BATCH)) + 1 / SEEDS)
    assert np.count_nonzero(p[0]) < np.count_nonzero(p[2]) < np.count_nonzero(p[-1]) < SIZE


@each_variant
def test_no_probability_is_nan_or_above_one(spec, acting, log_probabilities):
    """At the corners of the knobs, and for pools smaller than a batch."""
    table = entries({"": DATA})
    for name, size in itertools.product(designs.Knobs._fields, (1, BATCH - 1, SIZE)):
        field, like = table[name].field, acting._asdict()[name]
        for bound in (field.low + 1e-6 * field.low_open, field.high):
            knobs = acting._replace(**{name: np.asarray(bound, like.dtype)})
            found = log_probabilities(spec, knobs, size)
            assert np.all(found <= 1e-6), (name, bound)  # false for NaN too
            np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, atol=1e-4)


@each_variant
def test_a_neutral_knob_changes_no_probability(spec, values, acting, log_probabilities):
    """But for the last place of its logarithm, which XLA rounds by what stands around it.

    Draws are the same to the bit (above): these numbers are only looked at.
    """
    neutral = {name: v.neutral for name, v in values.items() if v.neutral is not None}
    for name, value in neutral.items():
        knobs = acting._replace(**{name: value})
        whole = log_probabilities(spec, knobs)
        lacking = log_probabilities(spec, knobs, used=designs.ALL - {name})
        np.testing.assert_array_max_ulp(whole, lacking, maxulp=1)
    knobs = acting._replace(**neutral)
    bare = log_probabilities(spec, knobs, used=frozenset())
    np.testing.assert_array_equal(log_probabilities(spec, knobs), bare)
