"""Where runs are computed: devices, their names, how many runs go together on one."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import jax

from plateaus import files
from plateaus.information import told

# A program of many small matrices gains nothing from splitting each matrix over threads: on two
# cores, one single-threaded program a core ran 2.6 times as fast as one program over both.
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
_DEVICES = "--xla_force_host_platform_device_count"


def cores() -> int:
    """Return the number of processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def started() -> bool:
    """Return whether JAX has made its devices in this process, so that flags come too late.

    JAX has no public way to ask; a version that cannot be asked counts as not started.
    """
    try:
        from jax._src import xla_bridge

        return bool(xla_bridge.backends_are_initialized())
    except (ImportError, AttributeError):
        return False


def configure() -> None:
    """Give JAX one single-threaded device a CPU core, and a compilation cache in the user's home.

    What the user has set stays. After JAX's first computation in this process its devices are what
    they are, and no flag is set: flags that do not act must not be on record.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if not started():
        if _DEVICES not in flags:
            flags += f" {_DEVICES}={cores()}"
        if "xla_cpu_multi_thread_eigen" not in flags:
            flags += f" {_ONE_THREAD}"
        os.environ["XLA_FLAGS"] = flags.strip()
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined] # made at run time
        jax.config.update("jax_compilation_cache_dir", str(files.cache() / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def width(parameters: int, platform: str) -> int:
    """Return how many runs of a model with so many parameters one program holds.

    A function of the program and the kind of device alone, never of timings or free memory: the
    width changes the last bits of the results. On a CPU 16 runs of a small network fill a core's
    vector units and leave chunks for every core; an accelerator wants to be filled.

    >>> width(2_521, "cpu"), width(9_534_977, "cpu"), width(9_534_977, "gpu")
    (16, 1, 8)
    """
    if platform == "cpu":
        return 16 if parameters <= 20_000 else 4 if parameters <= 200_000 else 1
    return min(128, 2 ** max(0, (100_000_000 // max(parameters, 1)).bit_length() - 1))


def processor() -> str:
    """Return the model of the CPU, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration, IndexError):
        return platform.processor() or platform.machine()


def kind(device: Any) -> str:
    """Return what a `jax.Device` is: the model of the processor or of the accelerator."""
    return told(processor if device.platform == "cpu" else lambda: device.device_kind)


def platform_version(device: Any) -> str:
    """Return the version of a `jax.Device`'s platform (of CUDA, say), as far as it tells."""
    return told(lambda: " ".join(str(device.client.platform_version).split()))
