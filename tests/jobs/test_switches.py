"""Whatever switch of jax's a user has on works, or is refused in a line: by the whole command."""

import contextlib
import os
import subprocess
import sys
import warnings

import jax
import pytest

from plateaus.config import presets
from plateaus.jobs import cli

pytestmark = pytest.mark.versions

CONFIG = "--config=configs/sparse_parity.py"
TINY = {
    "steps": 40,
    "batch": 4,
    "eval_every": 10,
    "log_every": 10,
    "eval_points": 16,
    "task.dimension": 4,
    "task.relevant_bits": 1,
    "task.dataset_size": 100,
    "model.width": 4,
}


def command(place, seeds=1):
    """The exit code of a whole command."""
    words = [CONFIG, "--sweep", "data.zipf_exponent=0,1"]
    words += [f"--config.{name}={value}" for name, value in TINY.items()]
    return cli.main([*words, f"--seeds={seeds}", f"--workdir={place}"])


@contextlib.contextmanager
def switched(name, value):
    """A switch of jax's at another value, in every thread."""
    before = jax.config.values[name]
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jax_transfer_guard", "disallow"),
        ("jax_transfer_guard_host_to_device", "disallow"),
        ("jax_numpy_dtype_promotion", "strict"),
    ],
)
def test_a_check_for_a_user_s_code_stops_nothing(name, value, tmp_path):
    """By the whole command, in workers and before; and runs are added without it."""
    with switched(name, value):
        assert command(tmp_path / "run") == 0
    assert command(tmp_path / "run", seeds=2) == 0


HAD_ON = [  # that people have on, besides the guards and the checks tried one by one in this file
    ("jax_check_tracer_leaks", True),
    ("jax_compilation_cache_dir", "/proc/none"),
    ("jax_debug_infs", True),
    ("jax_debug_key_reuse", True),
    ("jax_debug_nans", True),
    ("jax_default_matmul_precision", "highest"),
    ("jax_default_prng_impl", "rbg"),
    ("jax_disable_most_optimizations", True),
    ("jax_enable_checks", True),
    ("jax_enable_custom_prng", True),
    ("jax_explain_cache_misses", True),
    ("jax_legacy_prng_key", "error"),
    ("jax_log_compiles", True),
    ("jax_numpy_rank_promotion", "allow"),
    ("jax_numpy_rank_promotion", "warn"),
    ("jax_raise_persistent_cache_errors", True),
    ("jax_traceback_filtering", "off"),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "value"), HAD_ON)
def test_a_switch_that_a_user_has_on_works(name, value, tmp_path):
    jax.clear_caches()
    with switched(name, value), warnings.catch_warnings(action="ignore"):
        assert command(tmp_path / "run") == 0
    assert (tmp_path / "run" / "summary.csv").exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("JAX_ENABLE_X64", "maybe"), ("JAX_DEFAULT_MATMUL_PRECISION", "lots")],
)
def test_a_value_that_jax_does_not_know_is_one_line(variable, value, tmp_path):
    script = presets.REPOSITORY / "experiments" / "run.py"
    done = subprocess.run(
        [sys.executable, str(script), CONFIG],
        cwd=tmp_path,
        env=os.environ | {variable: value},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 2 and not list(tmp_path.iterdir())
    assert done.stderr.startswith("error: jax cannot be imported: ") and value in done.stderr
    assert done.stderr.count("\n") == 1
