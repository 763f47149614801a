"""Mixtures of groups: shares against their laws, windows, the switch, and what stays as it is."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from plateaus.data import designs, mixtures
from plateaus.data.curricula import curriculum
from plateaus.types import Signals

GROUPS = ("a", "b", "c")
STEPS, BATCH = 600, 8


def knobs_of(**values):
    return jax.tree.map(jnp.asarray, designs.knobs_of(GROUPS)(**values))


def source_of(batch=BATCH, groups=GROUPS, **spec):
    return designs.design(designs.Spec(**spec), batch, 100, frozenset(), groups)


@functools.cache
def program(groups, **spec):
    """(knobs, seed) -> the Draw of every step, by a source of this kind."""
    source = source_of(groups=groups, **spec)

    @jax.jit
    def run(knobs, seed):
        key = jax.random.key(seed)
        state, plan = source.init(key), source.prepare(knobs, 100)
        return jax.vmap(lambda t: source.draw(key, state, plan, t))(jnp.arange(STEPS))

    return run


def drawn(knobs, seed=0, groups=GROUPS, **spec):
    """Groups and indices [steps, B]."""
    draw = program(groups, **spec)(knobs, np.uint32(seed))
    return np.asarray(draw.group), np.asarray(draw.index)


def tally(groups):
    return np.stack([np.bincount(row, minlength=len(GROUPS)) for row in groups])


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 0, 1), (3, 1, 0.5), (0, 0, 2)])
@pytest.mark.parametrize("mixing", mixtures.MIXING)
def test_shares_follow_the_weights(weights, mixing):
    shares = np.asarray(weights) / np.sum(weights)
    knobs = knobs_of(**{f"weight_{g}": float(w) for g, w in zip(GROUPS, weights, strict=True)})
    count = tally(drawn(knobs, mixing=mixing)[0])
    assert np.all(count.sum(axis=1) == BATCH) and not np.any(count[:, shares == 0])
    mean, error = count.mean(axis=0) / BATCH, np.sqrt(shares * (1 - shares) / STEPS)
    np.testing.assert_array_less(np.abs(mean - shares), 5 * error + 1e-6)
    if mixing == "split":  # floor or ceil of each group's part, in every batch
        assert np.all(np.abs(count - BATCH * shares[None]) < 1)
    if mixing == "batch":
        assert np.all((count == 0) | (count == BATCH))
    if mixing == "sequence" and shares.max() < 1:  # variances of a multinomial
        spread = count.var(axis=0) / (BATCH * shares * (1 - shares) + (shares == 0))
        assert np.all(np.abs(spread[shares > 0] - 1) < 0.25)


def test_the_remainder_goes_to_tasks_chosen_at_random():
    """8 of 3 tasks: 2 each, and 2 tasks one more, every pair as often: as in the released code."""
    count = tally(drawn(knobs_of(), mixing="split")[0])
    assert set(map(tuple, count)) == {(3, 3, 2), (3, 2, 3), (2, 3, 3)}
    often = np.unique(count, axis=0, return_counts=True)[1]
    assert stats.chisquare(often).pvalue > 1e-3


def test_neighbouring_steps_and_seeds_are_unrelated():
    one, other = (drawn(knobs_of(), seed, mixing="batch")[0][:, 0] for seed in (0, 1))
    for a, b in ((one[1:], one[:-1]), (one, other)):
        table = np.histogram2d(a, b, bins=3)[0]
        assert stats.chi2_contingency(table).pvalue > 1e-3


@pytest.mark.parametrize("mixing", mixtures.MIXING)
def test_indices_are_those_without_a_mixture(mixing):
    """Bit for bit; and one group is no mixture at all."""
    index = drawn(designs.Knobs(), groups=())[1]
    np.testing.assert_array_equal(drawn(knobs_of(), mixing=mixing)[1], index)
    group, same = drawn(designs.knobs_of(("a",))(), groups=("a",), mixing=mixing)
    np.testing.assert_array_equal(same, index)
    assert not np.any(group)


def test_equal_weights_of_any_size_are_neutral():
    plain, scaled = (
        drawn(knobs_of(**{f"weight_{g}": w for g in GROUPS}), mixing="split")[0] for w in (1.0, 7.0)
    )
    np.testing.assert_array_equal(plain, scaled)


def test_all_subsets_are_rows_of_one_program():
    """vmap over weights with one trace, and each lane what it is alone."""
    source = source_of()
    weights = np.float32([[1.0, 0, 0], [0, 1, 1], [1, 1, 1]])

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(weight):
        knobs = knobs_of()._replace(**{f"weight_{g}": weight[i] for i, g in enumerate(GROUPS)})
        key = jax.random.key(0)
        return source.draw(key, source.init(key), source.prepare(knobs, 100), 3).group

    together = np.asarray(jax.jit(jax.vmap(run.__wrapped__.__wrapped__))(weights))
    for row, lane in zip(weights, together, strict=True):
        np.testing.assert_array_equal(run(row), lane)
    assert set(together[0]) == {0} and set(together[1]) == {1, 2}


@pytest.mark.parametrize(
    ("kind", "phases"),
    [
        ("sequential", ([0], [1], [2])),
        ("mixed", ([0], [0, 1], [0, 1, 2])),
        ("random", ([0, 1, 2],) * 3),
    ],
)
def test_curricula_draw_what_they_say_in_every_phase(kind, phases):
    """Three equal phases of 300 steps, one task a batch."""
    given = curriculum(kind, GROUPS, 300)
    knobs = knobs_of(**{name.removeprefix("data."): value for name, value in given.items()})
    group = drawn(knobs, mixing="batch")[0][:300, 0]
    for phase, expected in enumerate(phases):
        part = group[100 * phase : 100 * (phase + 1)]
        assert sorted(set(part)) == expected
        often = np.bincount(part, minlength=3)[expected]
        assert len(expected) == 1 or stats.chisquare(often).pvalue > 1e-3


def test_the_mixed_curriculum_has_the_papers_batches():
    """K = 3, 500,001 steps: 305.6k / 138.9k / 55.6k batches of the classes, in expectation."""
    steps = 500_001
    given = curriculum("mixed", GROUPS, steps)
    share = np.zeros(3)
    for p in range(3):
        first, last = p * steps // 3, (p + 1) * steps // 3
        there = [given[f"data.from_{g}"] <= first for g in GROUPS]
        share += (last - first) * np.asarray(there) / sum(there)
    np.testing.assert_allclose(share, [305_600, 138_900, 55_600], rtol=2e-3)


@pytest.mark.parametrize(("kind", "groups"), [("mixed", ("a",)), ("up", GROUPS), ("random", ())])
def test_a_curriculum_over_one_class_is_refused(kind, groups):
    with pytest.raises(ValueError, match=r"needs two classes|must be sequential"):
        curriculum(kind, groups, 100)


def test_the_switch_waits_for_the_mean_of_100_losses():
    source = source_of(switch="escape")
    knobs = knobs_of(weight_b=0.0, weight_c=0.0, then_b=1.0)
    losses = np.r_[np.full(150, 1.0), np.full(60, 0.45), np.full(60, 2.0)]

    @jax.jit
    def run(losses):
        key = jax.random.key(0)
        plan, first = source.prepare(knobs, 100), source.init(key)

        def step(state, loss):
            told = Signals(jnp.stack([loss, jnp.nan, jnp.nan]))
            state = source.observe(state, told, plan, 0)
            return state, state.switched

        state, switched = jax.lax.scan(step, first, losses)
        group = jax.vmap(lambda t: source.draw(key, state, plan, t).group)(jnp.arange(20))
        weights = [source.weights(one, plan, 0) for one in (first, state)]
        return switched, *weights, group, source.ever(plan)

    switched, before, after, group, ever = jax.device_get(run(np.float32(losses)))
    means = np.array([np.mean(losses[max(0, t - 99) : t + 1]) for t in range(losses.size)])
    expected = (means < 0.8) & (np.arange(losses.size) >= 99)
    first = int(np.argmax(expected))
    assert 150 < first < 210
    assert switched.astype(int).tolist() == [0] * first + [1] * (losses.size - first)
    np.testing.assert_array_equal(before, [1, 0, 0])
    np.testing.assert_array_equal(after, [0, 1, 0])
    assert set(group.ravel()) == {1}
    np.testing.assert_array_equal(ever, [1, 1, 0])


def test_few_losses_do_not_make_an_escape():
    source = source_of(switch="escape")

    @jax.jit
    def run():
        plan = source.prepare(knobs_of(), 100)

        def step(state, _):
            state = source.observe(state, Signals(jnp.zeros(3)), plan, 0)
            return state, state.switched

        return jax.lax.scan(step, source.init(jax.random.key(0)), length=mixtures.AVERAGED)[1]

    switched = np.asarray(run())
    assert switched.size == mixtures.AVERAGED and not switched[:-1].any() and switched[-1]


def test_a_schedule_holds_from_breakpoint_to_breakpoint():
    """Against a plain look-up at every step; times the weights, which stay knobs."""
    source = source_of(schedule="0: a=1; 30: a=1, b=3; 70: c=2")
    only_a = source_of(schedule="0: a=1")

    @jax.jit
    def run():
        knobs = knobs_of(weight_b=0.5)
        plan, state = source.prepare(knobs, 100), source.init(jax.random.key(0))
        shares = jax.vmap(lambda t: source.weights(state, plan, t))(jnp.arange(100))
        return shares, source.ever(plan), only_a.ever(only_a.prepare(knobs, 100))

    shares, ever, ever_a = jax.device_get(run())
    for t, share in enumerate(shares):
        wanted = [1, 0, 0] if t < 30 else [0.4, 0.6, 0] if t < 70 else [0, 0, 1]
        np.testing.assert_allclose(share, wanted, rtol=1e-6)
    np.testing.assert_array_equal(ever, [1, 1, 1])
    np.testing.assert_array_equal(ever_a, [1, 0, 0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0: a=1; 50", "STEP: group=weight"),
        ("0: d=1", "no task 'd' (known: "),
        ("0: a=-1", "must have a weight in [0, inf)"),
        ("0: a=nan", "must have a weight in [0, inf)"),
        ("0: a=x", "group=weight"),
        ("0: a=0, b=0", "must have a weight above 0"),
        ("5: a=1", "must have its first breakpoint at step 0"),
        (";", "must have its first breakpoint at step 0"),
        ("0: a=1; 9: b=1; 9: c=1", "9: must be a later step than 9"),
    ],
)
def test_schedules_that_cannot_be_meant_are_refused(text, words):
    ((field, message),) = refused(schedule=text)
    assert field == "schedule" and words in message and "\n" not in message


def test_a_schedule_and_weights_that_leave_nothing_are_refused():
    assert refused(schedule="0: a=1; 40: b=1") == []
    ((field, message),) = refused(schedule="0: a=1; 40: b=1", weight_b=0.0)
    assert field == "until_a" and "step 40" in message
    assert refused(schedule="0: a=1; 400: b=1", weight_b=0.0) == []  # after the last step


def refused(**values):
    own = dict(designs.knobs_of(GROUPS)()._asdict())
    own |= {"steps": 100, "switch": "none", "schedule": ""} | values
    return list(mixtures.check(own, GROUPS))


def test_mixtures_that_draw_nothing_are_refused():
    assert refused() == []
    empty = {f"weight_{g}": 0.0 for g in GROUPS}
    assert [message for _, message in refused(**empty)] == [
        "all weights are 0: at least one must be positive"
    ]
    gap = refused(weight_b=0.0, until_a=40, from_c=60)
    assert gap == [("until_a", "nothing is drawn at step 40: no window of a, c holds it")]
    assert refused(weight_b=0.0, until_a=40, from_c=40) == []
    late = refused(from_b=100, from_c=300, weight_c=0.0)  # steps cut after the curriculum was made
    assert late == [("from_b", "b never comes: there are 100 steps")]
    assert refused(until_a=0) == [("until_a", "a never comes: its window is empty")]
    assert [name for name, _ in refused(switch="escape")] == ["switch"]
    assert refused(switch="escape", then_b=1.0) == []
