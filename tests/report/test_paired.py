"""Settings compared seed by seed, beside enumeration, inversion on a grid, and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from plateaus.report import paired
from plateaus.report.survival import Passages


def by_enumeration(differences, alternative="two-sided"):
    """The share of all flips of signs whose sum is as extreme as what was seen."""
    seen = sum(differences)
    sums = np.array(
        [
            sum(s * d for s, d in zip(signs, differences, strict=True))
            for signs in itertools.product((1, -1), repeat=len(differences))
        ]
    )
    above, below = (np.mean(side >= -1e-9) for side in (sums - seen, seen - sums))
    two_sided = min(1.0, 2 * min(above, below))
    return {"greater": above, "less": below, "two-sided": two_sided}[alternative]


def runs(times, there, seeds=None):
    seeds = np.arange(len(times)) if seeds is None else np.array(seeds)
    return Passages(seeds, np.array(times, float), np.array(there, bool))


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
@pytest.mark.parametrize("count", [1, 4, 6, 9])
def test_p_is_that_of_all_flips(count, alternative):
    rng = np.random.default_rng(count)
    for _ in range(3):
        values = rng.normal(0.5, 1, count)
        wanted = by_enumeration(values, alternative)
        assert paired.sign_flip_p(values, alternative) == pytest.approx(wanted)
    whole = rng.integers(-2, 3, count) + 0.0  # ties, and differences of nothing
    whole[0] = 1.0
    wanted = by_enumeration(whole, alternative)
    assert paired.sign_flip_p(whole, alternative) == pytest.approx(wanted)


@pytest.mark.parametrize("count", [3, 10, 14, 20])
def test_p_is_that_of_scipy(count):
    values = np.random.default_rng(count).normal(0.4, 1, count)
    for alternative in ("two-sided", "less", "greater"):
        wanted = stats.permutation_test(
            (values,),
            lambda x, axis: np.mean(x, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=2**14,
            alternative=alternative,
            rng=np.random.default_rng(1),
        ).pvalue
        spread = 0 if count <= 14 else 6 * math.sqrt(wanted / 2**14)
        assert paired.sign_flip_p(values, alternative) == pytest.approx(wanted, abs=spread + 1e-12)


@pytest.mark.parametrize("count", [8, 12, 20])
def test_the_interval_leaves_out_0_just_where_p_is_at_most_5_percent(count):
    rng, outcomes = np.random.default_rng(count), set()
    for _ in range(200):
        values = rng.normal(0.6, 1, count)
        _, low, high = paired.mean_interval(values)
        outcomes.add(rejects := paired.sign_flip_p(values) <= 0.05)
        assert rejects == (low > 0 or high < 0)
    assert outcomes == {True, False}


def test_p_of_more_pairs_than_can_be_enumerated_is_near_the_normal_one_and_repeats():
    values = np.random.default_rng(0).normal(0.25, 1, 60)
    p = paired.sign_flip_p(values)
    z = values.sum() / math.sqrt((values**2).sum())
    wanted = 2 * stats.norm.sf(z)
    assert 0.001 < p < 0.2
    assert abs(p - wanted) < 4 * math.sqrt(wanted / paired.FLIPS) + 0.1 * wanted
    assert paired.sign_flip_p(values) == p


def test_p_where_nothing_can_be_said():
    assert math.isnan(paired.sign_flip_p([]))
    assert math.isnan(paired.sign_flip_p([0.0] * 8))
    with pytest.raises(ValueError, match="not finite"):
        paired.sign_flip_p([1.0, math.inf])


@pytest.mark.parametrize("count", [8, 10])
def test_the_interval_holds_the_shifts_that_the_test_does_not_reject(count):
    values = np.random.default_rng(count).normal(1.0, 1.0, count)
    mean, low, high = paired.mean_interval(values)
    assert mean == pytest.approx(values.mean())
    grid = np.linspace(low - 1, high + 1, 61)
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=count)))
    kept = []
    for shift in grid:
        moved = values - shift
        sums = signs @ moved
        tail = min(np.mean(sums >= moved.sum() - 1e-9), np.mean(sums <= moved.sum() + 1e-9))
        kept.append(2 * tail > 0.05)
    inside = grid[kept]
    gap = grid[1] - grid[0]
    assert inside.size > 5
    assert low - gap <= inside.min() <= low + gap
    assert high - gap <= inside.max() <= high + gap
    assert np.array_equal(np.flatnonzero(kept), np.arange(kept.index(True), 61)[: inside.size])


def test_the_interval_is_an_order_statistic_of_the_means_of_subsets():
    values = np.random.default_rng(3).normal(size=9)
    means = sorted(
        np.mean(chosen) for k in range(1, 10) for chosen in itertools.combinations(values, k)
    )
    tail = math.floor(0.025 * 2**9)
    assert paired.mean_interval(values)[1:] == pytest.approx((means[tail - 1], means[-tail]))


def test_no_interval_of_fewer_than_eight_and_none_of_nothing():
    assert all(math.isnan(end) for end in paired.mean_interval([]))
    mean, low, high = paired.mean_interval([1.0] * 7)
    assert mean == 1 and math.isnan(low) and math.isnan(high)
    assert paired.mean_interval([1.0] * 8) == (1, 1, 1)


@pytest.mark.parametrize("count", [8, 16])
def test_the_interval_covers_the_ratio_of_skewed_times_of_shared_seeds(count):
    rng, trials, covered, rejected = np.random.default_rng(count), 400, 0, 0
    for _ in range(trials):
        shared = rng.lognormal(0, 0.5, count)
        first = 0.6 * shared * rng.lognormal(0, 0.4, count)
        second = shared * rng.lognormal(0, 0.4, count)
        differences = np.log(first / second)
        _, low, high = paired.mean_interval(differences)
        covered += low <= math.log(0.6) <= high
        rejected += paired.sign_flip_p(differences - math.log(0.6)) <= 0.05
    error = math.sqrt(0.05 * 0.95 / trials)
    assert covered / trials == pytest.approx(0.95, abs=3 * error)
    assert rejected / trials < 0.05 + 3 * error


def test_ratios_are_geometric_whatever_the_order_of_the_runs():
    rng = np.random.default_rng(5)
    seeds, times = np.arange(100, 110), rng.uniform(10, 90, (2, 10))
    mixed = rng.permutation(10)
    first = runs(times[0], [True] * 10, seeds)
    second = runs(times[1][mixed], [True] * 10, seeds[mixed])
    found = paired.compared(first, second, 100)
    ratios = times[0] / times[1]
    assert found.ratio.value == pytest.approx(stats.gmean(ratios))
    assert found.ratios == pytest.approx(tuple(ratios))
    assert found.sooner == np.mean(ratios < 1)
    assert found.p_value == pytest.approx(by_enumeration(np.log(ratios)))
    assert (found.pairs, found.censored, found.unfollowed, found.bound) == (10, 0, 0, "")
    turned = paired.compared(second, first, 100)
    assert turned.ratio.value == pytest.approx(1 / found.ratio.value)
    assert turned.ratio.low == pytest.approx(1 / found.ratio.high)
    assert turned.p_value == pytest.approx(found.p_value)
    assert turned.sooner == 1 - found.sooner


def test_only_seeds_run_in_both_are_pairs():
    first = runs([10, 20, 30], [True] * 3, [1, 2, 3])
    second = runs([20, 20, 10], [True] * 3, [3, 7, 2])
    found = paired.compared(first, second, 100)
    assert found.ratios == pytest.approx((2.0, 1.5)) and found.pairs == 2
    nothing = paired.compared(first, runs([20], [True], [9]), 100)
    assert nothing.pairs == 0 and math.isnan(nothing.ratio.value) and math.isnan(nothing.p_value)
    assert [*nothing.notes()] == [] and nothing.ratios == ()


def test_which_pairs_count():
    """Both escaped; one censored at the horizon; both; one stopped early; one escapes too late."""
    first = runs([40, 100, 100, 60, 30, 90], [True, False, False, False, True, True])
    second = runs([80, 50, 100, 50, 50, 400], [True, True, False, True, False, True])
    found = paired.compared(first, second, 100)
    assert found.ratios == pytest.approx((0.5, 2.0, 0.9))  # 400 is cut at 100
    assert (found.pairs, found.censored, found.unfollowed) == (3, 1, 2)
    assert found.sooner == pytest.approx(2 / 3) and found.bound == ""
    assert [*found.notes()] == [
        "2 pairs not followed to the horizon",
        "1 pair censored on both sides left out",
        "pair ratios that are bounds: 2 of 3",
        "pair ratios: 0.50 2.00 0.90",
        "no p: fewer than 6 pairs",
    ]


def test_a_bound_is_one_where_one_side_never_gets_there_and_it_has_no_interval():
    times = np.linspace(20, 60, 9)
    never, always = runs([100] * 9, [False] * 9), runs(times, [True] * 9)
    low = paired.compared(never, always, 100)
    assert low.bound == ">" and low.ratio.value == pytest.approx(stats.gmean(100 / times))
    assert low.sooner == 0 and low.p_value == pytest.approx(2 / 2**9)
    assert low.shown.value == low.ratio.value and math.isnan(low.shown.low)
    high = paired.compared(always, never, 100)
    assert high.bound == "<" and high.ratio.value == pytest.approx(1 / low.ratio.value)
    once = runs([100] * 8 + [99], [False] * 8 + [True])
    assert paired.compared(once, always, 100).bound == ""
    neither = paired.compared(never, never, 100)
    assert (neither.pairs, neither.censored, neither.bound) == (0, 9, "")
    assert [*neither.notes()] == ["9 pairs censored on both sides left out"]


def test_a_horizon_of_each_pair_cuts_that_pair_alone():
    first = runs([40, 70, 50], [True, True, False], [3, 1, 2])
    second = runs([80, 90, 60], [True, True, True], [3, 1, 2])
    found = paired.compared(first, second, [80, 50, 60])  # of the seeds 1, 2 and 3
    assert found.ratios == pytest.approx((70 / 80, 40 / 60)) and found.censored == 1


def test_no_p_below_six_pairs_and_ties_are_half_sooner():
    ratios = np.array([0.5, 0.5, 0.5, 1.0, 0.5])
    few = paired.of_ratios(ratios, np.ones(5))
    assert math.isnan(few.p_value) and few.sooner == pytest.approx(0.9)
    assert few.few == pytest.approx(tuple(ratios))
    six = paired.of_ratios([0.5] * 6, np.ones(6))
    assert six.p_value == 2 / 2**6 and math.isnan(six.ratio.low)
    alike = paired.of_ratios(np.ones(8), np.ones(8))
    assert math.isnan(alike.p_value) and alike.sooner == 0.5 and alike.ratio == (1, 1, 1)
    assert [*alike.notes()] == ["no p: no pair differs"] and alike.few == ()


def test_bounds_among_the_pairs_are_told():
    seeds, there = np.arange(8), np.array([True] * 5 + [False] * 3)
    first = Passages(seeds, np.where(there, 50.0, 100.0), there)
    second = Passages(seeds, np.full(8, 40.0), np.full(8, True))
    found = paired.compared(first, second, 100)
    assert (found.cut, found.bound) == (3, "")
    assert "pair ratios that are bounds: 3 of 8" in list(found.notes())
    assert not any("bounds" in note for note in paired.compared(second, second, 100).notes())
