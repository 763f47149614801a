"""The log-rank test of few runs, beside every permutation of their settings."""

import itertools
import math

import numpy as np
import pytest

from plateaus.report import unpaired


def excess(times, escaped, chosen):
    """Escapes of the chosen runs less those expected of them, one time after the other."""
    total = 0.0
    for time in sorted({t for t, e in zip(times, escaped, strict=True) if e}):
        at_risk = [i for i, t in enumerate(times) if t >= time]
        events = [i for i in at_risk if times[i] == time and escaped[i]]
        ours = sum(i in chosen for i in at_risk) / len(at_risk)
        total += sum(i in chosen for i in events) - len(events) * ours
    return total


def by_enumeration(first, second):
    times, escaped = [*first[0], *second[0]], [*first[1], *second[1]]
    size = len(first[0])
    seen = excess(times, escaped, set(range(size)))
    others = [
        excess(times, escaped, set(chosen))
        for chosen in itertools.combinations(range(len(times)), size)
    ]
    tails = np.mean(np.array(others) >= seen - 1e-9), np.mean(np.array(others) <= seen + 1e-9)
    return min(1.0, 2 * min(tails))


@pytest.mark.parametrize("sizes", [(3, 3), (5, 5), (4, 6), (2, 7)])
def test_p_of_few_runs_is_that_of_every_permutation(sizes):
    rng = np.random.default_rng(sum(sizes))
    for _ in range(3):
        samples = [
            (rng.integers(1, 8, n).tolist(), (rng.uniform(size=n) < 0.7).tolist()) for n in sizes
        ]
        samples[0][1][0] = True
        samples[0][0][0] = 1  # so that someone escapes while the others are at risk
        wanted = by_enumeration(*samples)
        assert unpaired.logrank_p(*samples) == pytest.approx(wanted)


def test_samples_of_nine_and_ten_runs_hardly_differ_in_p():
    """On the two sides of the limit; the chi-squared test is near the permutations by then."""
    rng = np.random.default_rng(3)
    slow, fast = rng.exponential(2, 10), rng.exponential(1, 10)
    whole = unpaired.logrank_p((slow, slow < 3), (fast, fast < 3))
    some = unpaired.logrank_p((slow, slow < 3), (fast[:9], fast[:9] < 3))
    assert 0 < some < 1 and abs(math.log(some / whole)) < 1


def test_the_test_of_five_runs_keeps_its_level():
    rng, trials = np.random.default_rng(7), 200
    times = np.minimum(rng.exponential(size=(trials, 2, 5)), 1.5)
    p = np.array([unpaired.logrank_p((a, a < 1.5), (b, b < 1.5)) for a, b in times])
    for level in (0.05, 0.2):
        assert np.nanmean(p <= level) < level + 3 * math.sqrt(level * (1 - level) / trials)


def test_where_the_data_say_nothing_there_is_no_p():
    none, some = ([9, 9], [False, False]), ([4, 9], [True, False])
    assert math.isnan(unpaired.logrank_p(none, none))
    assert math.isnan(unpaired.logrank_p(([], []), some))
    assert math.isnan(unpaired.logrank_p(some, ([1], [True])))
    assert math.isnan(unpaired.logrank_p(([4], [True]), ([4], [True])))
    assert unpaired.logrank_p(none, some) == pytest.approx(by_enumeration(none, some))


def test_p_of_many_runs_is_uniform_under_the_null():
    rng, trials = np.random.default_rng(5), 400
    times = np.minimum(rng.exponential(size=(trials, 2, 16)), 1.5)
    p = np.array([unpaired.logrank_p((a, a < 1.5), (b, b < 1.5)) for a, b in times])
    for level in (0.05, 0.2, 0.5, 0.8):
        assert abs(np.mean(p < level) - level) < 3.5 * math.sqrt(level * (1 - level) / trials)
