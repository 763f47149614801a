"""The figures of other test laws and of plain learners, read back from their axes."""

import numpy as np

from plateaus.report import robustness, statistics


def with_laws(results):
    runs, every = results["test_loss"].dims[:-1], results["test_loss"].shape
    results = results.assign_coords(prefix=np.arange(4))
    level = np.float32([8.0, 4.0, 2.0, 1.0])
    for law in ("test", "far"):
        results[f"{law}_loss_by_prefix"] = (
            (*runs, "eval_step", "prefix"),
            np.broadcast_to(level * (3 if law == "far" else 1), (*every, 4)),
        )
        facts = {"family": "predictor", "law": law, "measure": "loss_by_prefix"}
        for predictor, factor in (("zero", 2.0), ("least_squares", 0.5)):
            results[f"{law}_loss_by_prefix_of_{predictor}"] = (
                (*runs, "prefix"),
                np.broadcast_to(factor * level, (*every[:-1], 4)),
                facts | {"predictor": predictor},
            )
    for law in ("test", "far", "asked"):
        facts = {"family": "metric", "law": law, "measure": "loss"}
        if law != "test":
            losses = np.full(every, 5.0, np.float32)
            results[f"{law}_loss"] = ((*runs, "eval_step"), losses, facts)
        facts |= {"family": "predictor", "predictor": "zero"}
        results[f"{law}_loss_of_zero"] = (runs, np.full(every[:-1], 7.0, np.float32), facts)
    return results


def test_a_panel_a_law_by_prefix_or_over_training(make_results):
    results = make_results({"data.items": [1.0, 2.0]}, np.full(2, 9_000.0), seeds=3)
    rows = statistics.summarise(results)
    assert robustness.robustness(results, rows) is robustness.baselines(results, rows) is None
    results = with_laws(results)
    assert robustness.other_laws(results) == ["far", "asked"]
    figure = robustness.robustness(results, rows)
    by_prefix, over_training = figure.subfigs[0].subfigs
    (test, far), (asked,) = by_prefix.axes, over_training.axes
    assert [a.get_title("left") for a in (test, far, asked)] == ["test law", "far", "asked"]
    assert asked.get_xlabel() == "optimiser steps" and asked.get_xscale() == "log"
    for axes, factor in ((test, 1), (far, 3)):
        lines = strong(axes)
        for line in lines[:2]:  # the model, at both settings
            np.testing.assert_allclose(line.get_ydata(), factor * np.array([8, 4, 2, 1]))
        np.testing.assert_allclose(lines[2].get_ydata(), [16, 8, 4, 2])  # zero
        np.testing.assert_allclose(lines[3].get_ydata(), [4, 2, 1, 0.5])  # least squares
    assert len(strong(asked)) == 3 and set(strong(asked)[2].get_ydata()) == {7.0}


def test_an_interpolating_baseline_does_not_push_the_model_out_of_its_panel(make_results):
    results = with_laws(make_results({"data.items": [1.0]}, np.full(1, 9_000.0), seeds=3))
    name = "far_loss_by_prefix_of_least_squares"
    spike = np.where(np.arange(4) == 2, 1e5, results[name].values)  # as where n = d, of noisy y
    results[name] = (results[name].dims, spike)
    figure = robustness.robustness(results, statistics.summarise(results))
    axes = figure.subfigs[0].subfigs[0].axes[1]
    low, high = axes.get_ylim()
    model, zero = (line.get_ydata() for line in strong(axes)[:2])
    assert low < model.min() and zero.max() < high < 100
    (mark,) = [line for line in axes.lines if line.get_marker() == "^"]
    assert list(mark.get_xdata()) == [2]  # there it leaves the panel


def test_an_exact_predictor_is_marked_where_it_leaves_the_panel(make_results):
    results = with_laws(make_results({"data.items": [1.0]}, np.full(1, 9_000.0), seeds=9))
    name = "far_loss_by_prefix_of_least_squares"
    exact = np.where(np.arange(4) >= 2, 1e-13, results[name].values)
    results[name] = (results[name].dims, exact)
    axes = robustness.robustness(results, statistics.summarise(results)).subfigs[0].subfigs[0].axes
    assert [line.get_marker() for line in axes[0].lines].count("v") == 0
    (mark,) = [line for line in axes[1].lines if line.get_marker() == "v"]
    assert list(mark.get_xdata()) == [2]
    assert axes[1].get_ylim()[0] > 0.1  # the model, which comes to 3, is not squeezed


def strong(axes):
    """The lines that are no single seeds."""
    return [line for line in axes.lines if line.get_linewidth() > 1]


def test_all_predictors_beside_the_model(make_results):
    results = with_laws(make_results({"data.items": [1.0]}, np.full(1, 9_000.0), seeds=3))
    figure = robustness.baselines(results, statistics.summarise(results))
    (axes,) = figure.axes
    found = [list(line.get_ydata()) for line in axes.lines if line.get_linewidth() >= 1]
    assert found == [[8, 4, 2, 1], [16, 8, 4, 2], [4, 2, 1, 0.5]]
