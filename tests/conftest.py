"""Strictness for every test, set up before jax's first use.

Warnings are errors (pyproject); rank promotion raises; a random key used twice raises; there are 4
devices; and the array packages have the annotations of their functions checked at every call. Only
functions: a NamedTuple is not checked when it is made, since under vmap its leaves gain axes.
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=4"
    # most tests run a program once: compiled carelessly they take a fifth of the time
    " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    " --xla_cpu_use_fusion_emitters=false"
)

import functools

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_traceback_in_locations_limit", 0)  # in programs, where no test reads them

# report and experiment speak of files, text and configs: mypy's field, not jaxtyping's
CHECKED = (
    "types",
    "trees",
    "train",
    "gradient",
    "feedback",
    "groups",
    "evaluation",
    "tasks",
    "data",
    "optim",
    "models",
)
install_import_hook(
    [f"plateaus.{name}" for name in CHECKED],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",  # an int is a float
)


@pytest.fixture(scope="session")
def exact_jit():
    """`jax.jit` with the fusions that users have, for tests of programs that must agree to the bit.

    Compiled as above, last bits depend on what else is fused.
    """
    return functools.partial(jax.jit, compiler_options={"xla_cpu_use_fusion_emitters": True})
