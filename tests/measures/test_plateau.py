import math

import numpy as np
import pytest

from plateaus.measures.plateau import THRESHOLDS, normalised, passage_step


def passage_by_loop(curve, steps, threshold, window):
    for end in range(window - 1, len(curve)):
        inside = [float(value) for value in curve[end - window + 1 : end + 1]]
        if all(math.isfinite(v) for v in inside) and math.fsum(inside) / window < threshold:
            return steps[end]
    return math.nan


@pytest.mark.parametrize("window", [1, 2, 3, 7])
def test_passage_step_is_the_brute_force_search(window):
    rng = np.random.default_rng(0)
    steps = np.arange(30) * 500
    curves = rng.uniform(0, 1.2, (2, 40, 30)) * np.linspace(1.3, 0.2, 30)
    curves[rng.uniform(size=curves.shape) < 0.04] = np.nan
    curves[rng.uniform(size=curves.shape) < 0.02] = np.inf
    curves[rng.uniform(size=curves.shape) < 0.02] = -np.inf
    for threshold in THRESHOLDS.values():
        found = passage_step(curves, steps, threshold, window)
        wanted = [[passage_by_loop(c, steps, threshold, window) for c in row] for row in curves]
        np.testing.assert_array_equal(found, wanted)


def test_nothing_passes_before_a_whole_window_has_been_seen():
    assert passage_step(np.zeros(5), [0, 10, 20, 30, 40], 0.5) == 20
    assert np.isnan(passage_step(np.zeros(2), [0, 10], 0.5))
    assert passage_step(np.zeros((4, 0, 5)), range(5), 0.5).shape == (4, 0)


def test_the_threshold_itself_is_not_under_the_threshold():
    assert np.isnan(passage_step([0.5] * 4, range(4), 0.5))


def test_a_huge_or_missing_evaluation_delays_only_its_own_windows():
    # float32's largest value: a running sum in float32 overflows and never recovers.
    for bad in (3.4e38, np.nan, np.inf, -np.inf):
        curve = np.array([bad, 0, 0, 0, bad, 0, 0, 0, 0], np.float32)
        assert passage_step(curve, range(9), 0.5) == 3
        assert passage_step(curve[4:], range(5), 0.5) == 3


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="window = 0"):
        passage_step([1.0], [0], 0.5, window=0)
    with pytest.raises(ValueError, match="eval_steps"):
        passage_step([1.0, 1.0], [0], 0.5)


def test_normalised_is_one_on_the_plateau_and_zero_at_the_optimum():
    rng = np.random.default_rng(1)
    uninformed, best = rng.uniform(2, 3, (4, 5)), rng.uniform(0, 1, (4, 5))
    height = rng.uniform(-0.5, 2, (4, 5, 6))
    loss = best[..., None] + height * (uninformed - best)[..., None]
    np.testing.assert_allclose(normalised(loss, uninformed, best), height, rtol=1e-12)


def test_normalised_is_nan_not_a_warning_where_it_has_no_meaning():
    loss = np.array([[1.0, np.inf], [3.0, np.nan], [1.0, 2.0]], np.float32)
    result = normalised(loss, [1.0, 1.0, np.nan], [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(result, [[1, np.inf], [np.nan] * 2, [np.nan] * 2])
    assert np.isnan(normalised([np.inf], np.float64(1), np.float64(np.inf))).all()
