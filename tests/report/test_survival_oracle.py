"""Survival statistics and tests of equivalence beside lifelines and statsmodels."""

import warnings

import numpy as np
import pytest

from plateaus.evidence import decision, sequential
from plateaus.report import survival, unpaired

with warnings.catch_warnings():  # of libraries that it imports
    warnings.simplefilter("ignore")
    import lifelines
    from lifelines.statistics import logrank_test
    from lifelines.utils import restricted_mean_survival_time

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # lifelines' use of pandas


def sample(seed, number=40, horizon=1000.0):
    rng = np.random.default_rng(seed)
    times = np.round(400 * np.exp(rng.normal(0, 0.8, number)), -1) + 10  # ties, too
    early = rng.uniform(100, 2000, number)  # censored before the horizon, some of them
    ends = np.minimum(np.minimum(times, early), horizon)
    return ends, (times <= early) & (times <= horizon)


@pytest.mark.parametrize("seed", range(5))
def test_curves_medians_and_restricted_means_are_those_of_lifelines(seed):
    times, escaped = sample(seed)
    fitted = lifelines.KaplanMeierFitter().fit(times, escaped)
    steps, fraction = survival.survival_curve(times, escaped)
    theirs = fitted.survival_function_at_times(steps).to_numpy()
    np.testing.assert_allclose(fraction, theirs, atol=1e-12)
    median = survival.median_time(times, escaped).value
    assert median == fitted.median_survival_time_ or np.isclose(
        fitted.survival_function_at_times(fitted.median_survival_time_).iloc[0], 0.5
    )  # on a flat stretch at 1/2 ours is its middle
    for horizon in (200.0, 500.0, times.max()):
        ours = float(survival.restricted_mean(times, escaped, horizon))
        assert ours == pytest.approx(restricted_mean_survival_time(fitted, t=horizon), rel=1e-9)


def test_the_log_rank_test_is_that_of_lifelines():
    first, second = sample(0), sample(1)
    ours = unpaired.logrank_p(first, second)
    theirs = logrank_test(first[0], second[0], first[1], second[1]).p_value
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_holm_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    p_values = np.random.default_rng(0).uniform(0, 0.1, 20)
    theirs = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(survival.holm([*p_values]), theirs, rtol=1e-12)


def test_equivalence_by_sign_flips_agrees_with_two_t_tests_for_normal_differences():
    from statsmodels.stats.weightstats import ttost_paired

    rng = np.random.default_rng(3)
    for mean in (0.0, 0.05, 0.1):
        differences = rng.normal(mean, 0.25, 64)
        theirs = ttost_paired(differences, np.zeros(64), -0.15, 0.15)[0]
        ours = max(
            sequential.sequential_p(test, (64,))
            for test in decision.supporting(differences, 0.15, "equal")
        )
        assert ours == pytest.approx(theirs, rel=0.25, abs=2e-4)
