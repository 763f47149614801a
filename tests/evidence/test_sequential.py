"""The group-sequential sign flip beside enumeration, scipy, and the normal limit."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from plateaus.evidence import sequential

LOOKS = (16, 24, 32, 48, 64)
FEW = 2**11


def enumerated(differences, looks, level):
    """The rule in words, over all arrangements of the signs, which have to be few."""
    total = looks[-1]
    left = [np.array(signs) for signs in itertools.product([1, -1], repeat=total)]
    size, before = 2**total, 0
    values = np.nan_to_num(np.pad(differences, (0, total - len(differences))))
    for look in looks:
        if look > len(differences):
            return None
        allowed = level * ((look / total) ** 2 - (before / total) ** 2) * size
        totals = [round(float(values[:look] @ signs[:look]), 9) for signs in left]
        going = set()
        for value in sorted(set(totals)):
            if sum(other <= value for other in totals) <= allowed + 1e-6:
                going.add(value)
        if round(float(values[:look].sum()), 9) in going:
            return look
        left = [signs for signs, value in zip(left, totals, strict=True) if value not in going]
        before = look
    return None


@pytest.mark.parametrize("seed", range(4))
def test_crossings_are_those_of_the_rule_over_all_flips(seed):
    rng = np.random.default_rng(seed)
    looks = (3, 5, 6, 8)
    found = set()
    for case in range(12):
        differences = rng.normal(-1, 1, 8) if case % 2 else rng.integers(-3, 2, 8).astype(float)
        if case % 3 == 0:
            differences[rng.integers(8)] = math.nan
        length = int(rng.integers(5, 9))
        for level in (0.05, 0.2, 0.4):
            want = enumerated(differences[:length], looks, level)
            found.add(want)
            for flips in (2**8, 2**12):
                got = sequential.crossed(differences[:length], looks, level, flips=flips)
                assert got == want, (differences, length, level)
    assert {None, 5, 8} <= found  # the cases are of more than one kind


@pytest.mark.parametrize("count", [4, 7, 10])
def test_one_look_has_the_p_of_all_flips(count):
    rng = np.random.default_rng(count)
    for values in (rng.normal(-0.3, 1, count), rng.integers(-2, 2, count).astype(float)):
        signs = np.array([*itertools.product([1, -1], repeat=count)])
        want = np.mean(signs @ values <= values.sum() + 1e-9)
        assert sequential.sequential_p(values, (count,)) == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("count", [12, 40])
def test_one_look_has_the_p_of_scipy(count):
    values = np.random.default_rng(count).normal(-0.25, 1, count)
    want = stats.permutation_test(
        (values,),
        lambda sample, axis: sample.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=50_000,
        alternative="less",
        rng=np.random.default_rng(1),
    ).pvalue
    got = sequential.sequential_p(values, (count,))
    noise = 0 if count == 12 else 4 * math.sqrt(2 * want * (1 - want) / 50_000)
    assert got == pytest.approx(want, abs=noise + 1e-9)


def test_p_is_the_least_level_that_crosses():
    rng = np.random.default_rng(5)
    for mean in (-0.3, -0.15, 0.0):
        values = rng.normal(mean, 0.5, 64)
        p = sequential.sequential_p(values, LOOKS, flips=FEW)
        assert sequential.crossed(values, LOOKS, p, flips=FEW)
        assert sequential.crossed(values, LOOKS, p * (1 - 1e-6), flips=FEW) is None
        higher = [sequential.crossed(values, LOOKS, p + x, flips=FEW) for x in (0.001, 0.02, 0.2)]
        assert all(higher) and higher == sorted(higher, reverse=True)


def test_p_and_interval_shrink_as_looks_are_added():
    rng = np.random.default_rng(6)
    for case in range(20):
        values = rng.normal(-0.2, 0.6, 64).round(case % 3)
        looks = [values[:n] for n in (10, *LOOKS)]
        p = [sequential.sequential_p(x, LOOKS, flips=FEW) for x in looks]
        assert p[0] == 1 and p == sorted(p, reverse=True)
        ends = [sequential.repeated_interval(x, LOOKS, 0.025, flips=FEW) for x in looks]
        assert ends[0][1:] == (-math.inf, math.inf)
        lows, highs = [e.low for e in ends], [e.high for e in ends]
        assert all(a <= b + 1e-6 for a, b in itertools.pairwise(lows))
        assert all(a >= b - 1e-6 for a, b in itertools.pairwise(highs))


def test_later_data_change_no_look_that_was():
    rng = np.random.default_rng(7)
    for _ in range(20):
        values = rng.normal(-0.3, 0.6, 80)
        look = sequential.crossed(values, LOOKS, 0.025, flips=FEW)
        for n in range(8, 81, 8):
            now = sequential.crossed(values[:n], LOOKS, 0.025, flips=FEW)
            assert now == (look if look and look <= n else None)


def test_the_interval_inverts_the_test():
    values = np.random.default_rng(8).normal(-0.3, 0.6, 40)
    mean, low, high = sequential.repeated_interval(values, LOOKS, 0.025)
    assert low < mean < high and mean == pytest.approx(values[:32].mean())

    def below(shift):
        return sequential.crossed(values - shift, LOOKS, 0.025) is not None

    def above(shift):
        return sequential.crossed(shift - values, LOOKS, 0.025) is not None

    assert [below(high - 1e-6), below(high + 1e-6)] == [False, True]
    assert [above(low + 1e-6), above(low - 1e-6)] == [False, True]


def test_scale_shift_and_silent_pairs_change_nothing():
    values = np.random.default_rng(9).normal(-0.3, 0.6, 64)
    want = sequential.repeated_interval(values, LOOKS, 0.025, flips=FEW)
    scaled = sequential.repeated_interval(1000 * values, LOOKS, 0.025, flips=FEW)
    shifted = sequential.repeated_interval(values + 5, LOOKS, 0.025, flips=FEW)
    np.testing.assert_allclose(np.array(scaled) / 1000, want, atol=1e-8)
    np.testing.assert_allclose(np.array(shifted) - 5, want, atol=1e-8)
    p = sequential.sequential_p(values, LOOKS, flips=FEW)
    assert sequential.sequential_p(1000 * values, LOOKS, flips=FEW) == p
    for places in (np.arange(0, 128, 2), np.arange(64)):  # every second pair, and the last ones
        padded = np.full(128, math.nan)
        padded[places] = values
        if places[-1] > 64:  # half of the seeds say something: the same look at twice the seeds
            twice = [2 * look for look in LOOKS]
            assert sequential.sequential_p(padded, twice, flips=FEW) == p
        else:
            assert sequential.sequential_p(padded, LOOKS, flips=FEW) == p


def test_data_that_say_nothing_decide_nothing():
    for values in (np.zeros(64), np.full(64, math.nan), np.zeros(0)):
        assert sequential.crossed(values, LOOKS, 0.5, flips=FEW) is None
        assert sequential.sequential_p(values, LOOKS, flips=FEW) == 1
    nothing = sequential.repeated_interval(np.full(64, math.nan), LOOKS, 0.025, flips=FEW)
    assert math.isnan(nothing.value) and nothing[1:] == (-math.inf, math.inf)
    same = sequential.repeated_interval(np.full(64, -0.5), LOOKS, 0.025, flips=FEW)
    np.testing.assert_allclose(same, -0.5, atol=1e-5)


def test_ties_cross_together_or_not_at_all():
    # Four pairs of size 1: 1, 4, 6, 4, 1 of 16 flips have each sum. 5 of 16 reach the second.
    values = [-1.0, -1.0, 1.0, -1.0]
    assert sequential.crossed(values, (4,), 5 / 16) == 4
    assert sequential.crossed(values, (4,), 4.9 / 16) is None
    assert sequential.sequential_p(values, (4,)) == 5 / 16


@pytest.mark.parametrize(
    ("differences", "looks", "flips"),
    [
        ([[1.0]], (1,), 4),
        ([math.inf], (1,), 4),
        ([1.0], (2, 1), 4),
        ([1.0], (), 4),
        ([1.0], (1,), 3),
    ],
)
def test_what_makes_no_sense_is_refused(differences, looks, flips):
    with pytest.raises(ValueError, match="must be"):
        sequential.crossed(differences, looks, 0.025, flips=flips)


def test_the_flips_are_a_group_with_its_opposites():
    signs = sequential._signs(40, 2**8).T.astype(int)
    rows = {tuple(row) for row in signs}
    assert len(rows) == 2**8 and (signs[0] == 1).all()
    rng = np.random.default_rng(0)
    for i, j in rng.integers(0, 2**8, (200, 2)):
        assert tuple(signs[i] * signs[j]) in rows and tuple(-signs[i]) in rows
    columns = {tuple(column) for column in signs.T}
    assert len(columns) == 40 and all(sum(column) == 0 for column in columns)
    np.testing.assert_array_equal(sequential._signs(24, 2**8), sequential._signs(40, 2**8)[:24])


def test_the_boundaries_are_those_of_a_random_walk():
    """The flips of many pairs of about one size are a random walk, whose density is integrated."""
    looks, level = (100, 200, 300, 400, 500), 0.05
    grid = np.linspace(-10, 10, 4001)
    step, kernel = grid[1] - grid[0], stats.norm.pdf(grid)
    density, want, spent = kernel, [], 0.0
    for k in range(1, 6):
        if k > 1:
            density = step * np.convolve(density, kernel, mode="same")
        share = level * (k / 5) ** 2 - spent
        bound = float(np.interp(share, np.cumsum(density) * step, grid + step / 2))
        want.append(bound / math.sqrt(k))
        spent += share
        density = np.where(grid > bound, density, 0.0)
    assert want[0] == pytest.approx(stats.norm.ppf(0.002), abs=0.01)
    values = np.random.default_rng(3).uniform(0.9, 1.1, 500)
    table = sequential._tabled(values, looks, 2**16)
    bounds = sequential._thresholds(table, level)
    scales = np.sqrt(np.cumsum(values**2)[np.array(looks) - 1])
    # 131 of the flips lie below the first bound, so that it is good to 1 / 11 of its share.
    np.testing.assert_allclose(bounds / scales, want, atol=0.06)
