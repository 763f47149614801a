"""Rank correlations against another library, by hand, and calibrated by simulation."""

import itertools

import numpy as np
import pytest
from scipy import stats

from plateaus.report.rank_correlation import partial, spearman

RUNS = 64


def made(rng, link, runs=RUNS, tied=False):
    """A loss, a time that depends on it, and a measure that depends on both: `link` on the time."""
    loss = rng.standard_normal(runs)
    own = rng.standard_normal(runs)
    time = np.exp(loss + own)
    measure = loss + link * own + rng.standard_normal(runs)
    if tied:
        time = np.where(time > np.quantile(time, 0.7), np.inf, np.round(4 * np.log(time)))
    return measure, time, loss


def test_spearman_is_that_of_scipy():
    rng = np.random.default_rng(0)
    for tied in (False, True):
        measure, time, _ = made(rng, 0.5, tied=tied)
        assert spearman(measure, time) == pytest.approx(stats.spearmanr(measure, time).statistic)


def test_partial_is_the_formula_of_three_correlations():
    for tied in (False, True):
        measure, time, loss = made(np.random.default_rng(1), 0.5, tied=tied)
        xy, xz, yz = (spearman(*pair) for pair in ((measure, time), (measure, loss), (time, loss)))
        expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
        found = partial(measure, time, loss, resamples=9).value
        assert found.value == pytest.approx(expected)
        assert partial(-measure, time, loss, resamples=9).value.value == pytest.approx(-expected)
        assert found.low < found.value < found.high


def test_the_permutations_are_those_of_freedman_and_lane():
    """Of eight runs by all 40,320 orders, each refitted by least squares."""
    measure, time, loss = made(np.random.default_rng(3), 0.3, runs=8)
    ranks = [stats.rankdata(values) for values in (measure, time, loss)]
    design = np.column_stack([np.ones(8), ranks[2]])
    project = np.eye(8) - design @ np.linalg.pinv(design)
    of_measure, of_time = project @ ranks[0], project @ ranks[1]
    fitted = ranks[1] - of_time

    orders = np.array([*itertools.permutations(range(8))])
    again = (fitted + of_time[orders]) @ project.T
    again /= np.linalg.norm(again, axis=1)[:, None]
    others = again @ of_measure / np.linalg.norm(of_measure)
    exact = np.mean(np.abs(others) >= abs(others[0]) - 1e-12)
    assert 0.05 < exact < 0.95
    assert partial(measure, time, loss).p_value == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("tied", [False, True])
def test_what_the_loss_says_already_is_not_counted(tied):
    """Without a link the measure correlates with the time, and the test rejects one in twenty."""
    rng = np.random.default_rng(5)
    found = [partial(*made(rng, 0.0, tied=tied), resamples=99) for _ in range(400)]
    rejected = np.mean([one.p_value <= 0.05 for one in found])
    covered = np.mean([one.value.low <= 0 <= one.value.high for one in found])
    error = np.sqrt(0.05 * 0.95 / 400)
    assert rejected == pytest.approx(0.05, abs=3.3 * error)
    assert covered == pytest.approx(0.95, abs=3.3 * error)
    plain = [stats.spearmanr(*made(rng, 0.0, tied=tied)[:2]).pvalue for _ in range(50)]
    assert np.mean(np.array(plain) <= 0.05) > 0.8


def test_what_the_loss_does_not_say_is_seen():
    rng = np.random.default_rng(6)
    truth = partial(*made(rng, 1.0, runs=20_000), resamples=1).value.value
    found = [partial(*made(rng, 1.0), resamples=99) for _ in range(200)]
    assert np.mean([one.p_value <= 0.05 for one in found]) > 0.95
    covered = np.mean([one.value.low <= truth <= one.value.high for one in found])
    assert covered == pytest.approx(0.95, abs=3.3 * np.sqrt(0.05 * 0.95 / 200))


@pytest.mark.parametrize("case", ["few", "the loss itself", "level measure", "level time"])
def test_what_cannot_be_said(case):
    measure, time, loss = made(np.random.default_rng(0), 0.5, runs=7 if case == "few" else 30)
    measure = {"the loss itself": np.exp(loss), "level measure": 0 * loss}.get(case, measure)
    time = 0 * time if case == "level time" else time
    found = partial(measure, time, loss)
    assert np.isnan(found.value).all() and np.isnan(found.p_value)


def test_a_level_loss_takes_nothing_away():
    measure, time, loss = made(np.random.default_rng(0), 0.5)
    found = partial(measure, time, 0 * loss)
    assert found.value.value == pytest.approx(spearman(measure, time))
    assert found.p_value == pytest.approx(stats.spearmanr(measure, time).pvalue, abs=0.02)
    assert np.isnan(spearman(measure, 0 * loss))
