"""The main claim, decided by the real command: minutes, so only under `pytest -m slow`."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_zipf_sampling_shortens_the_plateau_of_sparse_parity(tmp_path):
    """At exponent 0.75 the interval of the ratio of mean plateaus lies below 1 (16 seeds)."""
    command = [sys.executable, "experiments/run.py", "--config=configs/sparse_parity.py"]
    command += ["--sweep", "data.zipf_exponent=0,0.75", "--workdir", str(tmp_path / "run")]
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}  # those of the tests
    done = subprocess.run(
        [*command, "--config.steps=20000"],
        cwd=Path(__file__).parent.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "run" / "summary.csv").open() as file:
        baseline, zipf = csv.DictReader(file)
    assert int(baseline["escaped"]) >= 15 and int(zipf["escaped"]) == 16
    assert float(zipf["plateau_ratio_high"]) < 1.0
