"""Mixed prompts, answered by a superposer and by others whose answers are known: the tables."""

import csv
import dataclasses
import io
import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

from plateaus.measures.figures import MIXED, MIXED_STEPS, SUMMARY, TABLES, printed
from plateaus.measures.superposition import majority
from plateaus.measures.superposition import rows as superposition
from plateaus.measures.superposition import steps as superposition_steps
from plateaus.measures.superposition import table as superposition_table
from plateaus.report import statistics
from plateaus.report.terminal import plain

EXAMPLES, PROMPTS, SEEDS = 20, 400, 4  # of the made-up world


@pytest.fixture(scope="module")
def rows(mixed_results):
    return statistics.summarise(mixed_results)


@pytest.fixture(scope="module")
def found(mixed_results, rows):
    made = superposition.summarise(mixed_results, rows)
    return {(row.setting["variant"], row.mixture, row.answer): row for row in made}


def error(d, seeds=SEEDS):
    """The standard error of a mean over the prompts of all seeds of an answer of 0 or 1."""
    return math.sqrt(d * (1 - d) / (PROMPTS * seeds))


@pytest.mark.parametrize("last", (1, 2, 3, 4, 5, 9))
def test_the_majority_of_the_last_examples_is_that_of_simulated_ones(last):
    rng, count = np.random.default_rng(last), 40_000
    shares = np.linspace(0, 1, 11)
    drawn = rng.random((shares.size, count, last)) < shares[:, None, None]
    votes = drawn.sum(axis=-1)
    seen = np.mean((votes > last / 2) + 0.5 * (votes == last / 2), axis=1)
    np.testing.assert_allclose(majority.majority(shares, last), seen, atol=5 * 0.5 / count**0.5)


def test_the_majority_of_one_is_the_share_and_ties_are_halved():
    shares = np.linspace(0, 1, 7)
    np.testing.assert_allclose(majority.majority(shares, 1), shares, atol=1e-12)
    np.testing.assert_allclose(majority.majority(shares, 2), shares, atol=1e-12)
    more = majority.majority(0.7, 9) > majority.majority(0.7, 3) > 0.7
    assert more and majority.majority(0.5, 5) == pytest.approx(0.5)


def test_there_is_a_row_for_each_setting_mixture_and_answer(mixed_results, found):
    kinds, mixtures = mixed_results["variant"].values, mixed_results["mixture"].values
    assert list(found) == list(itertools.product(kinds, mixtures, ("ret2", "ret4")))
    row = found["last", "3:7", "ret4"]
    assert row.answers == ("ret2", "ret4") and row.named_share == pytest.approx(0.7)
    shares = mixed_results["mixed_share"].sel(variant="last", mixture="3:7", answer="ret4")
    assert row.share.value == pytest.approx(float(shares[:, -1].mean()))
    assert abs(row.share.value - 0.7) < 5 * error(0.7) / EXAMPLES**0.5


@pytest.mark.parametrize("i", range(1, 10))
def test_means_follow_the_share_of_a_superposer_and_of_one_who_follows_the_last(found, i):
    """The point of it all: one mean, and saturations of 0 and 1."""
    d = i / 10
    spread = found["superposer", f"{i}:{10 - i}", "ret2"]
    last = found["last", f"{i}:{10 - i}", "ret2"]
    assert spread.probability.value == pytest.approx(d)
    assert abs(last.probability.value - d) < 5 * error(d)
    for row, wanted in ((spread, 0.0), (last, 1.0)):
        assert row.saturation.value == pytest.approx(wanted, abs=1e-9)
        assert row.switching.value == pytest.approx(wanted, abs=1e-9)
    assert spread.entropy.value == pytest.approx(stats.entropy([d, 1 - d]))
    assert last.entropy.value == pytest.approx(0, abs=1e-9)
    assert (spread.completed.value, last.completed.value) == (2, 1)
    assert spread.kl.value < 0.1 < 3 < last.kl.value


def test_one_who_weighs_all_examples_has_a_saturation_and_an_effect_of_1_in_m(found):
    row = found["counter", "5:5", "ret2"]
    n = PROMPTS * SEEDS  # the relative error of a variance is about sqrt(2 / n)
    assert row.saturation.value == pytest.approx(1 / EXAMPLES, rel=5 * (2 / n) ** 0.5)
    spread = math.sqrt(0.25 / EXAMPLES * 4 / n)  # of a difference of two halves' means
    assert abs(row.recency.value - 1 / EXAMPLES) < 5 * spread
    assert row.kl.value == pytest.approx(0, abs=1e-6) and 0.02 < row.switching.value < 0.06


def test_majorities_have_their_mean_and_the_effect_of_a_deciding_vote(found):
    for i in range(1, 10):
        wanted = float(majority.majority(i / 10, 5))
        row = found["majority", f"{i}:{10 - i}", "ret2"]
        assert abs(row.probability.value - wanted) < 5 * error(wanted, SEEDS - 1)
    row = found["majority", "5:5", "ret2"]
    deciding = stats.binom.pmf(2, 4, 0.5)  # the four others are divided
    assert abs(row.recency.value - deciding) < 5 * 2 * error(0.5, SEEDS - 1)


def test_the_effect_of_the_last_example_is_one_and_that_of_others_nothing(mixed_results, rows):
    last = next(row for row in rows if row.setting["variant"] == "last")
    effect = superposition.recency(mixed_results, last)[:, 5]  # [run, j, K]
    np.testing.assert_allclose(effect[:, 0], 1.0)
    assert np.abs(effect[:, 1:].mean(axis=(0, 2))).max() < 5 * 2 * error(0.5)


def test_examples_are_those_of_the_variant(mixed_results, rows):
    results = mixed_results.assign_attrs(variants=json.dumps({"counter": {"task.examples": 41}}))
    told = {row.setting["variant"]: superposition.examples(results, row) for row in rows}
    assert told == {"superposer": 20, "counter": 40, "last": 20, "majority": 20}


def test_intervals_are_over_the_seeds_that_finished(mixed_results, found, make_mixed):
    row = found["last", "4:6", "ret2"]
    p = mixed_results["mixed_probability"].sel(variant="last", mixture="4:6", answer="ret2")
    values = p.values[:, -1]
    assert row.probability.value == pytest.approx(values.mean())
    assert row.runs == SEEDS and np.isnan(row.probability.low)  # of so few there is none
    many = make_mixed(labels=["4:6"], kinds=("last", "counter"), seeds=8)
    row = next(iter(superposition.summarise(many, statistics.summarise(many))))
    values = many["mixed_probability"].values[0, :, -1, 0, 0]
    wanted = stats.t.interval(0.95, 7, values.mean(), stats.sem(values))
    np.testing.assert_allclose(row.probability, (values.mean(), *wanted))
    assert row.runs == 8 and row.entropy.low == row.entropy.high
    diverged = found["majority", "5:5", "ret2"]
    others = mixed_results["mixed_probability"].sel(variant="majority", mixture="5:5")[:-1, -1, 0]
    assert diverged.runs == SEEDS - 1  # its 0.77 is left out
    assert diverged.probability.value == pytest.approx(float(others.mean()))


def test_the_paper_is_beside_what_is_like_it(mixed_results, rows, make_mixed):
    table = {row.mixture: row.paper for row in superposition.summarise(mixed_results, rows[:1])
             if row.answer == "ret2"}  # fmt: skip
    known = {k: v for k, v in table.items() if not math.isnan(v)}
    assert known == {"1:9": 0.009, "3:7": 0.133, "5:5": 0.489, "7:3": 0.844, "9:1": 0.990}
    second = [r.paper for r in superposition.summarise(mixed_results, rows) if r.answer == "ret4"]
    assert np.isnan(second).all()  # the paper tells of the first
    assert superposition.released(("plus0", "plus7"))[0.1] == 0.114
    assert superposition.released(("plus0", "ret7")) == {}


def test_mixtures_are_read_from_their_labels(mixed_results):
    assert superposition.evenest(mixed_results) == 5
    assert superposition.several(mixed_results).tolist() == [False, *[True] * 9, False]
    three = mixed_results.isel(mixture=[0, 1, 2]).assign_coords(mixture=["2:8", "6:4", "1:1"])
    assert superposition.evenest(three.isel(mixture=[0, 1])) == 1
    shares = [[0.2, 0.8], [0.6, 0.4], [0.5, 0.5]]
    np.testing.assert_allclose(superposition.named_shares(three), shares)


def test_how_prompts_were_made_is_in_the_config(mixed_results, rows):
    row = rows[0]
    assert superposition.examples(mixed_results, row) == EXAMPLES
    assert superposition.independent(mixed_results, row)
    other = mixed_results.assign_attrs(config='{"mixed_examples": 7, "mixed_order": "exact"}')
    assert superposition.examples(other, row) == 7 and not superposition.independent(other, row)
    assert superposition.examples(mixed_results.assign_attrs(config="{}"), row) is None


def test_steps_are_paired_by_seed(mixed_results, rows):
    superposer, *_, diverged = superposition_steps.summarise(mixed_results, rows)
    seeds = np.arange(SEEDS)
    mixed, escape = 1200.0 + 100 * seeds, 700.0 + 10 * seeds
    apart = mixed - escape
    assert superposer.after_escape.value == pytest.approx(apart.mean())
    assert np.isnan(superposer.after_escape.low)  # of so few seeds there is no interval
    assert superposer.no_context == pytest.approx(2 / 3)  # and another task that is not mixed
    assert superposer.mixture == "5:5" and superposer.mixed.value == mixed.mean()
    assert superposer.last_escape.value == escape.mean() + 100
    assert superposer.after_last_escape.value == apart.mean() - 100
    assert superposer.after_alone.value == 0 and superposer.alone_pairs == SEEDS
    assert diverged.runs == diverged.mixed_runs == diverged.pairs == SEEDS - 1
    some = mixed_results.copy(deep=True)
    some["mixed_step"][0, 0, 5], some["escape_step_by_task"][0, 1, 0] = np.nan, np.nan
    some["mixed_step"][0, 2, 0] = 1000.0  # prompts of one task: 0:10 earlier, 10:0 as before
    row = superposition_steps.summarise(some, rows)[0]
    assert (row.mixed_runs, row.escaped_runs, row.pairs, row.alone_pairs) == (3, 3, 2, 3)
    assert row.after_escape.value == pytest.approx(apart[2:].mean())
    assert row.after_alone.value == pytest.approx(200 / 3)
    lines = list(csv.DictReader(io.StringIO(superposition_steps.csv_text([row]))))
    assert float(lines[0]["mixed_step"]) == pytest.approx(mixed[1:].mean())
    assert lines[0]["pairs"] == "2" and "after_escape_low" in lines[0]


def test_csv_and_console(found, mixed_results, rows, capsys):
    made = list(found.values())
    lines = list(csv.DictReader(io.StringIO(superposition_table.csv_text(made))))
    line = lines[list(found).index(("last", "3:7", "ret2"))]
    assert (line["variant"], line["mixture"], line["answer"]) == ("last", "3:7", "ret2")
    assert line["paper"] == "0.133" and float(line["saturation"]) == pytest.approx(1)
    assert 0 < float(line["probability"]) < 1 and line["probability_low"] == ""
    assert lines[0]["saturation"] == "" and lines[0]["share_asked"] == "0"
    superposition_table.show(made)
    superposition_steps.show(superposition_steps.summarise(mixed_results, rows))
    shown = capsys.readouterr().out
    assert sum(" 3:7 " in line for line in shown.splitlines()) == 4  # a line a mixture
    assert "0.133" in shown and "P(ret2)" in shown and "-0.000" not in shown
    assert "variant=last: mixed step of 5:5: 1,350 (4 of 4 runs)" in shown
    assert "(by any of its tasks, without context, P is 0.67 already)" in shown
    assert max(map(len, shown.splitlines()[:40])) <= 100


def test_many_mixtures_and_tasks_stay_short(make_mixed, capsys):
    labels = [f"{i}:{20 - i}" for i in range(21)]
    many = make_mixed(labels=labels, kinds=("last",), seeds=2)
    made = superposition.summarise(many, statistics.summarise(many))
    assert superposition_table.text_table(made).row_count == superposition_table.MOST
    superposition_table.show(made)
    assert " 10:10 " in capsys.readouterr().out  # the evenest is there
    names, labels = ("a", "b", "c"), ["1:0:0", "0:1:0", "0:0:1", "1:1:1"]
    three = make_mixed(names, labels, ("superposer", "last"), 3)
    superposition_table.show(superposition.summarise(three, statistics.summarise(three)))
    shown = capsys.readouterr().out
    assert ".33 .33 .33" in shown and "1.00 .00 .00" in shown and "paper:" not in shown


@pytest.mark.parametrize("names", [("ret2", "ret4"), ("a", "b"), ("a", "b", "c")])
@pytest.mark.parametrize("fields", range(4))
def test_the_printed_table_has_eight_columns_at_most(make_mixed, names, fields):
    labels = ["1:1:1", "1:0:0"] if len(names) == 3 else ["5:5", "7:3"]
    few = make_mixed(names, labels, ("last",), 2)
    setting = {f"data.field_{i}": f"a_long_name_of_something_swept_{i}" for i in range(fields)}
    rows = superposition.summarise(few, statistics.summarise(few))
    rows = [dataclasses.replace(row, setting=setting) for row in rows]
    shown = superposition_table.text_table(rows)
    assert len(shown.columns) == 7 + bool(fields)
    assert plain().measure(shown).maximum <= 100
    told = "".join(shown.columns[0].cells).replace("\n", "")
    assert all(value in told for value in setting.values())


def test_mixed_prompts_are_printed_before_plateaus(mixed_results, rows, found):
    tables = dict.fromkeys(TABLES, ()) | {MIXED: [*found.values()], SUMMARY: rows}
    tables[MIXED_STEPS] = superposition_steps.summarise(mixed_results, rows)
    assert printed(mixed_results, rows, tables) == [MIXED, MIXED_STEPS, SUMMARY]


def test_what_is_not_told_leaves_rows_without_it(mixed_results):
    blind = mixed_results.drop_vars("train_count_by_task")
    (row,) = superposition_steps.summarise(blind, statistics.summarise(blind)[:1])
    assert np.isnan(row.no_context) and "without context" not in row.text()
    lost = mixed_results.copy(deep=True)
    lost["status"][1], lost["status"][2, :3] = 2, 2
    made = superposition.summarise(lost, statistics.summarise(lost))
    assert {row.setting["variant"] for row in made} == {"superposer", "last", "majority"}
    alone = next(row for row in made if row.setting["variant"] == "last" and row.named_share == 0.5)
    assert alone.runs == 1 and np.isnan(alone.probability.low)
