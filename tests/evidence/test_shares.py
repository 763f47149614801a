"""Shares beside a limit: errors over all looks by brute force, one look, and too few runs."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from plateaus.evidence.shares import beside

LOOKS, LEVEL = (16, 24, 32, 48, 64), 0.025


@pytest.mark.parametrize("true", [0.1, 0.2, 0.37, 0.5, 0.8])
def test_all_looks_together_err_in_no_more_than_the_level(true):
    """Every outcome of ten runs, each with its probability: its side, its interval at the end."""
    looks, level = (4, 7, 10), 0.2
    below, above, too_low, too_high = 0.0, 0.0, 0.0, 0.0
    for outcome in itertools.product([False, True], repeat=looks[-1]):
        chance = true ** sum(outcome) * (1 - true) ** (looks[-1] - sum(outcome))
        side = beside(outcome, true, looks, level).side
        below += chance * (side == "below")
        above += chance * (side == "above")
        ends = beside(outcome, 1e-12, looks, level).interval  # a limit at which no look ends
        too_low += chance * (not ends.high >= true)
        too_high += chance * (not ends.low <= true)
    assert max(below, above, too_low, too_high) <= level
    assert below + above > 0.01  # the test is not one that never speaks


@pytest.mark.parametrize("count", [0, 1, 9, 32])
def test_a_single_look_is_the_exact_interval(count):
    found = beside(np.arange(32) < count, 0.2, (32,), LEVEL)
    exact = stats.binomtest(count, 32).proportion_ci(1 - 2 * LEVEL, method="exact")
    assert found.interval == pytest.approx((count / 32, exact.low, exact.high))


def test_the_first_look_that_decides_is_the_last():
    there = np.array([True] * 15 + [False] + [False] * 48)
    found = beside(there, 0.2, LOOKS, LEVEL)
    assert (found.side, found.runs, found.interval.value) == ("above", 16, 15 / 16)
    never = beside(np.zeros(64, bool), 0.1, LOOKS, LEVEL)
    assert (never.side, never.runs) == ("below", 48)
    # .9^32 is .034, more than the look at 32 may spend; .9^48 is .0064, less than that at 48 may.
    assert never.interval.high == pytest.approx(1 - (LEVEL * (48**2 - 32**2) / 64**2) ** (1 / 48))


def test_what_a_look_excludes_stays_excluded():
    """All of the first 16 runs, then half: the look at 24 by itself would go down to .53."""
    there = np.concatenate([np.ones(16, bool), np.arange(48) % 2 == 0])
    first, found = (beside(there[:runs], 0.99, LOOKS, LEVEL) for runs in (16, 64))
    assert found.interval.low == first.interval.low > 0.6
    assert (found.side, found.runs) == ("below", 24)


def test_ends_that_exclude_each_other_are_no_interval():
    there = np.arange(64) >= 16  # none of the first look's runs, all of the others
    found = beside(there, 0.3, LOOKS, LEVEL)
    assert found.side == "above" and found.interval.value == found.runs**-1 * (found.runs - 16)
    assert math.isnan(found.interval.low) and math.isnan(found.interval.high)


def test_before_the_first_look_nothing_is_said():
    found = beside([True] * 15, 0.2, LOOKS, LEVEL)
    assert (found.side, found.runs) == ("", 0)
    assert math.isnan(found.interval.value) and found.interval[1:] == (0.0, 1.0)
