"""What is printed of mixtures: each task beside itself alone, in steps and in its own prompts."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from plateaus.measures import figures
from plateaus.measures.by_task import lines as by_line
from plateaus.measures.by_task import prompts, task_sets
from plateaus.measures.by_task import rows as by_task
from plateaus.measures.by_task import table as task_table
from plateaus.report import statistics, store
from plateaus.report.terminal import plain

TASKS = ("a", "b", "c")
HORIZON, SEEDS, BATCH = 2000, 8, 12


def mixtures(make_results, sets, names=None, tasks=TASKS, seeds=SEEDS, config=None):
    """Results in which a task of k escapes at about 300 k steps; c never. A batch is shared."""
    names = names or [" + ".join(chosen) for chosen in sets]
    base = make_results({"variant": names}, [1000.0] * len(names), seeds, HORIZON, 50)
    rng = np.random.default_rng(2)
    shape = (len(names), seeds, len(tasks))
    escape, start, drawn = (np.full(shape, np.nan) for _ in range(3))
    losses = np.ones((*shape[:2], base.sizes["eval_step"], len(tasks)))
    for v, seed, g in itertools.product(*map(range, shape)):
        if tasks[g] in sets[v]:
            k = len(sets[v])
            start[v, seed, g], drawn[v, seed, g] = 0, BATCH / k
            if tasks[g] != "c":
                escape[v, seed, g] = round(300 * k * np.exp(0.1 * rng.standard_normal()))
    counts = np.broadcast_to(drawn[:, :, None], (*shape[:2], base.sizes["step"], len(tasks)))
    dims = ("variant", "seed", "task")
    new = {
        "start_step_by_task": (dims, start),
        "escape_step_by_task": (dims, escape),
        "completion_step_by_task": (dims, np.full(shape, np.nan)),
        "escape_sequences_by_task": (dims, escape * drawn),
        "train_count_by_task": (("variant", "seed", "step", "task"), counts),
        "test_loss_by_task": (("variant", "seed", "eval_step", "task"), losses),
        "test_distance_by_task_to_no_context": (("variant", "seed", "eval_step", "task"), losses),
        "batch_size": (("variant", "seed"), np.full(shape[:2], BATCH)),
    }
    dataset = base.assign(new).assign_coords(task=list(tasks))
    dataset.attrs["config"] = json.dumps(config or {})
    dataset.attrs["baseline"] = json.dumps({"variant": names[0]})
    return dataset


@pytest.fixture(scope="module")
def results(make_results):
    sets = [("a",), ("b",), ("c",), ("a", "b"), TASKS]
    return mixtures(make_results, sets, ["a", "b", "c", "a + b", "all"])


@pytest.fixture(scope="module")
def rows(results):
    return statistics.summarise(results)


def printed(dataset, capsys):
    capsys.readouterr()
    figures.show_tables(dataset, statistics.summarise(dataset))
    return capsys.readouterr().out


def line_of(lines, task, among):
    return next(line for line in lines if (line.task, line.among) == (task, among))


def escapes(dataset, variant, task):
    return dataset.sel(variant=variant, task=task)["escape_step_by_task"].values


def test_the_ratio_in_prompts_of_its_own_is_that_of_the_pairs(results, rows):
    """Against the prompts of each seed, counted out of the batch."""
    found = {(row.setting["variant"], row.task): row for row in by_task.summarise(results, rows)}
    for variant, k in (("a + b", 2), ("all", 3)):
        steps, alone = escapes(results, variant, "a"), escapes(results, "a", "a")
        wanted = stats.gmean((steps * BATCH / k) / (alone * BATCH))
        assert found[variant, "a"].own_ratio == pytest.approx(wanted, rel=1e-3)
        assert found[variant, "a"].ratio.value == pytest.approx(stats.gmean(steps / alone))
    assert np.isnan(found["a", "a"].own_ratio) and np.isnan(found["all", "c"].own_ratio)


def test_what_a_step_draws_is_that_of_escaped_and_of_other_runs(results):
    assert prompts.drawn_a_step(results, (4,), "a") == pytest.approx(4, rel=1e-3)
    assert prompts.drawn_a_step(results, (4,), "c") == 4  # which never escapes
    late = results.copy(deep=True)
    late["start_step_by_task"][4, :, 2] = 1000  # and is drawn in half of the run
    late["train_count_by_task"][4, :, late["step"].values <= 1000, 2] = np.nan
    late["last_step"][4, 0] = 1500
    assert prompts.drawn_a_step(late, (4,), "c") == 4
    late["status"][4] = store.NOT_RUN
    assert np.isnan(prompts.drawn_a_step(late, (4,), "c"))


def test_what_is_printed_first_is_each_task_beside_itself_alone(results, capsys):
    text = printed(results, capsys)
    start = text.index("trained with")
    assert text.index("together") < start
    lines = text[start:].splitlines()
    names = [line.split()[:2] for line in lines[2:10]]
    assert names[:3] == [["a", "alone"], ["b", "8/8"], ["all", "8/8"]]
    (line,) = [line for line in lines if line.split()[:2] == ["all", "8/8"]][:1]
    rows = by_task.summarise(results, statistics.summarise(results))
    row = next(r for r in rows if (r.setting["variant"], r.task) == ("all", "a"))
    ratio = f"{row.ratio.value:.2f} [{row.ratio.low:.2f}, {row.ratio.high:.2f}]"
    assert ratio in line and f" {row.own_ratio:.2f} " in line
    assert f" {row.escape.value:.0f} " in line
    assert "baseline: " not in text and text.endswith("another quantity in every row\n")
    assert "neither" in text and "neither: the task escapes neither" in text  # c


def test_settings_on_the_same_tasks_print_the_main_table(make_results, capsys):
    same = mixtures(make_results, [TASKS, TASKS], ["mixed", "random"])
    text = printed(same, capsys)
    assert "baseline: variant=mixed" in text and "trained with" not in text
    assert "other tasks" not in text
    other = mixtures(make_results, [TASKS, TASKS, ("a", "b")], ["mixed", "random", "two"])
    text = printed(other, capsys)  # no task alone: the main table, without a ratio of other means
    (line,) = [line for line in text.splitlines() if line.strip().startswith("two ")]
    assert "other tasks" in line and "trained with" not in text


def test_settings_that_compare_both_ways_print_both_tables(make_results, capsys):
    both = mixtures(make_results, [TASKS, TASKS, ("a",)], ["mixed", "random", "a alone"])
    text = printed(both, capsys)
    assert text.index("trained with") < text.index("baseline: variant=mixed")
    assert "as no setting trains them alone: b, c" in text
    assert not [line for line in text.splitlines() if line.startswith(" b ")]


def test_bounds_and_missing_pairs_are_told(results, rows):
    """Where none escapes among others the ratio is a bound; where some pairs say nothing, of n."""
    some = results.copy(deep=True)
    some["escape_step_by_task"][4, :, 0] = np.nan  # a, of all
    some["escape_step_by_task"][0, :3, 0] = np.nan  # and alone on three seeds
    lines = by_line.lines(by_task.summarise(some, rows), HORIZON)
    shown = task_table.lines_table(lines)
    cells = list(zip(*(column.cells for column in shown.columns), strict=True))
    row = cells[[*lines].index(line_of(lines, "a", "all"))]
    alone = escapes(some, "a", "a")[3:]
    assert row[2] == f"0/{SEEDS}" and row[3] == f"> {HORIZON}"
    assert row[4] == f"> {stats.gmean(HORIZON / alone):.2f} (n=5)" and row[5].startswith("> ")
    said = task_table.remarks(lines, by_task.summarise(some, rows))
    assert any(line.startswith("> and <") for line in said)
    assert any(line.startswith("(n=)") for line in said)


def test_diverged_and_unfinished_runs_are_told_under_it(results, capsys):
    some = results.copy(deep=True)
    some["status"][3, 2] = store.DIVERGED
    assert "diverged: variant=a + b: 1 of 8 runs (seeds 2)" in printed(some, capsys)


def test_another_swept_field_has_a_table_for_each_of_its_values(make_results, capsys):
    sets = [("a",), ("b",), TASKS]
    parts = [mixtures(make_results, sets, ["a", "b", "all"]) for _ in range(2)]
    both = xr.concat(parts, "data.items").assign_coords({"data.items": [16, 128]})
    both.attrs = parts[0].attrs | {"swept": json.dumps(["data.items", "variant"])}
    both.attrs["baseline"] = json.dumps({"data.items": None, "variant": None})
    text = printed(both, capsys)
    assert text.count("trained with") == 2
    assert text.index("data.items=16") < text.index("trained with") < text.index("data.items=128")
    assert text.count("p: sign flips") == 1
    found = by_task.summarise(both, statistics.summarise(both))
    assert task_sets.choosing_fields(found) == ["variant"]


def test_many_mixtures_are_averaged_by_their_number_of_tasks(make_results):
    tasks = ("a", "b", "d", "e")
    sets = [s for k in range(1, 5) for s in itertools.combinations(tasks, k)]
    many = mixtures(make_results, sets, tasks=tasks)
    found = by_task.summarise(many, statistics.summarise(many))
    lines = by_line.averages(many, found)
    assert len(lines) == 16
    line = line_of(lines, "a", "1 of the others (3)")
    means = np.mean([escapes(many, f"a + {other}", "a") for other in "bde"], axis=0)
    alone = escapes(many, "a", "a")
    assert line.ratio.value == pytest.approx(stats.gmean(means / alone))
    assert line.own_ratio == pytest.approx(line.ratio.value / 2, rel=1e-3)
    assert line.steps == pytest.approx(means.mean()) and line.runs == 3 * SEEDS
    assert line.ratio.low < line.ratio.value < line.ratio.high
    table = task_table.counts_table(many, found)
    assert [*table.columns[0].cells] == ["1", "2", "3", "4"]
    assert [*table.columns[1].cells] == ["4", "6", "4", "1"]
    stuck = many.copy(deep=True)
    stuck["escape_step_by_task"][:] = np.nan  # where nothing escapes there is nothing to average
    found = by_task.summarise(stuck, statistics.summarise(stuck))
    assert task_table.counts_table(stuck, found) is None


def test_the_first_of_two_tasks_in_turn_is_left_out(make_results, capsys):
    sets = [("a",), ("b",), ("a", "b")]
    turns = mixtures(make_results, sets, ["a", "b", "a then b"], config={"data.switch": "escape"})
    turns["start_step_by_task"][2, :, 1] = 700
    text = printed(turns, capsys)
    assert text.count("a then b") == 1 and "the first of two tasks" in text


def test_names_say_what_a_task_is_trained_with(results, rows):
    found = by_task.summarise(results, rows)
    pair = next(row for row in found if row.setting["variant"] == "a + b" and row.task == "a")
    assert by_line.among(pair, ["variant"], TASKS) == "b"
    four = dataclasses.replace(
        pair, tasks=("a", "b", "c", "d"), setting={"variant": "a + b + c + d"}
    )
    assert by_line.among(four, ["variant"], ("a", "b", "c", "d", "e")) == "all but e"
    assert by_line.among(four, ["variant"], ("a", "b", "c", "d")) == "b + c + d"


@pytest.mark.parametrize("length", [1, 60])
def test_the_table_is_readable_in_a_hundred_letters(make_results, length):
    tasks = tuple(f"{letter}{'_family' * (length // 7)}" for letter in "abd")
    sets = [*((task,) for task in tasks), tasks]
    long = mixtures(make_results, sets, tasks=tasks)
    lines = by_line.lines(by_task.summarise(long, statistics.summarise(long)), HORIZON)
    shown = task_table.lines_table(lines)
    assert len(shown.columns) == 8
    assert plain().measure(shown).maximum <= 100
    told = "".join(cell.replace("\n", "") for cell in shown.columns[0].cells)
    assert all(task in told for task in tasks)  # folded, not cut
