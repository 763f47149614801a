import json
import math

import numpy as np
import pytest

from plateaus.report import survival
from plateaus.report.cells import passages
from plateaus.report.statistics import baseline_of, summarise


@pytest.fixture(scope="module")
def rows(zipf_results):
    return summarise(zipf_results)


def test_one_row_per_value_in_order_with_counts(zipf_results, rows):
    values = zipf_results["data.zipf_exponent"].values.tolist()
    assert [row.setting for row in rows] == [{"data.zipf_exponent": v} for v in values]
    reached = np.isfinite(zipf_results["escape_step"].values).sum(axis=1)
    assert [row.escaped for row in rows] == reached.tolist()
    assert [row.runs for row in rows] == [16] * 6
    assert 0 < rows[0].escaped < 16 and rows[-1].escaped == 0  # what the next tests rely on


def test_plateau_is_the_mean_of_times_cut_at_the_horizon(zipf_results, rows):
    times = zipf_results["escape_step"].fillna(50_000).mean("seed").values
    np.testing.assert_allclose([row.plateau.value for row in rows], times)
    assert math.isnan(rows[0].ratio.value) and rows[0].is_baseline


def test_ratios_are_geometric_means_over_the_seeds_and_p_that_of_flipped_signs(zipf_results, rows):
    times = zipf_results["escape_step"].fillna(50_000).values
    logs = np.log(times[1:5] / times[0])
    np.testing.assert_allclose([row.ratio.value for row in rows[1:5]], np.exp(logs.mean(axis=1)))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (20_000, 16))
    for row, differences in zip(rows[1:5], logs, strict=True):
        assert row.ratio.low < row.ratio.value < row.ratio.high < 1
        assert (row.pairs, row.pairs_censored, row.bound, row.pair_ratios) == (16, 0, "", ())
        assert row.sooner == np.mean((differences < 0) + 0.5 * (differences == 0))
        p = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9)
        assert row.p_value == pytest.approx(p, abs=5 * math.sqrt(max(p, 1e-4) / 16_000))


def test_a_setting_that_never_escapes_has_no_interval_and_says_so(rows):
    never = rows[-1]
    assert never.escape.value == math.inf and math.isnan(never.escape.low)
    assert never.plateau.value == 50_000 and math.isnan(never.plateau.low)
    assert any("no spread" in note for note in never.notes)
    assert 0 < never.p_value < 0.05


def test_beside_a_setting_that_never_escapes_there_is_a_bound(zipf_results, rows):
    never, baseline = rows[-1], zipf_results["escape_step"].values[0]
    there = np.isfinite(baseline)
    bound = np.exp(np.log(50_000 / baseline[there]).mean())
    assert never.bound == ">" and never.ratio.value == pytest.approx(bound)
    assert math.isnan(never.ratio.low) and math.isnan(never.ratio.high)
    assert (never.pairs, never.pairs_censored) == (there.sum(), 16 - there.sum())
    assert f"{16 - there.sum()} pairs censored on both sides left out" in never.notes
    assert never.sooner == 0


def test_p_values_are_adjusted_over_the_table(rows):
    wanted = survival.holm([row.p_value for row in rows])
    assert [row.p_adjusted for row in rows[1:]] == wanted[1:]
    assert math.isnan(rows[0].p_adjusted)


def test_two_all_censored_settings(make_results):
    results = make_results({"data.subset": [1.0, 0.1]}, [np.inf, np.inf], seeds=3)
    _, row = summarise(results)
    assert math.isnan(row.ratio.value) and math.isnan(row.sooner)
    assert math.isnan(row.p_value) and math.isnan(row.p_adjusted)
    assert (row.pairs, row.pairs_censored) == (0, 3)
    assert "3 pairs censored on both sides left out" in row.notes


@pytest.mark.parametrize("seeds", [1, 2, 5, 7])
def test_few_runs(make_results, seeds):
    results = make_results({"data.subset": [1.0, 0.1]}, [20_000, 5_000], seeds=seeds)
    rows = summarise(results)
    assert [row.runs for row in rows] == [seeds] * 2
    assert rows[1].ratio.value < 1
    assert math.isfinite(rows[1].final_loss.value)
    assert math.isnan(rows[1].final_loss.low) and math.isnan(rows[1].ratio.low)
    assert any("fewer than 8 runs" in note for note in rows[1].notes)
    assert math.isnan(rows[1].p_value) == (seeds < 6)
    assert ("no p: fewer than 6 pairs" in rows[1].notes) == (seeds < 6)
    times = results["escape_step"].values
    assert rows[1].pair_ratios == pytest.approx(times[1] / times[0])
    said = " ".join(f"{ratio:.2f}" for ratio in times[1] / times[0])
    assert f"pair ratios: {said}" in rows[1].notes


def test_a_plateau_at_the_floor_of_the_instrument_is_said_to_be(make_results):
    """Losses are evaluated every 500 steps: four of them are the least that is trusted."""
    centres = [20_000, 1_000, 19_000]
    results = make_results({"data.subset": [1.0, 0.1, 0.2]}, centres, seeds=8, noise=0.05)
    base, short, long = summarise(results)
    assert short.escape.value < 2_000 < long.escape.value
    assert [row.floor for row in (base, short, long)] == [False, True, False]
    assert "plateau shorter than 2000 steps: at the floor of the instrument" in short.notes
    turned = results.assign_attrs(baseline='{"data.subset": 0.1}')
    of_floor, base, _ = summarise(turned)
    assert of_floor.floor and base.floor and base.is_baseline
    wanted = "baseline's plateau shorter than 2000 steps: at the floor of the instrument"
    assert wanted in of_floor.notes
    finer = results.assign_attrs(config='{"eval_every": 100}')  # of which a kept file is thinned
    assert not any(row.floor for row in summarise(finer))


def test_a_diverged_run_never_escaped_and_is_censored_at_the_horizon(make_results):
    results = make_results({"optim.learning_rate": [0.1, 1e6]}, [9_000, np.nan], seeds=9)
    results["status"][0, 2] = 2  # one of a setting that otherwise escapes
    harmless, wild = summarise(results)
    assert (harmless.escaped, harmless.diverged, harmless.diverged_seeds) == (8, 1, (2,))
    assert (wild.escaped, wild.diverged, wild.diverged_seeds) == (0, 9, tuple(range(9)))
    assert wild.plateau.value == 50_000 and math.isnan(wild.final_loss.value)
    np.testing.assert_array_equal(passages(results, (1,)).times, [50_000] * 9)
    kept = results["test_loss"].values[0, [0, 1, *range(3, 9)], -1].astype(float)
    assert harmless.final_loss == pytest.approx(survival.mean_interval(kept))


def test_runs_that_are_not_finished_are_censored_where_they_stopped(make_results):
    results = make_results({"data.subset": [1.0]}, [np.inf], seeds=3)
    results["last_step"][0, 1], results["status"][0, 1] = 7_000, 3
    assert passages(results, (0,)).times.tolist() == [50_000, 7_000, 50_000]


def test_runs_not_started_do_not_count_and_pairs_are_those_of_both(make_results):
    results = make_results({"data.subset": [1.0, 0.1]}, [20_000, 5_000], seeds=6)
    results["status"][0, 4:] = 0
    results["status"][1, 0] = 0
    base, row = summarise(results)
    assert (base.runs, row.runs, row.pairs) == (4, 5, 3)
    times = results["escape_step"].values[:, 1:4]
    assert row.pair_ratios == pytest.approx(times[1] / times[0])
    results["status"][1] = 0
    _, row = summarise(results)
    assert row.runs == row.pairs == 0 and math.isnan(row.plateau.value)


def test_nothing_swept_is_one_row_its_own_baseline(make_results):
    (row,) = summarise(make_results({}, np.array(9_000), seeds=5))
    assert row.setting == {} and row.is_baseline and row.escaped == 5


def test_baselines_of_a_product(make_results):
    swept = {"optim.learning_rate": [0.1, 0.2], "data.zipf_exponent": [0.75, 0]}
    centres = [[5_000, 20_000], [2_000, 8_000]]
    results = make_results(swept, centres, baseline={"data.zipf_exponent": 0.0})
    rows = summarise(results)
    assert [tuple(row.setting.values()) for row in rows] == [
        (0.1, 0.75), (0.1, 0.0), (0.2, 0.75), (0.2, 0.0),
    ]  # fmt: skip
    assert [row.is_baseline for row in rows] == [False, True, False, True]
    assert [row.baseline["optim.learning_rate"] for row in rows] == [0.1, 0.1, 0.2, 0.2]
    # Against its own learning rate's uniform runs, not those of the first.
    times = results["escape_step"].values
    ratios = times[1, 0] / times[1, 1]
    assert rows[2].ratio.value == pytest.approx(np.exp(np.log(ratios).mean()))


def test_baseline_rule():
    swept = {"a": [1, 0], "b": ["x", "y"], "c": [0.5, 1.0]}
    neutral = {"a": 0.0, "b": None, "c": 2.0}  # c's neutral value is not among its values
    assert baseline_of({"a": 1, "b": "y", "c": 0.5}, swept, neutral) == {
        "a": 0, "b": "y", "c": 0.5,
    }  # fmt: skip
    nothing = dict.fromkeys(swept)
    assert baseline_of({"a": 0, "b": "y", "c": 0.5}, swept, nothing) == {
        "a": 1, "b": "y", "c": 0.5,
    }  # fmt: skip


def test_swept_strings_and_a_round_trip_through_the_file(make_results, tmp_path):
    results = make_results({"data.order": ["epochs", "replace"]}, [9_000, 6_000], seeds=3)
    results.to_netcdf(tmp_path / "results.nc", engine="h5netcdf")
    import xarray as xr

    with xr.open_dataset(tmp_path / "results.nc", engine="h5netcdf") as back:
        rows = summarise(back)
    assert [row.setting["data.order"] for row in rows] == ["epochs", "replace"]
    assert json.dumps(rows[1].setting) and repr(rows) == repr(summarise(results))


def test_evaluations_of_models_that_were_thrown_away_do_not_hide_the_lowest_loss(make_results):
    """NaN at the beginning of finished runs: stages before the model that is kept."""
    results = make_results({"data.subset": [1.0, 0.1]}, [9_000, 5_000], seeds=6).copy(deep=True)
    whole = summarise(results)
    results["test_loss"][..., :3] = np.nan
    for row, before in zip(summarise(results), whole, strict=True):
        assert row.lowest_loss == before.lowest_loss
        assert row.final_loss == before.final_loss
