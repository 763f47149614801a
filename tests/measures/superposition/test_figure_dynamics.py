"""Mixed prompts over training and over sizes of models, from made-up results."""

import math

import numpy as np
import pytest

from plateaus.measures.superposition import figure_dynamics as superposition_dynamics
from plateaus.measures.superposition import figure_sizes as superposition_sizes
from plateaus.report import statistics

KINDS, SEEDS = ("superposer", "counter", "last", "majority"), 4
SINGLE = ["1:0:0", "0:1:0", "0:0:1", "1:1:1"]


@pytest.fixture(scope="module")
def rows(mixed_results):
    return statistics.summarise(mixed_results)


@pytest.fixture(scope="module")
def three(make_mixed):
    dataset = make_mixed(("a", "b", "c"), SINGLE, ("counter", "last"), 3)
    return dataset, statistics.summarise(dataset)


def medians(axes, xdata):
    """The curves that are of no single seed."""
    lines = [line for line in axes.lines if np.size(line.get_xdata()) == np.size(xdata)]
    return [line for line in lines if line.get_linewidth() > 0.6]


def test_dynamics_shows_losses_answers_and_when(mixed_results, rows):
    figure = superposition_dynamics.dynamics(mixed_results, rows)
    grid = np.array(figure.axes).reshape(3, 4)
    assert [axes.get_title("left") for axes in grid[0]] == [f"variant={kind}" for kind in KINDS]
    evals, steps = mixed_results["eval_step"].values, mixed_results["step"].values
    losses = medians(grid[0, 0], steps)
    assert len(losses) == 3  # ret2, ret4, and the other in grey
    ends = [float(line.get_ydata()[-1]) for line in losses]
    np.testing.assert_allclose(ends, 0.2)
    curves = medians(grid[1, 0], evals)
    mass, completed, entropy, saturation = (np.asarray(line.get_ydata()) for line in curves)
    begun = np.median(evals[None] >= 1000 + 100 * np.arange(SEEDS)[:, None], axis=0)
    np.testing.assert_allclose(mass, 0.01 + 0.99 * begun, atol=1e-9)
    np.testing.assert_allclose(completed, 1)
    assert entropy[-1] == pytest.approx(1) and entropy[0] < 0.2
    np.testing.assert_allclose(saturation, 0, atol=1e-9)
    levels = [line.get_ydata()[0] for line in grid[1, 0].lines if len(line.get_ydata()) == 2]
    assert pytest.approx(2 / 3) in levels  # of a model that answers by any of the three tasks
    (kl,) = medians(grid[2, 0], evals)
    wanted = mixed_results["mixed_kl"].sel(variant="superposer", mixture="5:5").median("seed")
    np.testing.assert_allclose(kl.get_ydata(), wanted)
    for axes in grid[:, 0]:
        at = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "v"]
        assert at == [615.0, 815.0]
        upright = [line for line in axes.lines if line.get_alpha() == 0.6]
        assert [float(line.get_xdata()[0]) for line in upright] == [1350.0]
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries[:3] == ["ret2", "ret4", "P on the answers together"]


def test_entropy_is_in_units_of_k_even_answers(three):
    dataset, rows = three
    found = superposition_dynamics.measures(dataset, rows[0])
    wanted = dataset["mixed_entropy"].sel(variant="counter", mixture="1:1:1") / math.log(3)
    np.testing.assert_allclose(found["entropy H / log K"], wanted)
    np.testing.assert_allclose(
        found["tasks completed / K"], dataset["mixed_completed"][0, :, :, 3] / 3
    )


def test_sizes_are_those_of_the_models(mixed_results, rows):
    figure = superposition_sizes.sizes(mixed_results, rows)
    completed, kl = figure.axes
    for axes in figure.axes:
        assert axes.get_xscale() == "log" and axes.get_xlabel() == "parameters of the model"
        means = axes.lines[-1]
        assert list(means.get_xdata()) == [100, 200, 300, 400]
        assert [text.get_text() for text in axes.get_xticklabels()] == ["100", "200", "300", "400"]
    np.testing.assert_allclose(completed.lines[-1].get_ydata()[[0, 2, 3]], [2, 1, 1])
    final = mixed_results["mixed_kl"].sel(mixture="5:5")[..., -1]
    wanted = [*final[:3].median("seed").values, float(final[3, :3].median())]  # one diverged
    np.testing.assert_allclose(kl.lines[-1].get_ydata(), wanted)
    assert not figure.legends


def test_a_size_that_mostly_stayed_on_its_plateau_is_hollow_and_not_joined(mixed_results):
    stuck = mixed_results.copy(deep=True)
    stuck["escape_step"][1, :3] = np.nan
    figure = superposition_sizes.sizes(stuck, statistics.summarise(stuck))
    axes = figure.axes[1]
    line = axes.lines[-1].get_ydata()
    assert np.isnan(line).tolist() == [False, True, False, False]
    marks = [one for one in axes.lines if one.get_markersize() > 4 and one.get_marker() == "o"]
    hollow = [float(one.get_xdata()[0]) for one in marks if one.get_markerfacecolor() == "white"]
    assert hollow == [200.0] and len(marks) == 4
    (legend,) = figure.legends
    assert "left the plateau" in legend.get_texts()[0].get_text()


def test_sizes_have_a_line_for_each_other_setting(make_mixed):
    """Width sets the parameters, the rate does not."""
    one = make_mixed(labels=["5:5"], seeds=2)
    rates = [0.1, 0.2]
    both = one.isel(variant=[0, 1]).assign_coords(variant=[8, 16]).rename(variant="width")
    both = both.expand_dims(rate=rates).copy(deep=True)
    for name, variable in both.items():  # expanded, too, what has neither seeds nor settings
        assert variable.dims[:2] == ("rate", "width"), name
    both.attrs |= {"swept": '["rate", "width"]', "baseline": '{"rate": null, "width": null}'}
    rows = statistics.summarise(both)
    found = superposition_sizes.by_size(both, rows)
    assert list(found) == ["rate=0.1", "rate=0.2"]
    for rate, series in zip(rates, found.values(), strict=True):
        assert [count for count, _ in series] == [100, 200]
        assert [row.setting for _, row in series] == [{"rate": rate, "width": w} for w in (8, 16)]
    figure = superposition_sizes.sizes(both, rows)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(found)
    same = both.copy(deep=True)
    same["parameters"][...] = 100
    assert superposition_sizes.sizes(same, rows) is None
    assert superposition_sizes.sizes(same.drop_vars("parameters"), rows) is None
