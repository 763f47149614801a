"""Figures of heads and of the landscape: what is drawn, and from what."""

import itertools
import json

import numpy as np
import pytest

from plateaus.measures.attention import figure as attention
from plateaus.measures.curvature import figure as landscape
from plateaus.report import statistics, store

TASKS = [32, 1024, 4096]
LAYERS, HEADS, DRAWS, SEEDS = 3, 4, 5, 6


@pytest.fixture(scope="module")
def results(make_results):
    """Heads 0 and 1 of layer 0 look back at 32 and 1024 tasks, heads 1 and 2 at 4096.

    The last layer is not there at 4096. Sharpness: 1 first, 10 on the plateau, 100 after it.
    """
    made = make_results(
        {"data.items": TASKS}, [9_000.0, 20_000.0, 45_000.0], seeds=SEEDS, baseline=None
    )
    made.attrs["config"] = json.dumps({"ablated_heads": 2})
    dims, shape = made["test_loss"].dims, made["test_loss"].shape
    score = np.full((*shape, LAYERS, HEADS), 0.1)
    score[:2, ..., 0, :2] = 0.9
    score[2, ..., 0, 1:3] = 0.9
    score[..., :-1, :, :] = 0.5  # before the end: not to be shown
    score[2, ..., 2, :] = np.nan
    for name, scale in (("retrospective", 1.0), ("previous", 0.5)):
        made[f"attention_{name}"] = ((*dims, "layer", "head"), scale * score)
    made["ablation_loss_retrospective"] = (dims, np.full(shape, 4.0))
    draws = np.broadcast_to(np.arange(1.0, DRAWS + 1), (*shape, DRAWS))
    made["ablation_loss_random"] = ((*dims, "draw"), draws.copy())
    steps = made["eval_step"].values
    left, done = (made[n].values[..., None] for n in ("escape_step", "completion_step"))
    level = np.where(steps < np.where(np.isnan(left), np.inf, left), 10.0, 30.0)
    level = np.where(steps >= np.where(np.isnan(done), np.inf, done), 100.0, level)
    level[..., 0] = 1.0
    made["sharpness"], made["gradient_norm"] = (dims, level), (dims, 2 * level)
    return made


@pytest.fixture(scope="module")
def rows(results):
    return statistics.summarise(results)


def test_scores_are_those_at_the_end_layer_by_head(results, rows):
    figure = attention.scores(results, rows)
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(images) == 6
    first = np.full((LAYERS, HEADS), 0.1)
    first[0, :2] = 0.9
    np.testing.assert_allclose(images[0], first)
    assert np.ma.getmaskarray(np.ma.masked_invalid(images[4]))[2].all()  # a layer not there
    np.testing.assert_allclose(images[1], 0.5 * first)


def test_ablations_stand_beside_the_intact_loss_with_the_range_of_draws(results, rows):
    (axes,) = attention.ablation(results, rows).axes
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
    middles = np.reshape([line.get_xdata()[0] for line in marks], (3, 3))
    last = np.median(results["test_loss"].values[..., -1], axis=1)
    np.testing.assert_allclose(middles, [last, [4.0] * 3, [3.0] * 3], rtol=1e-5)
    seeds = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == SEEDS]
    np.testing.assert_allclose(seeds[:3], results["test_loss"].values[..., -1])
    np.testing.assert_allclose(seeds[6:], 3.0)  # the mean of its draws
    bars = [line for line in axes.lines if len(line.get_xdata()) == 2]
    low, high = np.quantile(np.repeat(np.arange(1.0, 6), SEEDS), (0.025, 0.975))
    assert [tuple(bar.get_xdata()) for bar in bars] == [(low, high)] * 3  # of draws, and no other


def test_heads_of_runs_that_escaped_beside_those_that_did_not(results, rows):
    escaped = np.isfinite(results["escape_step"].values)
    mixed = [i for i in range(3) if 0 < escaped[i].sum() < SEEDS]
    assert mixed == [2]
    (axes,) = attention.by_outcome(results, rows).axes
    labels = [line.get_label() for line in axes.lines]
    assert labels.count("escaped") == escaped[2].sum() and len(labels) == SEEDS
    drawn = axes.lines[0].get_ydata()
    np.testing.assert_allclose(drawn[:8], [0.9, 0.9, *[0.1] * 6])


def test_shared_heads_are_counted_by_seed_and_set_against_chance(results, rows):
    found = attention.overlap(results, rows)
    np.testing.assert_allclose(found[:2, :2], 1.0)
    assert np.isnan(found[:2, 2]).all() and found[2, 2] == 1  # not the same heads to choose from
    same = results.copy(deep=True)
    for values in (same["attention_retrospective"].values,):
        values[np.isnan(values)] = 0.0
    np.testing.assert_allclose(attention.overlap(same, rows)[:2, 2], 1 / 3)  # {0, 1} and {1, 2}
    assert attention.persistence(results, rows) is not None
    assert attention.persistence(results, rows[:1]) is None


@pytest.mark.parametrize(("heads", "count"), [(6, 2), (5, 3), (4, 4)])
def test_chance_is_the_mean_over_all_pairs_of_sets(heads, count):
    sets = [set(chosen) for chosen in itertools.combinations(range(heads), count)]
    pairs = [len(a & b) / len(a | b) for a in sets for b in sets]
    assert attention.expected_overlap(heads, count) == pytest.approx(np.mean(pairs))


def test_phases_are_before_on_and_after_the_plateau(results, rows):
    for row in rows:
        found = landscape.phases(results, "sharpness", row)
        np.testing.assert_allclose(found[:, 0], 1.0)
        np.testing.assert_allclose(found[:, 1], 10.0)
        escape = np.isfinite(results["escape_step"].values[row.index])
        done = np.isfinite(results["completion_step"].values[row.index])
        np.testing.assert_allclose(found[done, 2], 100.0)
        np.testing.assert_allclose(found[escape & ~done, 2], 30.0)
        assert np.isnan(found[~escape, 2]).all()


def test_a_run_that_ended_early_without_completion_has_no_phase_after_the_plateau(results):
    early = results.copy(deep=True).sel(eval_step=slice(None, 45_000), step=slice(None, 45_000))
    early["status"][...], early["last_step"][...] = store.UNFINISHED, 45_000
    early["completion_step"][...] = np.nan
    for row in statistics.summarise(early):
        found = landscape.phases(early, "sharpness", row)
        np.testing.assert_allclose(found[:, 1], 10.0)
        assert np.isnan(found[:, 2]).all()


def test_the_landscape_is_on_log_axes_with_the_median_escapes_marked(results, rows):
    figure = landscape.landscape(results, rows)
    axes = [axes for part in figure.subfigs for axes in part.axes]
    assert [a.get_yscale() for a in axes] == ["log"] * 4
    assert axes[0].get_xscale() == "log"
    curve = next(line for line in axes[0].lines if line.get_linewidth() > 1).get_ydata()
    assert curve[0] == pytest.approx(1) and curve[-1] == pytest.approx(100)
    marks = [line.get_xdata()[0] for line in axes[0].lines if len(line.get_xdata()) == 1]
    never = np.where(np.isnan(results["escape_step"]), np.inf, results["escape_step"])
    np.testing.assert_allclose(marks, np.median(never, axis=1))
    low, high = axes[0].get_xlim()
    assert all(low < mark < high for mark in marks)


def test_an_escape_that_half_of_the_runs_never_come_to_is_hollow_at_the_edge(results):
    stuck = results.copy(deep=True)
    stuck["escape_step"][1, :4] = np.nan
    figure = landscape.landscape(stuck, statistics.summarise(stuck))
    left = figure.subfigs[0].axes[0]
    (mark,) = [line for line in left.lines if line.get_markerfacecolor() == "white"]
    assert list(mark.get_xdata()) == [1] and mark.get_transform() == left.transAxes
