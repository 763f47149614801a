"""Gradient geometry by the command line: what a run of it leaves, and that it resumes."""

import numpy as np
import pytest

from plateaus.jobs import cli
from plateaus.report import store

WORDS = [
    "--config=configs/sparse_parity.py:pcgrad",
    "--smoke",
    "--config.steps=800",
    "--config.gradient_batches=3",
    "--config.optim.learning_rate=0.03",
    "--config.task.relevant_bits=2",
]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    place = tmp_path_factory.mktemp("geometry") / "runs"
    words = [*WORDS, "--sweep", "variant=mean,pcgrad", "--seeds", "2", "--workdir", str(place)]
    assert cli.main(words) == 0
    return place, store.load(place / "results.nc")


def test_single_gradients_are_recorded_where_there_is_an_aggregator(results):
    _, dataset = results
    for name in ("conflict_fraction", "effective_rank", "signal", "noise", "noise_scale"):
        assert dataset[f"train_{name}"].dims == ("variant", "seed", "step")
        assert np.isnan(dataset[f"train_{name}"].sel(variant="mean")).all()
    found = dataset.sel(variant="pcgrad")
    assert ((found.train_conflict_fraction > 0) & (found.train_conflict_fraction < 1)).all()
    assert ((found.train_effective_rank >= 1) & (found.train_effective_rank <= 20)).all()


def test_batches_are_compared_at_every_evaluation(results):
    _, dataset = results
    assert dataset.gradient_cosine.dims == ("variant", "seed", "eval_step")
    layers = [dataset[f"gradient_cosine_in_{name}"] for name in ("hidden_0", "hidden_1", "readout")]
    np.testing.assert_allclose(sum(layers), dataset.gradient_cosine, rtol=1e-3, atol=1e-5)


def test_its_figures_are_drawn(results):
    place, _ = results
    drawn = {path.stem for path in (place / "figures").glob("*.png")}
    assert {"gradient_cosine", "gradient_layers", "example_gradients"} <= drawn


@pytest.mark.thorough  # as tests/jobs/test_run.py holds of every run
def test_the_same_command_changes_nothing_and_more_seeds_add(results, capsys):
    place, before = results
    words = [*WORDS, "--sweep", "variant=mean,pcgrad", "--workdir", str(place), "--seeds"]
    assert cli.main([*words, "2"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert cli.main([*words, "3"]) == 0
    after = store.load(place / "results.nc")
    for name in ("test_loss", "train_signal", "gradient_cosine"):
        np.testing.assert_array_equal(after[name].sel(seed=[0, 1]), before[name])
        assert np.isfinite(after[name].sel(seed=2, variant="pcgrad")).all()
