"""The figures that are drawn where the results have something to show in them."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plateaus.measures.gradients import figure as gradients
from plateaus.report import curves, facets, predictors, robustness, statistics

VARIANTS = {"data.subset": [1.0, 0.5], "variant": ["plain", "bias 0.03"]}


def with_norms(results):
    shape = results["test_loss"].shape
    rising = np.broadcast_to(np.linspace(1, 2, shape[-1]), shape)
    for i, layer in enumerate(("hidden_0", "readout")):
        facts = {"family": "weight_norm", "layer": layer}
        results[f"weight_norm_{layer}"] = (results["test_loss"].dims, (i + 1) * rising, facts)
    return results


def test_norms_of_layers_have_a_column_each_and_a_line_a_variant(make_results):
    neutral = {"data.subset": 1.0, "variant": "plain"}
    results = make_results(VARIANTS, np.full((2, 2), 9_000.0), seeds=5, baseline=neutral)
    assert curves.weight_norms(results, statistics.summarise(results)) is None
    results = with_norms(results)
    figure = curves.weight_norms(results, statistics.summarise(results))
    axes = [axes for part in figure.subfigs for axes in part.axes]
    labels = [a.get_ylabel() for a in axes]
    assert labels == ["norm of hidden 0", "norm of readout"] * 2  # a row of panels for each subset
    for a in axes:
        scale = 1 + ("readout" in a.get_ylabel())
        medians = [line for line in a.lines if line.get_linewidth() > 1]
        assert len(a.lines) == 2 * (5 + 1) and len(medians) == 2  # of fewer than 8 seeds, each
        for line in a.lines:
            np.testing.assert_allclose(line.get_ydata()[[0, -1]], [scale, 2 * scale])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["plain (baseline)", "bias 0.03"]
    assert legend.get_title().get_text() == "variant"


def test_metrics_are_wrapped_and_say_which_settings_have_them(make_results):
    results = make_results({"data.items": [1.0, 2.0]}, np.full(2, 9_000.0), seeds=9)
    dims, values = results["test_loss"].dims, results["test_loss"].values
    for number in range(3):
        facts = {"family": "metric", "law": "test", "measure": "mass", "items": f"some {number}"}
        mass = np.where(np.arange(2)[:, None, None] < 1 + (number > 0), values, np.nan)
        results[f"test_mass_{number}"] = (dims, mass, facts)
    figure = curves.metrics(results, statistics.summarise(results))
    axes = figure.subfigs[0].axes
    labels = [" ".join(a.get_ylabel().split()) for a in axes]
    assert labels == ["accuracy", *(f"mass, some {number} items" for number in range(3))]
    assert [a.get_title("left") for a in axes] == ["", "1 of 2 settings have it", "", ""]
    assert figure.get_figwidth() < 11 and all(a.get_xscale() == "log" for a in axes)
    middle, band = axes[2].lines[0], axes[2].collections[0].get_paths()[0]
    np.testing.assert_allclose(middle.get_ydata(), np.median(values[0], axis=0))
    low, high = np.quantile(values[0], (0.25, 0.75), axis=0)
    heights = band.vertices[:, 1]
    assert heights.min() == pytest.approx(low.min()) and heights.max() == pytest.approx(high.max())


LOOKALIKES = (  # names that an instrument of somebody's own may choose
    *("attention_loss", "attention_loss_of_nothing", "test_loss_of_nothing", "test_attention"),
    *("test_loss_by_prefix_of_nothing", "test_distance_to_nothing", "weight_norm_of_nothing"),
    *("gradient_cosine_in_nothing", "gradient_noise_in_nothing"),
)


def test_no_variable_is_taken_for_one_of_a_family_by_its_name(make_results):
    results = make_results({"data.items": [1.0]}, np.full(1, 9_000.0), seeds=3)
    rows = statistics.summarise(results)
    (axes,) = curves.metrics(results, rows).subfigs[0].axes
    for name in LOOKALIKES:
        results[name] = results["test_loss"].drop_attrs()
    (same,) = curves.metrics(results, rows).subfigs[0].axes
    assert same.get_ylabel() == axes.get_ylabel() == "accuracy"
    assert robustness.other_laws(results) == []
    for draw in (
        *(curves.weight_norms, predictors.predictors, gradients.layers),
        *(robustness.robustness, robustness.baselines),
    ):
        assert draw(results, rows) is None


@pytest.mark.parametrize("laws", [("test",), ("test", "pool")])
def test_the_legend_of_predictors_names_the_laws_that_are_drawn(make_results, laws):
    results = make_results({"data.items": [1.0]}, np.full(1, 9_000.0), seeds=3)
    dims, values = results["test_loss"].dims, results["test_loss"].values
    for law in laws:
        facts = {"family": "distance", "law": law, "predictor": "ridge"}
        results[f"{law}_distance"] = (dims, values, facts)
    figure = predictors.predictors(results, statistics.summarise(results))
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["to ridge", *(predictors.LAWS[law] for law in laws)]


@pytest.mark.parametrize("length", [3, 16, 40])
@pytest.mark.parametrize("number", [2, 6, 8])
def test_a_legend_stays_on_its_figure(length, number):
    """Drawn, not estimated: names of any length, in even lines."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    labels = ["m" * (length // 4) + "i" * (length - length // 4) for _ in range(number)]
    handles = [Line2D([], [], label=label) for label in labels]
    legend = figure.legend(
        handles=handles, loc="upper center", ncols=facets.columns(figure, labels), handlelength=3.4
    )
    box = legend.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width


def test_losses_are_laid_beside_the_curriculum_s_seed_by_seed(make_results):
    """Nothing is drawn without a curriculum; with one, the median of the ratios of pairs."""
    variants = {"variant": ["curriculum", "all", "few"]}
    results = make_results(variants, [9_000.0, 20_000.0, np.nan], seeds=9, noise=0.5)
    results["test_loss"][:2] = np.abs(results["test_loss"][:2]) + 0.01
    assert curves.loss_ratios(results, statistics.summarise(results)) is None
    results.attrs["variants"] = '{"curriculum": {"data.curriculum_start": 20}, "all": {}}'
    rows = statistics.summarise(results)
    (axes,) = curves.loss_ratios(results, rows).subfigs[0].axes
    losses, steps = results["test_loss"].values.astype(float), results["eval_step"].values
    drawn = [line for line in axes.lines if len(line.get_xdata()) == steps.size - 1]
    wanted = np.median(losses[1] / losses[0], axis=0)[1:]
    np.testing.assert_allclose(drawn[0].get_ydata(), wanted, rtol=1e-5)
    assert axes.get_yscale() == "log" and "curriculum" in axes.get_ylabel()
    assert np.isnan(drawn[1].get_ydata()).all()  # diverged
    alone = [row for row in rows if row.is_baseline]
    assert curves.loss_ratios(results, alone) is None
