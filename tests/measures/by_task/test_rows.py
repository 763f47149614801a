"""The table by task and its figures, from made-up results of mixtures."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from plateaus.measures.by_task import averages, counts, forest
from plateaus.measures.by_task import figures as task_figures
from plateaus.measures.by_task import maps as task_maps
from plateaus.measures.by_task import rows as by_task
from plateaus.measures.by_task import table as task_table
from plateaus.report import selection, statistics, store

TASKS, SEEDS, EVERY = ("a", "b", "c"), 8, 50
NAMES = ("a", "b", "c", "a + b", "a + c", "all", "a then b")
SETS = ({"a"}, {"b"}, {"c"}, {"a", "b"}, {"a", "c"}, {"a", "b", "c"}, {"a", "b"})
CENTRES = {1: 1000.0, 2: 600.0, 3: 300.0}  # steps to escape, by the number of tasks
HORIZON, LATE = 2000, 800


@pytest.fixture(scope="module")
def results(make_results):
    """Mixtures of three tasks; in the last, b comes at step 800 and then takes 400 steps."""
    centres = [1000.0] * len(NAMES)
    base = make_results(
        {"variant": list(NAMES)}, centres, seeds=SEEDS, horizon=HORIZON, every=EVERY
    )
    rng = np.random.default_rng(1)
    shape = (len(NAMES), SEEDS, len(TASKS))
    steps, evals = base["step"].values, base["eval_step"].values
    names = ("start", "escape", "completion")
    passages = {name: np.full(shape, np.nan) for name in names}
    own = np.full(shape, np.nan)
    curves = {
        name: np.full((*shape[:2], steps.size, 3), np.nan) for name in ("loss", "error", "count")
    }
    tests = np.full((*shape[:2], evals.size, 3), 1.0)
    apart = np.full((*shape[:2], evals.size, 3), 0.01)
    for v, seed, g in itertools.product(*map(range, shape)):
        curves["count"][v, seed, :, g] = 0.0
        if TASKS[g] not in SETS[v]:
            continue
        start = LATE if (NAMES[v], TASKS[g]) == ("a then b", "b") else 0
        centre = 400.0 if start else CENTRES[len(SETS[v])]
        escape = round(centre * (1 + 0.05 * rng.standard_normal()) + 10 * seed)
        passages["start"][v, seed, g], passages["escape"][v, seed, g] = start, escape
        if g != 2:  # c is never learned
            passages["completion"][v, seed, g] = 1.5 * escape
        own[v, seed, g] = 4 * escape
        drawn = steps > start
        curves["count"][v, seed, drawn, g] = 4.0
        curves["loss"][v, seed, drawn, g] = np.where(steps[drawn] - start < escape, 1.0, 0.5)
        tests[v, seed, :, g] = np.where(evals - start < escape, 1.0, 0.5)
        apart[v, seed, :, g] = np.where(evals - start < escape, 0.01, 1.0)
    dims = ("variant", "seed", "task")
    new = {f"{name}_step_by_task": (dims, value) for name, value in passages.items()}
    new |= {f"{name}_sequences_by_task": (dims, own) for name in ("escape", "completion")}
    new |= {
        f"train_{name}_by_task": (("variant", "seed", "step", "task"), value)
        for name, value in curves.items()
    }
    evaluated = ("variant", "seed", "eval_step", "task")
    new |= {
        "test_loss_by_task": (evaluated, tests),
        "test_distance_by_task_to_no_context": (evaluated, apart),
    }
    base = base.assign(batch_size=(("variant", "seed"), np.full(shape[:2], 12)))
    dataset = base.assign(new).assign_coords(task=list(TASKS))
    dataset.attrs["config"] = json.dumps({"data.switch": "escape"})
    dataset.attrs["baseline"] = json.dumps({"variant": "a"})
    return dataset


@pytest.fixture(scope="module")
def rows(results):
    return statistics.summarise(results)


@pytest.fixture(scope="module")
def found(results, rows):
    return by_task.summarise(results, rows)


def of(found, setting, task):
    return next(r for r in found if r.setting["variant"] == setting and r.task == task)


def steps_of(results, setting, task, name="escape"):
    return results[f"{name}_step_by_task"].sel(variant=setting, task=task).values


def test_there_is_a_row_for_each_task_that_a_setting_trains_on(found):
    pairs = [(row.setting["variant"], row.task) for row in found]
    wanted = [(n, t) for n, s in zip(NAMES, SETS, strict=True) for t in TASKS if t in s]
    assert pairs == wanted
    assert of(found, "all", "b").tasks == TASKS and of(found, "b", "b").tasks == ("b",)


def test_means_and_medians_are_those_of_the_runs(results, found):
    row, steps = of(found, "a + b", "a"), steps_of(results, "a + b", "a")
    assert row.plateau.value == pytest.approx(steps.mean())
    assert row.plateau.low < steps.mean() < row.plateau.high
    assert row.escape.value == pytest.approx(np.median(steps), abs=60)
    assert (row.escaped, row.completed, row.runs) == (SEEDS, SEEDS, SEEDS)
    never = of(found, "a + c", "c")
    assert (never.escaped, never.completed) == (SEEDS, 0)
    assert never.convergence.value == HORIZON and np.isinf(never.completion.value)
    assert row.own_sequences == pytest.approx(4 * np.median(steps))
    assert row.sequences == pytest.approx(12 * row.escape.value)


def test_ratios_are_to_the_same_task_alone(results, found):
    for setting, task in (("all", "b"), ("a + b", "b"), ("a + c", "c")):
        row = of(found, setting, task)
        wanted = stats.gmean(steps_of(results, setting, task) / steps_of(results, task, task))
        assert row.ratio.value == pytest.approx(wanted)
        assert row.ratio.low < wanted < row.ratio.high < 1
        assert (row.pairs, row.sooner, row.bound, row.pair_ratios) == (SEEDS, 1, "", ())
        assert row.p_value == 2 / 2**SEEDS  # all on one side
    assert np.isnan(of(found, "b", "b").ratio.value) and np.isnan(of(found, "b", "b").p_value)
    several = [row.p_value for row in found if not np.isnan(row.p_value)]
    assert of(found, "all", "b").p_adjusted >= len(several) * min(several) * 0.99


def test_one_mixture_without_a_sweep_is_compared_with_nothing(results):
    """No axis of settings: there is no setting to look for, and that is no error."""
    one = results.sel(variant="a + b").drop_vars("variant").assign_attrs(swept="[]")
    rows = by_task.summarise(one, statistics.summarise(one))
    assert [row.task for row in rows] == ["a", "b"] and all(row.index == () for row in rows)
    assert all(np.isnan(row.ratio.value) for row in rows)


def test_a_task_that_comes_late_is_counted_from_its_start(results, found):
    """Followed for 1,200 steps only; what it is compared with is cut there as well."""
    row = of(found, "a then b", "b")
    assert row.start == LATE
    left = HORIZON - LATE
    steps, alone = steps_of(results, "a then b", "b"), steps_of(results, "b", "b")
    assert row.plateau.value == pytest.approx(steps.mean())
    assert row.ratio.value == pytest.approx(stats.gmean(steps / np.minimum(alone, left)))
    assert row.pairs == SEEDS
    completion = np.minimum(steps_of(results, "a then b", "b", "completion"), left)
    assert row.convergence.value == pytest.approx(completion.mean())


def test_censored_runs_of_a_late_task_end_where_they_were_last_seen(results, rows):
    """Half of its runs never escape: they count 1,200 steps, and the ratio stays below that."""
    some = results.copy(deep=True)
    index = {"variant": NAMES.index("a then b"), "task": 1, "seed": slice(0, SEEDS // 2)}
    some["escape_step_by_task"][index] = np.nan
    row = of(by_task.summarise(some, rows), "a then b", "b")
    steps = steps_of(some, "a then b", "b")
    left = HORIZON - LATE
    wanted = np.where(np.isfinite(steps), steps, left)
    assert row.plateau.value == pytest.approx(wanted.mean()) and row.escaped == SEEDS // 2
    alone = np.minimum(steps_of(some, "b", "b"), left)
    assert row.ratio.value == pytest.approx(stats.gmean(wanted / alone))
    assert row.pairs == SEEDS and row.pairs_censored == 0
    some["escape_step_by_task"][index | {"variant": NAMES.index("b"), "seed": 0}] = left + 1
    row = of(by_task.summarise(some, rows), "a then b", "b")  # late, and cut at 1,200 as well
    assert (row.pairs, row.pairs_censored) == (SEEDS - 1, 1)
    assert "1 pair censored on both sides left out" in row.notes


def test_one_run_that_is_followed_briefly_does_not_shorten_all(results, rows):
    """One seed comes to b 40 steps before the end; the others escape, and are compared in full."""
    some = results.copy(deep=True)
    where = {"variant": NAMES.index("a then b"), "task": 1, "seed": 0}
    some["start_step_by_task"][where] = HORIZON - 40
    some["escape_step_by_task"][where] = np.nan
    row = of(by_task.summarise(some, rows), "a then b", "b")
    others = steps_of(some, "a then b", "b")[1:]
    assert row.plateau.value == pytest.approx(others.mean())  # as Kaplan and Meier: 0.2 each
    ratios = others / steps_of(some, "b", "b")[1:]
    assert row.pair_ratios == pytest.approx(ratios) and row.pairs_censored == 1
    assert row.ratio.value == pytest.approx(stats.gmean(ratios)) and np.isnan(row.ratio.low)


def test_sequences_are_of_the_runs_that_came_to_the_task(results, rows):
    some = results.copy(deep=True)
    gone = {"variant": NAMES.index("a then b"), "task": 1, "seed": slice(0, SEEDS - 2)}
    for name in ("start_step", "escape_step", "escape_sequences"):
        some[f"{name}_by_task"][gone] = np.nan
    row = of(by_task.summarise(some, rows), "a then b", "b")
    assert row.runs == 2
    assert row.own_sequences == pytest.approx(4 * np.median(steps_of(some, "a then b", "b")[-2:]))


def test_the_distance_is_that_on_the_plateau(results, rows, found):
    row = of(found, "a", "a")
    assert row.distance.value == pytest.approx(0.01, abs=1e-6)
    some = results.copy(deep=True)  # before a task is first drawn there is no plateau of it
    apart = some["test_distance_by_task_to_no_context"]
    where = {"variant": NAMES.index("a then b"), "task": 1}
    apart[where] = apart[where].where(apart["eval_step"] >= LATE, 9.0)
    row = of(by_task.summarise(some, rows), "a then b", "b")
    assert row.distance.value == pytest.approx(0.01, abs=1e-6)


def test_a_diverged_run_never_escaped(results, rows):
    broken = results.copy(deep=True)
    broken["status"][{"variant": 0, "seed": 2}] = store.DIVERGED
    row = of(by_task.summarise(broken, rows), "a", "a")
    assert (row.escaped, row.runs) == (SEEDS - 1, SEEDS)


def test_the_csv_has_a_line_for_each_row(found):
    lines = task_table.csv_text(found).splitlines()
    assert len(lines) == 1 + len(found)
    header = lines[0].split(",")
    assert header[:3] == ["variant", "task", "tasks"] and len(set(header)) == len(header)
    assert "inf" in lines[1 + [r.task for r in found].index("c")].split(",")
    assert task_table.csv_text([]) == "\n"  # a header of nothing


def test_the_average_over_mixtures_of_a_size(results, found):
    averaged = averages.by_count(results, found, by_task.ESCAPE)
    two = (steps_of(results, "a + b", "a") + steps_of(results, "a + c", "a")) / 2
    with_late = (2 * two + steps_of(results, "a then b", "a")) / 3
    np.testing.assert_allclose(averaged[2, "a"], with_late)

    def shared(averaged, k):
        return np.exp(np.mean(averages.seed_ratios(averaged, k, TASKS, HORIZON)))

    ratios = np.array([averaged[3, t] / steps_of(results, t, t) for t in TASKS])
    assert shared(averaged, 3) == pytest.approx(stats.gmean(ratios, axis=None))
    assert shared(averaged, 3) < 0.5
    assert shared(averaged, 1) == pytest.approx(1.0)
    pairs = np.array([averaged[2, t] / steps_of(results, t, t) for t in TASKS])
    assert shared(averaged, 2) == pytest.approx(stats.gmean(pairs, axis=None))
    # What is not passed by the horizon either way says nothing, and is left out.
    stuck = averaged | {(k, "c"): np.full(SEEDS, float(HORIZON)) for k in (1, 2, 3)}
    assert shared(stuck, 3) == pytest.approx(stats.gmean(ratios[:2], axis=None))


def test_the_running_mean_leaves_out_what_is_missing():
    values = np.array([[1.0, np.nan, 3.0, np.nan, np.nan, np.nan, 5.0]])
    wanted = [[1.0, 1.0, 2.0, 3.0, 3.0, np.nan, 5.0]]
    np.testing.assert_array_equal(selection.running_mean(values, 3), wanted)


def medians(axes):
    return [line for line in axes.lines if len(line.get_xdata()) > 2 and line.get_linewidth() > 1]


def test_figures_show_every_task_and_setting(results, rows, found):
    runs = {"a": 5 * SEEDS, "b": 4 * SEEDS, "c": 3 * SEEDS}
    for draw in (task_figures.losses, task_figures.mechanism):
        figure = draw(results, rows)
        titles = [axes.get_title(loc="left").replace("\n", " ") for axes in figure.axes]
        assert titles == [f"{task} (escaped {count}/{count})" for task, count in runs.items()]
        drawn = [len(medians(axes)) for axes in figure.axes]
        assert drawn == [5, 4, 3]  # settings that train on each
    seen = task_figures.sequences(results, rows).axes[0]
    ends = sorted(line.get_xdata()[-1] for line in medians(seen))
    assert ends == [4 * HORIZON] * 5  # prompts of task a, in the five settings with it
    moved = task_maps.transfer(results, rows, found)
    after = of(found, "a then b", "b")
    (text,) = moved.axes[0].texts
    assert text.get_text().split("\n")[0].rstrip("*") == f"{after.ratio.value:.2f}"
    assert text.get_text().endswith(f"n = {after.pairs}")
    assert moved.axes[0].get_xlabel() == "then trained" and len(moved.axes) == 2  # and the bar


def test_where_a_task_is_not_drawn_its_test_loss_is(results, rows):
    axes = task_figures.losses(results, rows).axes[1]  # of b, which comes at step 800 after a
    (thin,) = [
        line
        for line in axes.lines
        if line.get_linewidth() == 0.8
        and len(line.get_xdata()) > 2
        and np.isfinite(line.get_ydata()).any()
    ]
    there = np.isfinite(thin.get_ydata())
    assert thin.get_xdata()[there].max() == LATE and (thin.get_ydata()[there] == 1.0).all()


def told(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_a_task_is_a_row_beside_itself_alone_in_steps_and_in_its_own_prompts(results, rows, found):
    halved = results.copy(deep=True)
    halved["escape_sequences_by_task"][NAMES.index("a + b")] *= 0.5
    _, ratios, _ = (figure := forest.escapes(halved, rows, found)).axes
    row = of(found, "a + b", "a")
    assert forest.ratio_text(row.ratio, "") in told(figure)
    assert f"{row.ratio.value / 2:.2f}" in told(figure)
    assert [text for text in told(figure) if text in TASKS and len(text) == 1].count("a") >= 1
    steps = steps_of(results, "a + b", "a") / steps_of(results, "a", "a")
    (dots,) = [
        line
        for line in ratios.lines
        if np.size(line.get_xdata()) == SEEDS
        and np.allclose(np.sort(line.get_xdata()), np.sort(steps))
    ]
    assert dots.get_marker() == "o"
    (mark,) = [line for line in ratios.lines if list(line.get_xdata()) == [row.ratio.value]]
    assert list(mark.get_ydata()) == [pytest.approx(np.mean(dots.get_ydata()))]


def test_a_ratio_to_what_never_escapes_is_a_bound(results, rows):
    stuck = results.copy(deep=True)
    for name in ("escape_step_by_task", "escape_sequences_by_task"):
        stuck[name][{"variant": NAMES.index("a"), "task": 0}] = np.nan
    found = by_task.summarise(stuck, rows)
    figure = forest.escapes(stuck, rows, found)
    arrows = [text for text in figure.axes[1].texts if text.arrow_patch is not None]
    assert len(arrows) == 4  # of a in four mixtures
    assert sum(text.startswith("< ") for text in told(figure)) == 4
    assert "in prompts\nof the task" not in told(figure)  # a step draws as many of them alone
    ends = [line for line in figure.axes[0].lines if line.get_marker() == ">"]
    assert [line.get_xdata().tolist() for line in ends] == [[HORIZON] * SEEDS]


def test_of_a_task_that_no_run_escapes_only_that_is_said(results, rows):
    stuck = results.copy(deep=True)
    for name in ("escape_step_by_task", "escape_sequences_by_task"):
        stuck[name][{"task": 2}] = np.nan
    figure = forest.escapes(stuck, rows, by_task.summarise(stuck, rows))
    assert f"c: no run of {3 * SEEDS} escapes" in told(figure) and "b" in told(figure)
    assert "c" not in told(figure) and told(figure).count("a + c") == 1
    for name in ("escape_step_by_task", "escape_sequences_by_task"):
        stuck[name][...] = np.nan
    assert forest.escapes(stuck, rows, by_task.summarise(stuck, rows)) is None


def test_many_settings_are_marks_against_the_number_of_tasks(results, rows, found, monkeypatch):
    monkeypatch.setattr(forest, "MOST_ROWS", 5)
    halved = results.copy(deep=True)
    halved["escape_sequences_by_task"][NAMES.index("all")] *= 0.5
    figure = forest.escapes(halved, rows, found)
    titles = [axes.get_title(loc="left").replace("\n", " ") for axes in figure.axes]
    assert titles == [f"{task} (alone: escaped {SEEDS}/{SEEDS})" for task in TASKS]
    marks = {
        round(float(line.get_ydata()[0]), 9)
        for line in figure.axes[0].lines
        if line.get_marker() == "o" and line.get_markerfacecolor() != "white"
    }
    wanted = [of(found, name, "a").ratio.value for name in NAMES if "a" in SETS[NAMES.index(name)]]
    assert marks == {round(value, 9) for value in wanted if not np.isnan(value)}
    own = [
        float(line.get_ydata()[0])
        for line in figure.axes[0].lines
        if line.get_markerfacecolor() == "white" and line.get_xdata()[0] > 3
    ]
    assert own == [pytest.approx(of(found, "all", "a").ratio.value / 2)]


def test_what_no_run_passes_is_named_and_not_drawn(results, rows, found):
    escape, completion, ratio = counts.counts(results, rows, found).axes
    assert [axes.get_xlabel() for axes in (escape, completion, ratio)] == 3 * [
        "tasks in the mixture"
    ]
    assert "never: c" in completion.get_title(loc="left") and "never" not in escape.get_title(
        "left"
    )
    assert len(escape.get_legend_handles_labels()[1]) == 3
    assert completion.get_legend_handles_labels()[1] == ["a", "b"]
    unlearned = results.copy(deep=True)
    unlearned["completion_step_by_task"][...] = np.nan
    made = counts.counts(unlearned, rows, by_task.summarise(unlearned, rows))
    assert len(made.axes) == 2  # no panel of completions
    some = results.copy(deep=True)
    some["escape_step_by_task"][{"variant": NAMES.index("all"), "seed": 0, "task": 0}] = np.nan
    marks = counts.counts(some, rows, by_task.summarise(some, rows)).axes[0].lines
    (hollow,) = [line for line in marks if line.get_markerfacecolor() == "white"]
    assert list(hollow.get_xdata()) == [3] and hollow.get_marker() == "o"  # one run is cut
    some["escape_step_by_task"][{"variant": NAMES.index("all"), "task": 0}] = np.nan
    marks = counts.counts(some, rows, by_task.summarise(some, rows)).axes[0].lines
    (hollow,) = [line for line in marks if line.get_markerfacecolor() == "white"]
    assert hollow.get_marker() == "^"  # all of them are


def test_only_a_switch_at_escape_is_drawn_as_transfer(results, rows, found):
    """A curriculum's later task comes late, too: in a mixture of three, or of two at a set step."""
    curriculum = results.assign_attrs(config=json.dumps({"data.switch": "none"}))
    assert task_maps.transfer(curriculum, rows, found) is None
    three = [row for row in found if len(row.tasks) == 3]
    late = [dataclasses.replace(row, start=100.0 * i) for i, row in enumerate(three)]
    assert task_maps.transfer(results, rows, late) is None


def test_crowded_panels_show_one_mixture_of_each_size(results, rows):
    """With more settings than a panel holds."""
    many = xr.concat(
        [results.assign_coords(variant=[f"{n}{i}" for n in NAMES]) for i in (1, 2)], "variant"
    )
    many.attrs = {**results.attrs, "baseline": json.dumps({"variant": "a1"})}
    figure = task_figures.losses(many, statistics.summarise(many))
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["alone", "2 tasks", "3 tasks"]


def test_runs_that_all_ended_early_have_no_final_loss(results, rows):
    early = results.copy(deep=True).sel(eval_step=slice(None, 1500), step=slice(None, 1500))
    early["status"][...], early["last_step"][...] = store.UNFINISHED, 1500
    found = by_task.summarise(early, statistics.summarise(early))
    assert found and all(np.isnan(row.final_loss.value) for row in found)
    whole = by_task.summarise(results, rows)
    assert all(np.isfinite(row.final_loss.value) for row in whole)
