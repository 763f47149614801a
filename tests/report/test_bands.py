"""Medians and spreads of seeds: within the data, whatever is missing of it."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from plateaus.report import bands
from plateaus.report.style import looks


@pytest.fixture
def axes():
    return Figure().subplots()


def test_quartiles_leave_out_what_is_missing_and_stay_in_the_range_of_the_data():
    values = np.random.default_rng(0).lognormal(size=(9, 40))
    values[3, 5], values[:, 7] = np.inf, np.nan
    middle, low, high = bands.quartiles(values)
    assert np.isnan([middle[7], low[7], high[7]]).all()
    rest = np.delete(np.arange(40), 7)
    assert middle[5] == np.median(np.delete(values[:, 5], 3))
    assert (np.nanmin(values[:, rest], axis=0) <= low[rest]).all()
    assert (low[rest] <= middle[rest]).all() and (middle[rest] <= high[rest]).all()
    order = np.sort(values[:, 0])
    assert (low[0], middle[0], high[0]) == (order[2], order[4], order[6])


@pytest.mark.parametrize("shape", [(5,), (1, 6), (9, 40), (16, 3, 9)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore:All-NaN slice encountered")
def test_quartiles_are_those_of_numpy_to_the_bit(shape, kind):
    rng = np.random.default_rng(0)
    values = rng.lognormal(size=shape).astype(kind)
    values[rng.random(shape) < 0.3] = np.nan
    low, middle, high = np.nanquantile(values, (0.25, 0.5, 0.75), axis=0)
    values[np.isnan(values) & (rng.random(shape) < 0.2)] = np.inf  # not a number of a run either
    np.testing.assert_array_equal(bands.quartiles(values), (middle, low, high))


@pytest.mark.parametrize("runs", [1, 7, 8])
def test_few_runs_are_drawn_one_by_one_and_many_as_their_middle_half(axes, runs):
    values = np.arange(runs)[:, None] + np.zeros(5)
    bands.median_curve(axes, np.arange(5), values, looks(1)[0])
    thin = {1: 0, 7: 7, 8: 0}[runs]
    assert len(axes.lines) == thin + 1 and len(axes.collections) == (runs == 8)
    assert axes.lines[-1].get_ydata().tolist() == [(runs - 1) / 2] * 5
    if runs == 8:
        heights = axes.collections[0].get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == (1.75, 5.25)


def test_of_many_settings_only_the_medians_are_drawn(axes):
    values = np.zeros((9, 5))
    bands.median_curve(axes, np.arange(5), values, looks(1)[0], spread=False)
    assert len(axes.lines) == 1 and not axes.collections


def test_a_band_of_steps_has_the_steps_of_its_line(axes):
    values = np.tile([0.0, 1.0, 3.0], (8, 1))
    bands.median_curve(axes, np.arange(3), values, looks(1)[0], drawstyle="steps-pre")
    corners = axes.collections[0].get_paths()[0].vertices
    assert [0.0, 1.0] in corners.tolist()  # the level from 0 to 1 is that at 1


@pytest.mark.parametrize("sideways", [False, True])
def test_a_point_is_the_median_over_a_dot_a_run(axes, sideways):
    values = np.array([1.0, np.nan, 2.0, 9.0])
    bands.median_point(axes, 5.0, values, looks(1)[0], sideways=sideways)
    dots, mark = ([line.get_data()[1 - sideways], line] for line in axes.lines)
    assert list(dots[0]) == [1.0, 2.0, 9.0] and list(mark[0]) == [2.0]
    assert list(mark[1].get_data()[sideways]) == [5.0]
    bands.median_point(axes, 6.0, np.full(3, np.nan), looks(1)[0])
    assert len(axes.lines) == 2
    bands.median_point(axes, 6.0, np.arange(8.0), looks(1)[0], sideways=sideways)
    assert len(axes.lines) == 5
