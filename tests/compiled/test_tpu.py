"""The main programs compile for a TPU v5e that is not there, and fit into its memory."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("tpu.py")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("libtpu") is None, reason="no libtpu: pip install 'jax[tpu]'"),
]


@pytest.mark.parametrize(
    ("config", "options"),
    [
        ("sparse_parity", ["--scale", "paper"]),
        ("linear_regression", []),
        ("linear_regression", ["--scale", "paper", "--runs-per-batch", "1"]),
        ("facts", ["--scale", "paper"]),
        ("multitask", ["--scale", "paper", "--runs-per-batch", "4"]),  # by default 20.6 GiB
        ("mixing", []),
    ],
)
def test_a_program_compiles_for_a_tpu(config, options):
    words = [f"--config=configs/{config}.py", *options]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["phase", "start", "laws"]
