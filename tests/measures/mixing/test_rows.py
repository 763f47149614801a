"""The table and the figures of adaptive mixing, from made-up results whose answers are known."""

import csv
import dataclasses
import io
import itertools
import json

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from plateaus.measures.figures import MIXING, SUMMARY, TABLES, printed
from plateaus.measures.mixing import figure_gram as mixing_gram
from plateaus.measures.mixing import figure_shares as mixing_shares
from plateaus.measures.mixing import figures as mixing_figures
from plateaus.measures.mixing import rows as mixing
from plateaus.measures.mixing import table as mixing_table
from plateaus.report import statistics, store
from plateaus.report.figures import save
from plateaus.report.terminal import plain

NAMES, TASKS, SEEDS = ("uniform", "dear", "staged"), ("a", "b", "c"), 8
EVERY, HORIZON = 50, 1000
COST = {"uniform": 1.0, "dear": 1.5, "staged": 1.0}  # of a step
LEVEL = {"uniform": 1.0, "dear": 0.5, "staged": 0.8}  # of the loss
STAGES = 200  # steps before the model that is kept


def offsets(seed):
    """What a task adds to the loss; a seed's own factor on top."""
    return np.array([0.0, 0.1, 0.2]) + 0.3 * seed


@pytest.fixture(scope="module")
def results(make_results):
    """Losses that fall by 1 per 1000 steps from LEVEL + 1; the dear setting costs half more."""
    base = make_results({"variant": list(NAMES)}, [500.0] * 3, seeds=SEEDS, horizon=HORIZON,
                        every=EVERY, baseline={"variant": "uniform"})  # fmt: skip
    steps, evals = base["step"].values, base["eval_step"].values
    shape = (len(NAMES), SEEDS)
    losses = np.full((*shape, evals.size, 3), np.nan, np.float32)
    shares = np.full((*shape, steps.size, 3), np.nan, np.float32)
    compute = np.zeros((*shape, evals.size), np.float32)
    rng = np.random.default_rng(2)
    for v, seed in itertools.product(*map(range, shape)):
        name = NAMES[v]
        told = evals >= STAGES if name == "staged" else evals >= 0
        curve = LEVEL[name] + 1 - evals / 1000
        losses[v, seed, told] = (curve[:, None] + offsets(seed))[told]
        compute[v, seed] = COST[name] * evals
        if name == "uniform":
            shares[v, seed] = 1 / 3
        else:
            late = steps > 500
            shares[v, seed, ~late] = [0.2, 0.3, 0.5]
            shares[v, seed, late] = [0.6 + 0.02 * seed, 0.2, 0.2 - 0.02 * seed]
    strong = np.array([3.0, 1.0, 0.5]) + 0.1 * rng.standard_normal((*shape, steps.size, 3))
    weak = 0.5 * np.roll(strong, 1, axis=-1)
    gain = np.where((steps > 500)[:, None], strong, strong)
    unbiased = np.where((steps > 500)[:, None], strong, weak)
    gain[:, :, steps <= 100] = unbiased[:, :, steps <= 100] = 0.0  # before a first round
    gain[0], unbiased[0] = np.nan, np.nan  # uniform asks for no gradient
    by_step, by_eval = ("variant", "seed", "step", "task"), ("variant", "seed", "eval_step", "task")
    escape = np.tile(np.array([300.0, 400.0, np.nan]), (*shape, 1))
    new = {
        "train_mixture_by_task": (by_step, shares),
        "train_count_by_task": (by_step, np.ones_like(shares)),
        "train_gram_gain_by_task": (by_step, gain),
        "train_gram_gain_unbiased_by_task": (by_step, unbiased),
        "test_loss_by_task": (by_eval, losses),
        "test_loss": (by_eval[:-1], losses.mean(-1)),
        "test_worst": (by_eval[:-1], losses.max(-1)),
        "compute": (by_eval[:-1], compute),
        "escape_step_by_task": (("variant", "seed", "task"), escape),
        "start_step_by_task": (("variant", "seed", "task"), np.zeros_like(escape)),
    }
    dataset = base.drop_vars("test_loss").assign(new).assign_coords(task=list(TASKS))
    dataset["test_loss"].attrs["units"] = "loss"
    dataset.attrs["baseline"] = json.dumps({"variant": "uniform"})
    return dataset


@pytest.fixture(scope="module")
def rows(results):
    return statistics.summarise(results)


@pytest.fixture(scope="module")
def found(results, rows):
    return {row.setting["variant"]: row for row in mixing.summarise(results, rows)}


def test_losses_at_the_end_and_the_worst_group(found):
    seeds = np.array([offsets(seed) for seed in range(SEEDS)])
    for name, row in found.items():
        end = LEVEL[name] + seeds
        assert row.runs == SEEDS
        np.testing.assert_allclose(row.final.value.value, end.mean(), rtol=1e-5)
        np.testing.assert_allclose(row.final_worst.value.value, end[:, 2].mean(), rtol=1e-5)
        own = end.mean(axis=1)
        low, high = stats.t.interval(0.95, SEEDS - 1, own.mean(), stats.sem(own))
        np.testing.assert_allclose(row.final.value[1:], (low, high), rtol=1e-4)


def test_at_equal_compute_the_dear_setting_is_read_earlier(found):
    assert {row.shared for row in found.values()} == {1000.0}
    seeds = np.array([offsets(seed) for seed in range(SEEDS)]).mean()
    dear, uniform, staged = (found[name] for name in ("dear", "uniform", "staged"))
    # 1000 / 1.5 steps, between two evaluations: on a line the interpolation is exact.
    np.testing.assert_allclose(dear.equal.value.value, 1.5 - 2 / 3 + seeds, rtol=1e-5)
    np.testing.assert_allclose(
        dear.equal_worst.value.value - dear.equal.value.value, 0.1, rtol=1e-3
    )
    assert dear.compute == 1500 and dear.extra == pytest.approx(0.5)
    assert uniform.extra == 0 and uniform.equal.value == uniform.final.value
    assert np.isfinite(staged.equal.value.value)  # NaN while a proxy trains is no loss


def test_ratio_and_p_are_paired_by_seed(found):
    mean = np.array([offsets(seed).mean() for seed in range(SEEDS)])
    base, end = 1.0 + mean, 0.5 + mean
    dear = found["dear"].final
    np.testing.assert_allclose(dear.ratio.value, stats.gmean(end / base), rtol=1e-5)
    assert dear.ratio.low < dear.ratio.value < dear.ratio.high < 1
    assert dear.p_value == 2 / 2**SEEDS and dear.lower == 1  # all on one side
    assert dear.p_value < stats.ttest_ind(np.log(end), np.log(base))[1] / 10
    others = sorted(found[name].final.p_value for name in ("dear", "staged"))
    adjusted = sorted(found[name].final.p_adjusted for name in ("dear", "staged"))
    assert adjusted == pytest.approx([2 * others[0], max(2 * others[0], others[1])])
    baseline = found["uniform"]
    assert baseline.is_baseline and baseline.pairs == 0 and np.isnan(baseline.final.p_value)


def test_a_setting_that_did_not_finish_leaves_the_others_as_they_are(results, found):
    lost = results.copy(deep=True)
    lost["status"][1], lost["status"][2, :2] = 0, 2
    table = statistics.summarise(lost)
    uniform, dear, staged = mixing.summarise(lost, table)
    assert uniform.final.value == found["uniform"].final.value and uniform.shared == 1000
    assert dear.runs == 0 and np.isnan([dear.compute, dear.extra, dear.final.value.value]).all()
    assert (staged.runs, staged.pairs) == (SEEDS - 2, SEEDS - 2)
    for draw in (mixing_figures.loss_against_compute, mixing_shares.mixture,
                 mixing_figures.domains, mixing_gram.gram_noise):  # fmt: skip
        draw(lost, table).draw_without_rendering()


def test_runs_that_all_ended_early_have_no_final_loss_and_no_equal_compute(results):
    early = results.copy(deep=True).sel(eval_step=slice(None, 500), step=slice(None, 500))
    early["status"][...], early["last_step"][...] = store.UNFINISHED, 500
    table = statistics.summarise(early)
    found = mixing.summarise(early, table)
    for row in found:
        assert row.runs == row.pairs == 0
        assert np.isnan([row.compute, row.extra, row.shared]).all()
        for name in mixing.MEASURES:
            assert np.isnan(getattr(row, name).value.value)
    assert all(np.isnan(row.final_loss.value) for row in table)
    assert mixing_table.remarks(found)[-1] == "no equal compute: no setting came to the horizon"
    mixing_figures.loss_against_compute(early, table).draw_without_rendering()


def test_before_a_kept_model_there_is_no_loss_at_that_compute():
    compute = np.array([0.0, 10.0, 20.0, 30.0])
    losses = np.array([[np.nan, np.nan, 3.0, 1.0], [4.0, 3.0, 2.0, 1.0], [np.nan] * 4])
    np.testing.assert_allclose(mixing.at_compute(compute, losses, 15.0), [np.nan, 2.5, np.nan])
    np.testing.assert_allclose(mixing.at_compute(compute, losses, 25.0), [2.0, 1.5, np.nan])
    assert np.isnan(mixing.at_compute(compute, losses, 31.0)).all()  # not beyond the last


def test_of_a_loss_of_zero_there_is_no_ratio_and_of_five_seeds_no_p(results):
    some = results.copy(deep=True)
    some["test_worst"][1, 0, -1] = 0.0
    some["status"][2, 5:] = store.NOT_RUN
    _, dear, staged = mixing.summarise(some, statistics.summarise(some))
    assert np.isfinite(dear.final_worst.value.value)
    assert np.isnan([dear.final_worst.ratio.value, dear.final_worst.p_value]).all()
    assert np.isfinite(dear.final.ratio.low) and staged.pairs == 5
    assert np.isfinite(staged.final.ratio.value) and np.isnan(staged.final.ratio.low)
    assert np.isnan(staged.final.p_value) and staged.final.lower == 1


def test_csv_and_console(found, capsys):
    lines = list(csv.DictReader(io.StringIO(mixing_table.csv_text(list(found.values())))))
    dear = lines[1]
    assert dear["variant"] == "dear" and dear["extra_compute_percent"] == "50"
    assert float(dear["equal_worst_loss"]) == pytest.approx(found["dear"].equal_worst.value.value)
    assert lines[0]["final_ratio"] == "" and dear["baseline"] == "variant=uniform"
    mixing_table.show(list(found.values()))
    shown = capsys.readouterr().out
    assert "50%" in shown and "baseline" in shown and "1,000 training steps" in shown


@pytest.mark.parametrize("fields", range(4))
def test_the_printed_table_has_eight_columns_at_most(found, fields):
    setting = {f"data.mixer_field_{i}": f"a_long_name_of_a_way_to_mix_{i}" for i in range(fields)}
    rows = [dataclasses.replace(row, setting=setting) for row in found.values()]
    shown = mixing_table.text_table(rows)
    assert len(shown.columns) == 7 + bool(fields)
    assert plain().measure(shown).maximum <= 100
    cells = "".join(shown.columns[0].cells).replace("\n", "")
    assert all(value in cells for value in setting.values())
    assert max(map(len, mixing_table.remarks(rows))) <= 100


def test_the_printed_ratio_at_equal_compute_is_that_of_the_rows(found):
    rows = list(found.values())
    shown = mixing_table.text_table(rows)
    ratio = rows[1].equal.ratio
    assert [*shown.columns[6].cells][1] == (
        f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
    )


def test_settings_that_mix_alike_have_their_plateaus_printed_alone(results, rows, found):
    tables = dict.fromkeys(TABLES, ()) | {MIXING: [*found.values()], SUMMARY: rows}
    assert printed(results, rows, tables) == [MIXING, SUMMARY]
    alike = results.copy(deep=True)
    for name in ("train_mixture_by_task", "compute"):
        alike[name][:] = alike[name][0].values
    assert printed(alike, statistics.summarise(alike), tables) == [SUMMARY]


def test_results_without_adaptive_mixing_have_no_table_and_no_figure(results):
    fixed = results.drop_vars(["train_mixture_by_task", "train_gram_gain_by_task"])
    table = statistics.summarise(fixed)
    assert mixing.summarise(fixed, table) == []
    for draw in (mixing_shares.mixture, mixing_figures.loss_against_compute,
                 mixing_figures.domains, mixing_gram.gram_noise):  # fmt: skip
        assert draw(fixed, table) is None
    alone = results.isel(task=[0])
    assert mixing.summarise(alone, statistics.summarise(alone)) == []


def lines_of(axes, xdata):
    return [line for line in axes.lines if np.size(line.get_xdata()) == np.size(xdata)]


def test_shares_are_shown_of_single_seeds_and_of_all_with_their_escapes(results, rows):
    figure = mixing_shares.mixture(results, rows)
    assert len(figure.subfigs) == 2  # the shares of "uniform" do not move
    assert figure.get_supxlabel() == "settings not drawn: 1 whose shares do not move"
    first, second, every, cycle = figure.subfigs[0].axes
    titles = [axes.get_title("left") for axes in (first, second, every, cycle)]
    assert titles == ["(a) seed 0", "(b) seed 1", "(c) all 8 seeds", "(d) is it a cycle?"]
    steps = results["step"].values
    late = steps > 500
    for axes, level in ((first, 0.6), (second, 0.62), (every, 0.6 + 0.02 * (SEEDS - 1) / 2)):
        a, _, c = lines_of(axes, steps)
        np.testing.assert_allclose(a.get_ydata()[late], level, rtol=1e-5)
        np.testing.assert_allclose(c.get_ydata()[~late], 0.5, rtol=1e-5)
        marks = [line for line in axes.lines if line.get_marker() in ("v", ">")]
        assert [line.get_marker() for line in marks] == ["v", "v", ">"]  # c never escapes
        assert [float(line.get_xdata()[0]) for line in marks[:2]] == [300.0, 400.0]
    assert len(every.collections) == 3 and not first.collections  # the middle half of 8
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries == [*TASKS, "middle half of the seeds", "escape", "no escape"]


def test_a_cycle_whose_phase_differs_by_seed_is_seen_in_its_cosines():
    steps, phases = np.arange(400), 2 * np.pi * np.arange(5) / 5
    around = 2 * np.pi * steps / 40 + phases[:, None]
    shares = (1 + 0.8 * np.cos(around[..., None] - 2 * np.pi * np.arange(3) / 3)) / 3
    assert np.abs(np.mean(shares, axis=0) - 1 / 3).max() < 1e-12  # the mean shows nothing
    found = mixing_shares.cosines(shares, 80)
    wanted = np.broadcast_to(np.cos(2 * np.pi * np.arange(81) / 40), (5, 81))
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    shares[:, :100] = 1 / 3  # no direction yet
    np.testing.assert_allclose(mixing_shares.cosines(shares, 80), wanted, atol=1e-9)


def test_the_escape_of_half_of_the_runs_is_marked_hollow(results, rows):
    some = results.copy(deep=True)
    some["escape_step_by_task"][1, 5:, 0] = np.nan
    every = mixing_shares.mixture(some, rows).subfigs[0].axes[2]
    a, b, c = (line for line in every.lines if line.get_marker() in ("v", ">"))
    assert list(a.get_xdata()) == [300.0] and a.get_markerfacecolor() == "white"
    assert b.get_markerfacecolor() != "white" and c.get_marker() == ">"


def test_loss_is_drawn_against_what_it_cost(results, rows, tmp_path):
    figure = mixing_figures.loss_against_compute(results, rows)
    average, beside, worst, _ = figure.subfigs[0].axes
    evals = results["eval_step"].values
    uniform, dear, staged = lines_of(average, evals)
    np.testing.assert_allclose(dear.get_xdata(), 1.5 * evals)
    np.testing.assert_allclose(uniform.get_xdata(), evals)
    assert np.isnan(staged.get_ydata()[evals < STAGES]).all()
    np.testing.assert_allclose(
        lines_of(worst, evals)[1].get_ydata() - dear.get_ydata(), 0.1, rtol=1e-3
    )
    losses = results["test_loss"].values
    where = np.union1d(1.5 * evals, HORIZON)  # and where the table compares
    at = np.flatnonzero(where <= HORIZON)
    loss, level = (
        [np.interp(where[at], spent, losses[i, seed]) for seed in range(SEEDS)]
        for i, spent in ((1, 1.5 * evals), (0, evals))
    )
    drawn = next(
        line
        for line in beside.lines
        if np.size(line.get_xdata()) == where.size and np.allclose(line.get_xdata(), where)
    )
    ratios = np.median(np.divide(loss, level), axis=0)
    np.testing.assert_allclose(drawn.get_ydata()[at], ratios, rtol=1e-5)
    assert np.isnan(drawn.get_ydata()[at[-1] + 1 :]).all()  # the baseline has not spent as much
    assert all(path.stat().st_size for path in save(figure, tmp_path, "cost"))


def test_domains_have_a_panel_each(results, rows):
    figure = mixing_figures.domains(results, rows)
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["a (escaped 24/24)", "b (escaped 24/24)", "c (escaped 0/24)"]
    evals = results["eval_step"].values
    dear = lines_of(figure.axes[2], evals)[1]
    expected = 1.5 - evals / 1000 + np.median([offsets(seed)[2] for seed in range(SEEDS)])
    np.testing.assert_allclose(dear.get_ydata(), expected, rtol=1e-5)
    np.testing.assert_allclose(dear.get_xdata(), 1.5 * evals)


def test_gram_noise_tells_signal_from_noise(results, rows):
    row = rows[1]
    biased, unbiased = mixing_gram.gains(results, row)
    steps = results["step"].values
    assert np.isnan(biased[:, steps <= 100]).all()
    early, late = (steps > 100) & (steps <= 500), steps > 520
    share = mixing_gram.signal(biased, unbiased, 1)
    np.testing.assert_allclose(share[early], 0.5, rtol=1e-5)
    np.testing.assert_allclose(share[late], 1.0, rtol=1e-5)
    agreed = mixing_gram.agreement(biased, unbiased, 1)
    assert (agreed[early] == 0).all() and (agreed[late] == 1).all()
    assert np.isnan(share[steps <= 100]).all() and np.isnan(agreed[steps <= 100]).all()
    figure = mixing_gram.gram_noise(results, rows)
    assert isinstance(figure, Figure) and len(figure.subfigs) == 2  # uniform has no gradients
    first = figure.subfigs[0].axes[0]
    told = steps[steps > 100]
    a = lines_of(first, told)[0].get_ydata()
    gain = biased[:, steps > 100]
    np.testing.assert_allclose(
        a, np.median(gain[..., 0] / np.linalg.norm(gain, axis=-1), axis=0), rtol=1e-5
    )


def test_agreement_of_noise_is_chance():
    rng = np.random.default_rng(0)
    gains = rng.standard_normal((2, 200, 50, 4))
    agreed = mixing_gram.agreement(*gains, window=50)[-1]
    assert abs(agreed - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 10_000)
