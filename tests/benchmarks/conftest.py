"""What the tests of benchmarks share: where these are, and processes that run them quickly."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = [flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag]


@pytest.fixture(scope="module")
def module():
    """Import a module of the benchmarks by its name there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        yield lambda name: importlib.import_module(f"experiments.benchmarks.{name}")


@pytest.fixture(scope="session")
def quick():
    """Run a benchmark's quick form where some packages are missing: what ran, its JSON's path."""

    words = ("--quick", "--json", "out.json")

    def run(name, place, missing):
        none = "".join(f"sys.modules[{package!r}] = None\n" for package in missing)
        (place / "sitecustomize.py").write_text(f"import sys\n{none}")
        path = os.pathsep.join([str(place), str(ROOT), os.environ.get("PYTHONPATH", "")])
        flags = " ".join(["--xla_force_host_platform_device_count=1", *FLAGS])
        done = subprocess.run(
            [sys.executable, "-m", f"experiments.benchmarks.{name}", *words],
            cwd=place,
            env={**os.environ, "PYTHONPATH": path, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done, place / "out.json"

    return run
