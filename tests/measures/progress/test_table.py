"""What a measure says of the escape, of runs that were made up; its table and its figure."""

import csv
import io

import numpy as np
import pytest
from scipy import stats

from plateaus.measures import columns
from plateaus.measures.figures import PROGRESS, SUMMARY, TABLES, printed, summaries
from plateaus.measures.progress import figure, table
from plateaus.report import rank_correlation, statistics

SEEDS = 64
KNOWING, BLIND, LATER = "relevant_weights", "llc", "target_share"


@pytest.fixture(scope="module")
def results(make_results):
    """64 runs, some of which never escape; a measure knows when, one does not, one too late."""
    made = make_results({}, 20_000.0, seeds=SEEDS, noise=0.5)
    for name in ("escape_step", "half_step", "completion_step"):
        made[name][:4] = np.nan
    rng = np.random.default_rng(0)
    steps, escape = made["eval_step"].values, made["escape_step"].values
    time = np.where(np.isnan(escape), 2e5, escape)[:, None]
    flat = np.ones_like(steps, float)
    late = steps > np.median(np.nan_to_num(escape, nan=np.inf)) / 2
    curves = {
        KNOWING: 5 - np.log(time) * flat + 0.1 * rng.standard_normal((SEEDS, steps.size)),
        BLIND: rng.standard_normal((SEEDS, steps.size)),
        LATER: np.where(late, np.log(time) * flat, rng.standard_normal((SEEDS, steps.size))),
    }
    for name, values in curves.items():
        attributes = {"family": "progress", "long_name": f"what {name} is", "units": "1"}
        made[name] = (("seed", "eval_step"), values, attributes)
    return made


@pytest.fixture(scope="module")
def found(results):
    rows = table.summarise(results, statistics.summarise(results))
    return {row.measure: row for row in rows}


def test_the_runs_are_those_on_the_plateau_at_half_of_its_median(results, found):
    escape = results["escape_step"].values
    median = np.median(np.where(np.isnan(escape), np.inf, escape))
    steps = results["eval_step"].values
    step = steps[steps <= median / 2].max()
    for row in found.values():
        assert row.step == step
        assert row.escaped_before == (escape <= step).sum() > 0
        assert row.runs == SEEDS - row.escaped_before


def test_the_numbers_are_of_these_runs_at_that_step(results, found):
    escape = np.nan_to_num(results["escape_step"].values, nan=np.inf)
    there = escape > found[BLIND].step
    at = results.sel(eval_step=found[BLIND].step)
    loss = at["test_loss"].values[there]
    for name, row in found.items():
        values = at[name].values[there]
        ranks = stats.rankdata(escape[there])  # of those that never do, the last
        assert row.alone == pytest.approx(stats.spearmanr(values, ranks).statistic)
        assert row.loss == pytest.approx(stats.spearmanr(loss, ranks).statistic)
        expected = rank_correlation.partial(values, ranks, loss)
        assert (row.beyond, row.p_value) == expected


def test_who_knows_is_told_from_who_does_not(found):
    assert found[KNOWING].beyond.high < -0.8 and found[KNOWING].p_adjusted < 1e-3
    for name in (BLIND, LATER):
        assert found[name].beyond.low < 0 < found[name].beyond.high
        assert found[name].p_value > 0.05
    assert found[KNOWING].p_adjusted == pytest.approx(3 * found[KNOWING].p_value)


def test_runs_that_were_cut_short_are_left_out(results, found):
    cut = results.copy(deep=True)
    cut["status"][:2], cut["last_step"][:2] = 3, 30_000  # two of those that did not escape
    cut["test_loss"][:2, cut["eval_step"].values > 30_000] = np.nan
    for row in table.summarise(cut, statistics.summarise(cut)):
        assert row.step == found[row.measure].step
        assert row.runs == found[row.measure].runs - 2


def test_the_table_is_printed_and_written(results, found, capsys):
    rows = statistics.summarise(results)
    tables = summaries(results, rows)
    assert printed(results, rows, tables) == [PROGRESS, SUMMARY]
    TABLES[PROGRESS].show(results, rows, tables[PROGRESS])
    text = capsys.readouterr().out
    assert "relevant_weights" in text and "exploratory" in text
    assert max(map(len, text.splitlines())) <= 100
    lines = [*csv.DictReader(io.StringIO(TABLES[PROGRESS].csv(tables[PROGRESS])))]
    assert [*lines[0]] == columns.names(PROGRESS)
    assert float(lines[0]["beyond"]) == pytest.approx(found[lines[0]["measure"]].beyond.value)


def test_few_runs_say_nothing_and_are_not_printed(results):
    few = results.isel(seed=slice(4, 11))
    rows = statistics.summarise(few)
    tables = summaries(few, rows)
    assert tables[PROGRESS] and printed(few, rows, tables) == [SUMMARY]
    assert all(np.isnan(row.alone) and np.isnan(row.beyond.value) for row in tables[PROGRESS])


def test_the_figure_has_a_line_for_each_measure_and_a_dot_for_each_run(results, found):
    rows = statistics.summarise(results)
    drawn = figure.measures(results, rows)
    grid = np.array(drawn.axes).reshape(4, 2)
    for axes, name in zip(grid[1:, 1], found, strict=True):
        dots = [line.get_xdata() for line in axes.lines]
        assert sum(map(len, dots)) == found[name].runs
        never = np.isnan(results["escape_step"].values).sum()
        assert len(dots[1]) == never >= 4 and set(dots[1]) == {50_000}
    assert figure.measures(results.drop_vars([*found]), rows) is None
