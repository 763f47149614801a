"""Tables and figures from runs.csv and curves.csv.gz are those from results.nc."""

import csv
import gzip
import io

import numpy as np
import pytest

from plateaus.measures.figures import TABLES, drawn, kept_files, summaries
from plateaus.report import kept_curves, kept_runs
from plateaus.report import kept_files as kept
from plateaus.report.statistics import summarise


def written(dataset, folder):
    """The results, as the two files give them back."""
    for file, content in kept_files(dataset, summarise(dataset)).items():
        (folder / file).write_bytes(content)
    return kept.from_csv(folder)


def mixed_endings(everything, world):
    """More evaluations than are kept, and runs that ended in every way."""
    dataset = everything.results(world, steps=1200)
    return everything.ended(
        dataset, {(0, 1): ("stopped", 300), (1, 1): ("diverged", 500), (1, 0): ("completed", 900)}
    )


@pytest.mark.parametrize("world", ["regression", "mixture"])
@pytest.mark.parametrize("endings", ["whole", "mixed"])
def test_every_table_is_the_same(everything, world, endings, tmp_path):
    dataset = (
        everything.results(world, steps=1200)
        if endings == "whole"
        else mixed_endings(everything, world)
    )
    back = written(dataset, tmp_path)
    assert back.sizes["eval_step"] < dataset.sizes["eval_step"]
    rows, again = summarise(dataset), summarise(back)
    ours, theirs = summaries(dataset, rows), summaries(back, again)
    made = {file for file, found in ours.items() if found}
    alone = {"summary.csv", "progress.csv"}
    assert made == (alone if world == "regression" else {*TABLES} - {"metrics.csv"})
    for file in TABLES:
        assert TABLES[file].csv(ours[file]) == TABLES[file].csv(theirs[file]), file


def test_results_before_the_first_window_are_kept_and_drawn(everything, tmp_path):
    """A budget may end when the first weights alone were looked at."""
    dataset = everything.results("regression")
    dataset = everything.cut(everything.every(dataset, "stopped", 0), 0)
    assert dataset.sizes["step"] == 0 and dataset.sizes["eval_step"] == 1
    back = written(dataset, tmp_path)
    np.testing.assert_array_equal(back["test_loss"], dataset["test_loss"])
    rows = summarise(dataset)
    for figure in drawn(dataset, rows, summaries(dataset, rows)).values():
        figure.draw_without_rendering()


@pytest.mark.parametrize("world", ["regression", "mixture"])
def test_every_figure_is_drawn_again(everything, world, tmp_path):
    dataset = everything.results(world, steps=1200)
    back = written(dataset, tmp_path)
    rows, again = summarise(dataset), summarise(back)
    wanted = drawn(dataset, rows, summaries(dataset, rows))
    found = drawn(back, again, summaries(back, again))
    assert set(wanted) == set(found) and len(wanted) > 14
    for stem in wanted:
        assert len(wanted[stem].axes) == len(found[stem].axes)


def test_few_evaluations_come_back_whole(everything, tmp_path):
    dataset = everything.results("regression", steps=250)
    back = written(dataset, tmp_path)
    for name, variable in dataset.data_vars.items():
        assert back[name].dims == variable.dims and back[name].dtype == variable.dtype
        if not {*variable.dims} & {"layer", "draw", "prefix", "head"}:
            np.testing.assert_allclose(back[name], variable, rtol=6e-4)
    assert back.attrs == dataset.attrs and set(back.coords) == set(dataset.coords)


def test_a_row_is_a_run_and_a_task(everything, tmp_path):
    dataset = mixed_endings(everything, "mixture")
    written(dataset, tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "runs.csv").read_text())))
    metrics = ["last_error", "worst"]
    reached = [f"test_{name}_reaches_{level}" for name in metrics for level in (0.2, 0.5, 0.9)]
    declared = ["version", "data.zipf_exponent", "seed", "task", *kept_runs.COLUMNS]
    names = list(rows[0])
    assert names[: len(declared)] == declared and {*reached} <= {*names}
    means = {*names} - {*declared, *reached, "flat"}
    assert means and all("_at_" in name or name.endswith("_on_plateau") for name in means)
    assert [row["task"] for row in rows[:4]] == ["", "ret1", "ret2", "ret3"]
    assert len(rows) == 4 * dataset["status"].size
    (stopped,) = [row for row in rows[:8] if row["seed"] == "1" and not row["task"]]
    assert (stopped["status"], stopped["ended_by"]) == ("unfinished", "stopped")
    assert stopped["last_step"] == "300" and stopped["loss_at_0.3"] == ""
    assert float(stopped["loss_at_0.2"]) == dataset["test_loss"].values[0, 1, 24]


@pytest.mark.parametrize("last", [300, 10, 0])
def test_no_loss_is_given_after_the_end_of_a_run_whoever_went_on(everything, last):
    """Results go as far as their longest run: a run has the same row among longer ones."""
    dataset = everything.results("mixture", steps=50 if last < 300 else 1200)
    dataset = everything.every(dataset, "stopped", last)
    text = kept_runs.text(everything.cut(dataset, last), {})
    assert text == kept_runs.text(dataset, {})
    for row in csv.DictReader(io.StringIO(text)):
        given = [name for name in row if name.startswith("loss_at_") and row[name]]
        many = {300: 2, 10: 3, 0: 1}[last]  # the next is at 360, after an evaluation at 20, at 10
        assert given == [f"loss_at_0.{tenth}" for tenth in range(1, many + 1)]


def test_windows_become_means_and_counts_stay(everything):
    dataset = everything.results("mixture", steps=2000)
    fewer = kept_curves.thinned(dataset)
    assert fewer.sizes["step"] == fewer.sizes["eval_step"] == kept_curves.STEPS
    assert fewer["step"].values[[0, -1]].tolist() == [5, 2000]
    widths = np.diff(fewer["step"].values, prepend=0)[:, None] / 5
    total = np.sum(fewer["train_count_by_task"].values.astype(float) * widths, axis=2)
    wanted = dataset["train_count_by_task"].astype(float).sum("step")
    np.testing.assert_allclose(total, wanted, rtol=1e-5)


def test_the_same_results_are_the_same_bytes_and_small(make_results, tmp_path):
    """96 runs of 100 evaluations of a loss and a metric: some bytes for each number kept."""
    results = make_results({"data.zipf_exponent": [0.0, 0.5, 1.0, 1.25, 1.5, 2.0]}, [9_000] * 6)
    first, second = (kept_files(results, summarise(results)) for _ in range(2))
    assert first == second
    rows = gzip.decompress(first["curves.csv.gz"]).count(b"\n")
    columns = first["runs.csv"].partition(b"\n")[0].count(b",") + 1
    assert len(first["curves.csv.gz"]) < 7 * rows
    assert len(first["runs.csv"]) < 9 * columns * 96 and columns < 60


def test_another_version_is_refused(everything, tmp_path):
    written(everything.results("regression", steps=100), tmp_path)
    text = (tmp_path / "runs.csv").read_text().replace("\n2,", "\n3,")
    (tmp_path / "runs.csv").write_text(text)
    with pytest.raises(ValueError, match=r"runs\.csv: .* of version 3; this reads 1 and 2"):
        kept.from_csv(tmp_path)


def test_the_first_version_is_read(everything, tmp_path):
    """It has the columns of the second but areas and metrics."""
    now = written(everything.results("regression", steps=100), tmp_path)
    with (tmp_path / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    new = [name for name in rows[0] if name.startswith("area_at_") or "_reaches_" in name]
    assert len(new) >= 13
    with (tmp_path / "runs.csv").open("w") as file:
        writer = csv.DictWriter(file, [name for name in rows[0] if name not in new])
        writer.writeheader()
        writer.writerows({**row, "version": 1} for row in map(dict, rows) if not _cut(row, new))
    before = kept.from_csv(tmp_path)
    assert {*now.data_vars} - {*before.data_vars} == {n for n in new if n in now}
    for name in before.data_vars:
        np.testing.assert_array_equal(before[name], now[name])


def _cut(row, names):
    """Take columns out of a row."""
    for name in names:
        del row[name]


@pytest.mark.parametrize("world", ["regression", "mixture"])
def test_written_again_runs_are_the_same_bytes(everything, world, tmp_path):
    """What follows from whole curves is kept, though the curves that came back are thinned."""
    back = written(mixed_endings(everything, world) if world == "mixture"
                   else everything.results(world, steps=1200), tmp_path)  # fmt: skip
    first = (tmp_path / "runs.csv").read_bytes()
    assert kept_files(back, summarise(back))["runs.csv"] == first
    written(back, tmp_path)
    assert (tmp_path / "runs.csv").read_bytes() == first


def test_areas_are_those_under_the_normalised_curve(make_results, tmp_path):
    """By a sum over the pieces of the curve, and where a run ends before, none."""
    results = make_results({"data.zipf_exponent": [0.0, 1.0]}, [9_000, np.nan], seeds=3)
    results["best_loss"][:], results["uninformed_loss"][:] = 0.25, 1.5
    results["last_step"][0, 1] = 12_400  # stopped
    results["status"][0, 1] = 3
    results["test_loss"][0, 1, 25:] = np.nan
    back = written(results, tmp_path)
    losses, steps = results["test_loss"].values, results["eval_step"].values
    for tenth in range(1, 11):
        upto = tenth * (len(steps) - 1) // 10
        area = back[f"area_at_{tenth / 10:.1f}"].values
        for seed in range(3):
            level = (losses[0, seed].astype(float) - 0.25) / 1.25
            wanted = sum(
                (level[i] + level[i + 1]) / 2 * (steps[i + 1] - steps[i]) for i in range(upto)
            ) / (steps[upto] - steps[0])
            wanted = np.nan if seed == 1 and steps[upto] > 12_400 else wanted
            np.testing.assert_allclose(area[0, seed], wanted, rtol=1e-6)
        assert np.isnan(area[1]).all() or tenth == 1  # diverged


def test_without_bounds_there_is_no_area(make_results, tmp_path):
    results = make_results({"data.zipf_exponent": [0.0]}, [9_000], seeds=3)
    back = written(results.drop_vars("best_loss"), tmp_path)
    assert not [name for name in back.data_vars if "area" in name]


def test_a_metric_reaches_a_level_by_the_mean_of_three(make_results, tmp_path):
    results = make_results({"data.zipf_exponent": [0.0]}, [9_000], seeds=4, horizon=3000, every=500)
    results["test_accuracy"][0] = [
        [0, 0.6, 0, 0, 0.5, 0.5, 0.5],  # .2 at once, .5 at the last: at least
        [1, 1, 0.75, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, np.nan, 1, 1, 1, 1],  # no mean over what is missing
    ]
    back = written(results, tmp_path)
    found = {level: back[f"test_accuracy_reaches_{level}"].values[0] for level in (0.2, 0.5, 0.9)}
    nan = np.nan
    np.testing.assert_array_equal(found[0.2], [1000, 1000, nan, 2500])
    np.testing.assert_array_equal(found[0.5], [3000, 1000, nan, 2500])
    np.testing.assert_array_equal(found[0.9], [nan, 1000, nan, 2500])


def test_metrics_are_reached_by_task_too(everything, tmp_path):
    dataset = everything.results("mixture", steps=100)
    name = "test_last_error_by_task"
    assert dataset[name].dims == ("data.zipf_exponent", "seed", "eval_step", "task")
    dataset[name][:] = 0
    dataset[name][1, 0, 4:, 2] = 0.5
    back = written(dataset, tmp_path)
    reached = back["test_last_error_reaches_0.2_by_task"]
    assert reached.dims == ("data.zipf_exponent", "seed", "task")
    assert np.isfinite(reached).sum() == 1 and reached[1, 0, 2] == 50
