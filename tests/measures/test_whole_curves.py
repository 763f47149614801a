"""What runs.csv says of whole curves, beside plain loops; and that thinned ones are left alone."""

import math

import numpy as np
import pytest

from plateaus.measures import whole_curves
from plateaus.measures.figures import kept_files
from plateaus.report import kept_files as kept
from plateaus.report.kept_curves import thinned
from plateaus.report.statistics import summarise

COSINE = {"averaged": "over evaluations"}


@pytest.fixture
def results(make_results):
    """Three runs: one stopped, one that never escapes; 101 evaluations."""
    made = make_results({"data.items": [1.0, 2.0]}, [9_000, np.inf], seeds=3)
    rng = np.random.default_rng(1)
    made["best_loss"][:], made["uninformed_loss"][:] = 0.25, 1.5
    made["gradient_cosine"] = (made["test_loss"].dims, rng.random(made["test_loss"].shape), COSINE)
    made["last_step"][0, 1] = 12_400  # stopped
    made["status"][0, 1] = 3
    for name in ("test_loss", "test_accuracy", "gradient_cosine"):
        made[name][0, 1, 25:] = np.nan
    return made


def test_means_are_those_of_the_evaluations_up_to_a_tenth_and_before_the_escape(results):
    found = whole_curves.means(results)
    assert len(found) == 4
    steps, curves = results["eval_step"].values, results["gradient_cosine"].values
    for place in np.ndindex(2, 3):
        escape, last = results["escape_step"].values[place], results["last_step"].values[place]
        for tenth in (1, 5, 10):
            upto = [x for x, s in zip(curves[place], steps, strict=True) if s <= 5_000 * tenth]
            wanted = math.nan if 5_000 * tenth > last else sum(upto) / len(upto)
            mean = found[f"gradient_cosine_mean_at_{tenth / 10:.1f}"].values[place]
            assert mean == pytest.approx(wanted, nan_ok=True)
        pairs = zip(curves[place], steps, strict=True)
        before = [x for x, s in pairs if x == x and not s >= escape]
        on_plateau = found["gradient_cosine_on_plateau"].values[place]
        assert on_plateau == pytest.approx(sum(before) / len(before))


def test_a_share_of_the_plateau_is_flat(results):
    (share,) = whole_curves.flat(results).values()
    steps, losses = results["eval_step"].values, results["test_loss"].values.astype(float)
    for place in np.ndindex(2, 3):
        escape = results["escape_step"].values[place]
        pairs = zip((losses[place] - 0.25) / 1.25, steps, strict=True)
        before = [level for level, s in pairs if level == level and not s >= escape]
        wanted = sum(0.9 <= level <= 1.1 for level in before) / len(before)
        assert share.values[place] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("levels", "share"), [([1.0] * 8, 1.0), ([2.0] * 6 + [1.0] * 2, 0.25), ([0.5] * 8, 0.0)]
)
def test_what_comes_down_to_its_plateau_is_less_flat(make_results, levels, share):
    one = make_results({"data.items": [1.0]}, [9_000], seeds=1, horizon=4_000, every=500)
    one["test_loss"][0, 0] = [*levels, 0.0]
    one["escape_step"][0, 0] = 4_000
    assert whole_curves.flat(one)["flat"].item() == pytest.approx(share)


def test_metrics_of_all_items_are_given_at_every_tenth(results):
    trained = results["test_accuracy"].attrs | {"items": "trained"}
    results["test_accuracy_trained"] = results["test_accuracy"].assign_attrs(trained)
    found = whole_curves.metrics_by_tenth(results)
    assert [*found] == [f"test_accuracy_at_{k / 10:.1f}" for k in range(1, 11)]
    accuracy = results["test_accuracy"].values
    for k, values in enumerate(found.values(), 1):
        wanted = accuracy[..., 10 * k].copy()
        wanted[0, 1] = accuracy[0, 1, 10 * k] if k < 3 else math.nan
        np.testing.assert_array_equal(values, wanted)


def test_they_are_columns_of_runs_that_come_back_and_stay_as_they_are(results, tmp_path):
    first = kept_files(results, summarise(results))
    for file, content in first.items():
        (tmp_path / file).write_bytes(content)
    back = kept.from_csv(tmp_path)
    assert back.sizes["eval_step"] < results.sizes["eval_step"]
    for compute in (whole_curves.means, whole_curves.flat, whole_curves.metrics_by_tenth):
        assert compute(results)
        for name, values in compute(results).items():
            np.testing.assert_allclose(back[name], values, rtol=1e-6)
        assert compute(thinned(results)) == {}  # of few evaluations nothing is said
    again = kept_files(back, summarise(back))
    assert again["runs.csv"] == first["runs.csv"]
