"""The main claims, decided by the real command: minutes, so only under `pytest -m slow`."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest


def table(tmp_path, config, *words):
    """The rows of summary.csv after a run of the real command."""
    command = [sys.executable, "experiments/run.py", f"--config=configs/{config}"]
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}  # those of the tests
    done = subprocess.run(
        [*command, *words, "--workdir", str(tmp_path / "run")],
        cwd=Path(__file__).parent.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "run" / "summary.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_zipf_sampling_shortens_the_plateau_of_sparse_parity(tmp_path):
    """At exponent 0.75 the interval of the ratio of mean plateaus lies below 1 (16 seeds)."""
    words = ("--sweep", "data.zipf_exponent=0,0.75", "--config.steps=20000")
    baseline, zipf = table(tmp_path, "sparse_parity.py", *words)
    assert int(baseline["escaped"]) >= 15 and int(zipf["escaped"]) == 16
    assert float(zipf["plateau_ratio_high"]) < 1.0


@pytest.mark.slow
def test_few_tasks_shorten_the_plateau_of_linear_regression(tmp_path):
    """At 32 tasks, and a rate at which all tasks hardly start, so are all 5 ratios."""
    few, _ = table(tmp_path, "linear_regression.py", "--sweep", "data.items=32,inf")
    assert int(few["escaped"]) == 5
    assert max(map(float, few["pair_ratios"].split())) < 1.0


@pytest.mark.slow
def test_pcgrad_shortens_the_plateau_of_sparse_parity_at_a_low_rate(tmp_path):
    """At a rate of 0.03, where a step of the plain mean is short, likewise (16 seeds)."""
    words = ("--sweep", "variant=mean,pcgrad", "--config.optim.learning_rate=0.03")
    baseline, pcgrad = table(tmp_path, "sparse_parity.py:pcgrad", *words, "--config.steps=20000")
    assert int(baseline["escaped"]) >= 12 and int(pcgrad["escaped"]) == 16
    assert float(pcgrad["plateau_ratio_high"]) < 1.0
