"""Strictness for every test, set up before jax's first use.

Warnings are errors (pyproject), rank promotion raises, a key used twice raises, NamedTuples and
functions of `plateaus` have their annotations checked at every call, and there are 4 devices.
"""

import doctest
import inspect
import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import jax
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)

install_import_hook("plateaus", "beartype.beartype")
