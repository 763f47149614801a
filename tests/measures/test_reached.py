"""When the accuracy over all items is at its levels, beside the steps themselves."""

import csv
import io

import numpy as np
import pytest

from plateaus.measures import reached
from plateaus.measures.figures import METRICS, SUMMARY, drawn, printed, summaries
from plateaus.report.statistics import summarise

STEPS = {"all": 4_000, "few": 2_000, "never": np.inf}


@pytest.fixture
def facts(make_results):
    """Three settings of nine runs; the accuracy jumps to 1 at a step, later by 500 a seed."""
    made = make_results({"variant": [*STEPS]}, [9_000] * 3, seeds=9, baseline={"variant": "all"})
    evals = made["eval_step"].values
    for i, step in enumerate(STEPS.values()):
        for seed in range(9):
            made["test_accuracy"][i, seed] = (evals >= step + 500 * seed).astype(float)
    made["test_accuracy_trained"] = made["test_accuracy"].copy()
    return made


def test_each_level_has_the_median_and_the_ratio_of_its_steps(facts):
    found = reached.summarise(facts, summarise(facts))
    assert [(each.level, each.row.setting["variant"]) for each in found] == [
        (level, name) for level in (0.2, 0.5, 0.9) for name in STEPS
    ]
    every, few, never = (each.row for each in found[3:6])  # at .5: two of three are
    assert every.escape.value == 4_000 + 500 * 4 + 500
    assert few.escape.value == 2_000 + 500 * 4 + 500
    pairs = [(2_500 + 500 * k) / (4_500 + 500 * k) for k in range(9)]
    assert few.ratio.value == pytest.approx(np.exp(np.mean(np.log(pairs))))
    assert (never.escaped, never.bound) == (0, ">")
    assert found[0].row.escape.value == every.escape.value - 500  # at .2: one of three is


def test_the_table_is_csv_and_printed_before_the_losses(facts, capsys):
    rows = summarise(facts)
    tables = summaries(facts, rows)
    lines = [*csv.DictReader(io.StringIO(reached.csv_text(tables[METRICS])))]
    assert [(line["variant"], line["level"]) for line in lines[:2]] == [
        ("all", "0.2"),
        ("few", "0.2"),
    ]
    assert lines[4]["reached"] == "9" and lines[5]["reached"] == "0"
    assert printed(facts, rows, tables)[:2] == [METRICS, SUMMARY]
    reached.show(tables[METRICS])
    text = capsys.readouterr().out
    assert "never" in text and "6500" in text and text.count("baseline") == 3


def test_without_items_there_is_no_table(facts):
    whole = facts.drop_vars("test_accuracy_trained")
    assert reached.summarise(whole, summarise(whole)) == []


def test_the_figure_has_the_curves_and_a_panel_for_each_level(facts):
    rows = summarise(facts)
    figure = drawn(facts, rows, summaries(facts, rows))["metric_times"]
    left, *others = figure.subfigs[0].axes
    assert [axes.get_title("left") or axes.get_title() for axes in others] == [
        f"until it is at {level}" for level in (0.2, 0.5, 0.9)
    ]
    median = left.lines[0].get_ydata()
    np.testing.assert_array_equal(median, facts["test_accuracy"].values[0].mean(0)[1:] >= 0.5)
    names = [text.get_text() for text in others[0].get_yticklabels()]
    assert len(names) == 3 and names[0].startswith("all") and not others[1].get_yticks().size
