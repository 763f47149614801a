"""A run's record may end before the horizon: what statistics make of it, and what they refuse."""

import math

import numpy as np
import pytest

from plateaus.report import cells, curves, panels, selection, store, survival, table
from plateaus.report.figures import plateau
from plateaus.report.statistics import summarise


def ended(dataset, endings):
    """Results whose runs (setting, seed) ended for a reason after a step."""
    codes = np.array([0, 1, 2, 3])
    names = ["not_run", "horizon", "diverged", "stopped"]
    of_status = [store.ENDINGS.index(name) for name in names]
    before = np.array(of_status, np.int8)[dataset["status"].values]
    dataset = dataset.copy(deep=True).assign(ended_by=(dataset["status"].dims, before))
    for (setting, seed), (why, last) in endings.items():
        dataset["ended_by"][setting, seed] = store.ENDINGS.index(why)
        dataset["status"][setting, seed] = codes[3 if why == "stopped" else 1]
        dataset["last_step"][setting, seed] = last
        for name, time in (("test_loss", "eval_step"), ("train_loss", "step")):
            dataset[name].values[setting, seed][dataset[time].values > last] = np.nan
        for name in ("escape_step", "half_step", "completion_step"):
            if dataset[name].values[setting, seed] > last:
                dataset[name].values[setting, seed] = np.nan
    return dataset


@pytest.fixture(scope="module")
def whole(make_results):
    return make_results({"data.subset": [1.0, 0.1]}, [20_000, 10_000], seeds=8)


@pytest.fixture(scope="module")
def at_escape(whole):
    """Every run of the second setting stopped when it escaped."""
    escapes = whole["escape_step"].values[1]
    return ended(whole, {(1, i): ("escaped", int(step)) for i, step in enumerate(escapes)})


def test_stopping_at_escape_changes_no_escape(whole, at_escape):
    before, after = summarise(whole)[1], summarise(at_escape)[1]
    for name in ("escape", "plateau", "ratio", "p_value", "sooner", "pairs", "escaped"):
        assert getattr(before, name) == getattr(after, name)
    assert after.plateau_to == after.horizon and after.stopped == 8


def test_what_comes_after_an_escape_is_refused_with_a_note(at_escape):
    row = summarise(at_escape)[1]
    for name in ("half", "completion", "final_loss", "lowest_loss"):
        assert math.isnan(getattr(row, name).value)
    for note in ("no completion: 8 runs stopped at escape", "no final or lowest loss: 8 runs"):
        assert any(note in each for each in row.notes)
    assert "no completion: 8 runs stopped at escape" in table.text(summarise(at_escape))


def test_ratios_of_losses_end_where_a_run_stops(whole):
    """Beyond it they would be of the pairs whose runs are slow."""
    step = int(whole["escape_step"].values[1, 0])
    cut = ended(whole, {(1, 0): ("escaped", step)})
    cut["test_loss"][:] = np.abs(cut["test_loss"]) + 0.01
    cut.attrs["variants"] = '{"a curriculum": {"data.curriculum_start": 20}}'
    (axes,) = curves.loss_ratios(cut, summarise(cut)).subfigs[0].axes
    steps, ratios = max((line.get_data() for line in axes.lines), key=lambda data: len(data[0]))
    assert (np.isfinite(ratios) == (steps <= step)).all()


def test_one_run_that_stopped_at_escape_voids_the_loss_of_all(whole):
    step = int(whole["escape_step"].values[1, 0])
    row = summarise(ended(whole, {(1, 0): ("escaped", step)}))[1]
    assert math.isnan(row.final_loss.value) and math.isnan(row.completion.value)
    assert "no completion: 1 run stopped at escape" in row.notes


def test_at_completion_the_completion_is_known_and_the_final_loss_is_not(whole):
    steps = whole["completion_step"].values[1]
    stops = {(1, i): ("completed", int(step)) for i, step in enumerate(steps) if step == step}
    before, after = summarise(whole)[1], summarise(ended(whole, stops))[1]
    assert before.completion == after.completion and before.half == after.half
    assert math.isnan(after.final_loss.value)


def test_what_a_budget_stopped_is_censored_and_means_go_as_far_as_runs_were_followed(whole):
    cut = ended(whole, {(1, seed): ("stopped", 5_000) for seed in range(8)})
    row = summarise(cut)[1]
    runs = cells.passages(cut, (1,))
    assert runs.times[~runs.escaped].tolist() == [5_000] * int((~runs.escaped).sum())
    assert row.plateau_to == 5_000 and row.plateau.value <= 5_000
    assert row.plateau.value == np.minimum(whole["escape_step"].values[1], 5_000).mean()
    assert row.pairs == 0 and math.isnan(row.ratio.value) and math.isnan(row.p_value)
    for note in ("mean plateau up to step 5000", "8 pairs not followed to the horizon"):
        assert any(note in each for each in row.notes)
    assert math.isnan(row.final_loss.value)
    assert "unfinished: data.subset=0.1: all 8 runs, stopped by step 5000 at the earliest" in (
        table.text(summarise(cut))
    )


def test_a_pair_counts_if_both_of_its_runs_came_to_their_escape_or_to_the_horizon(whole):
    times = np.nan_to_num(whole["escape_step"].values, nan=50_000)
    limit = int(np.median(times[1]))
    cut = ended(whole, {(1, seed): ("stopped", limit) for seed in range(8)})
    row, there = summarise(cut)[1], times[1] <= limit
    assert 0 < row.pairs == there.sum() < 8
    assert row.pair_ratios == pytest.approx(times[1, there] / times[0, there])
    assert f"{8 - row.pairs} pairs not followed to the horizon" in row.notes


def test_some_unfinished_runs_leave_the_means_of_those_at_the_horizon(whole):
    cut = ended(whole, {(1, 6): ("stopped", 5_000), (1, 7): ("stopped", 5_500)})
    row = summarise(cut)[1]
    final = whole["test_loss"].values[1, :6, -1].astype(float)
    assert row.final_loss == survival.mean_interval(final)
    assert (row.unfinished, row.earliest, row.curves_to) == (2, 5_000, 50_000)
    assert selection.followed(cut, "test_loss", row).shape[0] == 6
    assert "unfinished: data.subset=0.1: 2 of 8 runs, stopped by step 5000 at the earliest" in (
        table.text(summarise(cut))
    )


def test_a_curve_of_means_ends_where_a_run_stops_at_its_event(at_escape):
    """Beyond, it would be one of the runs that are slow to escape."""
    row = summarise(at_escape)[1]
    first = int(at_escape["last_step"].values[1].min())
    losses = selection.followed(at_escape, "test_loss", row)
    later = at_escape["eval_step"].values > first
    assert row.curves_to == first and np.isnan(losses[:, later]).all()
    assert (
        np.isfinite(losses[:, ~later]).all()
        and np.isnan(selection.last(at_escape, "test_loss", row)).all()
    )
    each = selection.followed(at_escape, "test_loss", row, whole=True)
    assert np.isfinite(each).sum() > np.isfinite(losses).sum()
    figure = plateau(at_escape, summarise(at_escape))
    names = " ".join(figure.axes[2].texts[1].get_text().split())
    assert f"(8 stopped at their event) (to step {first:,})" in names


def test_a_mean_to_an_earlier_step_is_hollow(whole):
    cut = ended(whole, {(1, seed): ("stopped", 5_000) for seed in range(8)})
    assert panels.last_value(summarise(cut)[1]) == "0.1"
    alone = cut.isel({"data.subset": [1]})
    for results, hollow in ((alone, True), (whole.isel({"data.subset": [1]}), False)):
        figure = plateau(results, summarise(results))
        marks = [line for line in figure.axes[3].lines if line.get_markersize() == 6]
        assert (marks[-1].get_markerfacecolor() == "white") == hollow
        assert any("hollow" in text.get_text() for text in figure.texts) == hollow


def test_losses_at_a_step(whole):
    cut = ended(whole, {(1, 0): ("stopped", 5_000)})
    losses = cells.loss_at(cut, (1,), 6_000)
    assert np.isnan(losses[0]) and np.isfinite(losses[1:]).all()
    np.testing.assert_array_equal(losses[1:], whole["test_loss"].values[1, 1:, 12].astype(float))
    with pytest.raises(ValueError, match="no evaluation there; the nearest is at 6000"):
        cells.loss_at(cut, (1,), 6_001)


def test_losses_past_an_event_are_refused(whole, at_escape):
    with pytest.raises(ValueError, match="8 runs stopped at escape before it"):
        cells.loss_at(at_escape, (1,), 50_000)
    first = int(at_escape["last_step"].values[1].min())
    assert np.isfinite(cells.loss_at(at_escape, (1,), first)).all()


def test_results_of_before_there_were_endings(whole):
    old = whole.drop_vars("ended_by", errors="ignore").copy(deep=True)
    old["status"][0, :4] = np.array([0, 1, 2, 3])
    assert cells.endings(old, (0,))[:4].tolist() == ["not_run", "horizon", "diverged", "stopped"]


@pytest.mark.parametrize("world", ["regression", "mixture"])
@pytest.mark.parametrize("why", ["stopped", "escaped", "diverged"])
def test_every_figure_and_table_is_made_of_runs_that_all_ended_early(everything, world, why):
    from plateaus.measures.figures import TABLES, drawn, summaries

    dataset = everything.every(everything.results(world, steps=400), why, 100)
    rows = summarise(dataset)
    tables = summaries(dataset, rows)
    figures = drawn(dataset, rows, tables)
    assert {"plateau", "learning_curves"} <= set(figures)
    assert "prefixes" not in figures and "task_vectors" not in figures  # at the horizon
    assert all(isinstance(TABLES[file].csv(found), str) for file, found in tables.items())


@pytest.mark.parametrize("world", ["regression", "mixture"])
@pytest.mark.parametrize("why", ["stopped", "escaped"])
def test_results_that_no_run_brought_to_the_horizon_have_nothing_at_it(everything, world, why):
    """Their last column is that of the longest run: all is as if the columns went on, empty."""
    from plateaus.measures.figures import TABLES, drawn, summaries

    dataset = everything.every(everything.results(world, steps=400), why, 100)
    short = everything.cut(dataset, 100)
    rows, again = summarise(dataset), summarise(short)
    assert np.isnan(selection.last(short, "test_loss", again[0])).all()
    assert selection.came_to_the_end(short, again, "test_loss") == []
    ours, theirs = summaries(dataset, rows), summaries(short, again)
    for file in TABLES:
        assert TABLES[file].csv(ours[file]) == TABLES[file].csv(theirs[file]), file
    assert set(drawn(dataset, rows, ours)) == set(drawn(short, again, theirs))


def test_tasks_of_runs_that_stopped_at_the_escape_of_the_whole_are_refused(everything):
    from plateaus.measures.by_task import rows as by_task

    dataset = everything.every(everything.results("mixture", steps=400), "escaped", 100)
    found = by_task.summarise(dataset, summarise(dataset))
    refused = [row for row in found if "no escape: " in row.notes]
    assert refused and all(math.isnan(row.plateau.value) for row in refused)
    assert all("stopped at escape" in row.notes for row in refused)
