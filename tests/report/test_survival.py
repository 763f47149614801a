import math

import numpy as np
import pytest
from scipy import stats

from plateaus.report import survival, unpaired
from plateaus.report.survival import Interval

# Remission in weeks of 42 patients; Freireich et al., Blood 21 (1963) 699: the textbook example.
TREATED = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
TREATED_SEEN = [True] * 9 + [False] * 12
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
PLACEBO_SEEN = [True] * 21


def standard_error(rate, trials):
    return math.sqrt(rate * (1 - rate) / trials)


def area_by_loop(times, escaped, horizon):
    """Kaplan-Meier by its definition: one product over the event times, one rectangle a step."""
    area, fraction, at = 0.0, 1.0, 0.0
    for time in sorted(set(times)):
        if time > horizon:
            break
        area, at = area + fraction * (time - at), time
        at_risk = sum(t >= time for t in times)
        events = sum(t == time and e for t, e in zip(times, escaped, strict=True))
        fraction *= 1 - events / at_risk
    return area + fraction * (horizon - at)


def test_textbook_medians_intervals_and_logrank():
    # As SAS LIFETEST prints them: 23 [13, .] and 8 [4, 11]; log-rank chi-squared 16.79.
    assert survival.median_time(TREATED, TREATED_SEEN) == (23, 13, math.inf)
    assert survival.median_time(PLACEBO, PLACEBO_SEEN) == (8, 4, 11)
    p = unpaired.logrank_p((TREATED, TREATED_SEEN), (PLACEBO, PLACEBO_SEEN))
    assert stats.norm.isf(p / 2) ** 2 == pytest.approx(16.79, abs=0.005)


def test_median_interval_inverts_the_log_log_band():
    rng, z, differ = np.random.default_rng(10), stats.norm.isf(0.025), 0
    for _ in range(30):
        times = np.sort(rng.permutation(40)[:16])
        seen = rng.uniform(size=16) < 0.8
        seen[-1] = False  # so that the curve stays above 0
        inside, linear, fraction, variance = [], [], 1.0, 0.0
        for at_risk, time, escaped in zip(range(16, 0, -1), times, seen, strict=True):
            if escaped:
                fraction *= 1 - 1 / at_risk
                variance += 1 / (at_risk * (at_risk - 1))
                width = math.sqrt(variance)
                distance = math.log(-math.log(fraction)) - math.log(math.log(2))
                inside.append((time, distance + z * width / -math.log(fraction) >= 0,
                               distance - z * width / -math.log(fraction) >= 0))  # fmt: skip
                linear.append((time, fraction - z * fraction * width <= 0.5))
        low = next((t for t, reached, _ in inside if reached), math.inf)
        high = next((t for t, _, reached in inside if reached), math.inf)
        assert survival.median_time(times, seen)[1:] == (low, high)
        differ += low != next((t for t, reached in linear if reached), math.inf)
    assert differ  # the plain Greenwood band would have failed


def test_hand_computed_censored_curve():
    times, escaped = [2, 3, 3, 5, 8], [True, True, False, False, True]
    steps, fraction = survival.survival_curve(times, escaped)
    # 4/5 after 2; 4/5 * 3/4 after 3; the last run alone is at risk at 8.
    np.testing.assert_allclose(steps, [2, 3, 5, 8])
    np.testing.assert_allclose(fraction, [0.8, 0.6, 0.6, 0.0])
    assert survival.median_time(times, escaped).value == 8
    mean = 2 * 1 + 1 * 0.8 + 5 * 0.6
    assert survival.restricted_mean(times, escaped, horizon=10) == pytest.approx(mean)


@pytest.mark.parametrize("runs", [1, 2, 5, 8, 15])
def test_uncensored_median_and_mean_are_the_sample_ones(runs):
    times = np.random.default_rng(runs).permutation(40)[:runs].astype(float)
    everyone = np.ones(runs, bool)
    assert survival.median_time(times, everyone).value == np.median(times)
    mean = survival.restricted_mean(times, everyone, horizon=100)
    assert mean == pytest.approx(times.mean())
    cut = survival.restricted_mean(times, everyone, horizon=20)
    assert cut == pytest.approx(np.minimum(times, 20).mean())


def test_restricted_mean_is_the_area_by_brute_force_with_ties_and_early_censoring():
    rng = np.random.default_rng(3)
    times = rng.integers(0, 12, (50, 9))  # many ties, some at 0, some past the horizon
    escaped = rng.uniform(size=times.shape) < 0.6
    found = survival.restricted_mean(times, escaped, horizon=10)
    wanted = [area_by_loop(t, e, 10) for t, e in zip(times.tolist(), escaped, strict=True)]
    np.testing.assert_allclose(found, wanted)
    turned = survival.restricted_mean(times.T, escaped.T, horizon=10, axis=0)
    np.testing.assert_array_equal(turned, found)


def test_degenerate_samples_give_no_interval_and_no_warning():
    nan, inf = math.nan, math.inf
    unknown = survival.median_time([], [])
    assert all(math.isnan(end) for end in unknown)
    np.testing.assert_equal(survival.median_time([9, 9], [False] * 2), Interval(inf, nan, nan))
    np.testing.assert_equal(survival.median_time([9], [True]), Interval(9, nan, nan))
    np.testing.assert_equal(survival.median_time([9], [False]), Interval(inf, nan, nan))
    # No survivor among n bounds the median at 95% once (1/40)^(1/n) > 1/2: from n = 6.
    assert survival.median_time([9] * 5, [True] * 5) == (9, 9, inf)
    assert survival.median_time([9] * 6, [True] * 6) == (9, 9, 9)


def test_median_interval_covers_the_median():
    rng, trials = np.random.default_rng(4), 400
    covered = 0
    for _ in range(trials):
        times = rng.exponential(size=16)
        seen = times < 1.5  # about a fifth of the runs censored
        _, low, high = survival.median_time(np.minimum(times, 1.5), seen)
        covered += low <= math.log(2) <= high
    # Discrete in 16 runs, hence somewhat conservative; never below its level.
    assert covered / trials > 0.95 - 3 * standard_error(0.95, trials)
    assert covered / trials < 0.995


def test_paired_bootstrap_covers_a_ratio_and_pairing_is_what_narrows_it(monkeypatch):
    monkeypatch.setattr(survival, "RESAMPLES", 1999)
    rng, trials, runs = np.random.default_rng(6), 300, 16
    covered, narrower = 0, 0
    for _ in range(trials):
        shared = rng.lognormal(0, 0.5, runs)  # what a seed has in common between settings
        slow = shared * rng.lognormal(0, 0.2, runs)
        fast = 0.6 * shared * rng.lognormal(0, 0.2, runs)

        def ratio(t, u, axis):
            return t.mean(axis) / u.mean(axis)

        (_, low, high), note = survival.bootstrap_interval((fast, slow), ratio)
        assert not note
        covered += low <= 0.6 <= high
        (_, left, right), _ = survival.bootstrap_interval((rng.permutation(fast), slow), ratio)
        narrower += (high - low) < (right - left)
    # 93% in a long simulation at 16 pairs of skewed times; a plain BCa interval covers 90%.
    assert abs(covered / trials - 0.93) < 3 * standard_error(0.93, trials)
    assert narrower / trials > 0.9


def test_bootstrap_is_reproducible_and_says_why_it_has_no_interval():
    def mean(x, axis):
        return x.mean(axis)

    sample = np.random.default_rng(7).normal(size=12)
    assert survival.bootstrap_interval([sample], mean) == survival.bootstrap_interval(
        [sample], mean
    )
    for data, reason in (
        ([], "no run"),
        ([2.0], "fewer than 8 runs"),
        ([2.0, 1.0, 4.0, 3.0, 7.0, 5.0, 6.0], "fewer than 8 runs"),
        ([2.0] * 8, "no spread among runs"),
    ):
        interval, note = survival.bootstrap_interval([data], mean)
        assert note == reason
        assert math.isnan(interval.low) and math.isnan(interval.high)
    # Two samples that vary, and a ratio that does not.
    interval, note = survival.bootstrap_interval(
        [sample, sample], lambda x, y, axis: x.mean(axis) / y.mean(axis)
    )
    assert interval.value == 1 and math.isnan(interval.low) and "degenerate" in note


def test_holm_rejects_what_the_step_down_procedure_rejects():
    rng = np.random.default_rng(8)
    for _ in range(8):
        p = rng.uniform(0, 0.1, 6)
        rejected = np.zeros(6, bool)
        for k, i in enumerate(np.argsort(p)):  # Holm's procedure, as stated
            if p[i] > 0.05 / (6 - k):
                break
            rejected[i] = True
        np.testing.assert_array_equal(np.array(survival.holm(list(p))) <= 0.05, rejected)
    adjusted = survival.holm([math.nan, 0.02, 0.9, 0.8])
    assert math.isnan(adjusted[0]) and adjusted[1:] == [0.06, 1.0, 1.0]


def test_mean_interval_is_scipys_t_interval():
    sample = np.random.default_rng(9).normal(size=8)
    low, high = stats.ttest_1samp(sample, 0).confidence_interval()
    assert survival.mean_interval(sample) == pytest.approx((sample.mean(), low, high))
    assert survival.mean_interval([3.0] * 8) == (3, 3, 3)
    for few in (sample[:7], [3.0]):
        assert survival.mean_interval(few).value == pytest.approx(np.mean(few))
        assert math.isnan(survival.mean_interval(few).low)
    assert math.isnan(survival.mean_interval([]).value)
