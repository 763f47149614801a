"""Figures of gradient geometry: what is drawn, and from what."""

import numpy as np
import pytest

from plateaus.measures.gradients import figure as gradients
from plateaus.report import statistics

TASKS = [32, 1024, 2**31 - 2]
LAYERS = {"read_in": 0.25, "readout": 0.75}


@pytest.fixture(scope="module")
def results(make_results):
    """Cosines 0.6, 0.4, 0.2 on the plateau and 1 after it; two layers that divide them."""
    made = make_results(
        {"data.items": TASKS},
        [9_000.0, 20_000.0, 30_000.0],
        seeds=6,
        baseline={"data.items": TASKS[-1]},
    )
    dims, steps = made["test_loss"].dims, made["eval_step"].values
    level = np.array([0.6, 0.4, 0.2])[:, None, None]
    escaped = steps >= made["escape_step"].values[..., None]
    whole = np.where(escaped, 1.0, level)
    made["gradient_cosine"] = (dims, whole)
    for name, share in LAYERS.items():
        cosine, noise = share * whole, np.full(whole.shape, share)
        for part, values in (("cosine", cosine), ("noise", noise)):
            facts = {"family": f"gradient_{part}", "layer": name}
            made[f"gradient_{part}_in_{name}"] = (dims, values, facts)
    window = made["train_loss"]
    for name, value in (("conflict_fraction", 0.4), ("effective_rank", 3.0), ("signal", 0.5)):
        made[f"train_{name}"] = (window.dims, np.full(window.shape, value))
    made["train_noise"] = (window.dims, np.full(window.shape, 20.0))
    made["train_noise"][0] = np.nan  # a setting without an aggregator
    return made


def medians(axes):
    return [line for line in axes.lines if len(line.get_xdata()) > 2 and line.get_linewidth() > 1]


def axes_of(figure):
    return [axes for part in figure.subfigs for axes in part.axes]


def test_the_cosine_on_the_plateau_is_of_what_comes_before_the_escape(results):
    rows = statistics.summarise(results)
    for row, level in zip(rows, (0.6, 0.4, 0.2), strict=True):
        means = gradients.on_the_plateau(results, "gradient_cosine", row)
        assert means == pytest.approx([level] * 6)
        assert (gradients.of_runs(results, "gradient_cosine", row) > level).all()
    left, right = axes_of(gradients.cosine(results, rows))
    curves = medians(left)
    assert len(curves) == 3 and [c.get_ydata()[0] for c in curves] == pytest.approx([0.6, 0.4, 0.2])
    assert [c.get_ydata()[-1] for c in curves] == pytest.approx([1.0] * 3)
    assert [t.get_text() for t in right.get_yticklabels()] == ["32", "1024", "inf"]


def test_layers_are_told_apart_beside_their_sum(results):
    figure = gradients.layers(results, statistics.summarise(results))
    top, bottom = figure.axes[:3], figure.axes[3:]
    for axes, level in zip(top, (0.6, 0.4, 0.2), strict=True):
        drawn = {line.get_label(): line.get_ydata()[0] for line in medians(axes)}
        assert drawn["whole"] == pytest.approx(level)
        assert drawn["read_in"] + drawn["readout"] == pytest.approx(level)
    for axes in bottom:
        drawn = {line.get_label(): line.get_ydata()[0] for line in medians(axes)}
        assert drawn["readout"] == pytest.approx(0.75)
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["read_in", "readout", "whole"]


def test_the_noise_scale_is_noise_over_signal(results):
    conflict, rank, scale = axes_of(gradients.examples(results, statistics.summarise(results)))
    for axes, level in ((conflict, 0.4), (rank, 3.0)):
        assert [line.get_ydata()[0] for line in medians(axes)] == pytest.approx([level] * 3)
    assert scale.get_yscale() == "log"
    assert np.isnan(scale.lines[0].get_ydata()).all()
    for line in scale.lines[1:]:
        np.testing.assert_allclose(line.get_ydata(), 40.0)


def test_a_gap_of_one_evaluation_is_bridged_and_a_long_one_is_not():
    curve = np.array([1.0, np.nan, 1.0, 1.0, *[np.nan] * 8, 3.0])
    smooth = gradients._smooth(curve)
    assert smooth[1] == 1.0 and np.isnan(smooth[7]) and smooth[-1] == 3.0


def test_a_curve_shorter_than_the_window_is_its_mean_and_no_longer():
    assert gradients._smooth(np.array([1.0, 2.0, 6.0])).tolist() == [1.5, 3.0, 4.0]
