"""Where runs are computed: devices, their names, how many runs go together on one."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path
from typing import Any

import jax

from plateaus import files
from plateaus.config.schema import ConfigError
from plateaus.information import text_or_reason

# A program of many small matrices gains nothing from splitting each matrix over threads: on two
# cores, one single-threaded program a core ran 2.6 times as fast as one program over both.
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
_DEVICES = "--xla_force_host_platform_device_count"

_MAKE = (  # as Linux calls it, here and on ARM
    *("vendor_id", "cpu family", "model", "stepping"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision"),
)
_ARITHMETIC = (  # beginnings of the names of instruction sets
    *("3dnow", "amx", "asimd", "avx", "bf16", "bmi", "f16c", "fma", "fp", "i8mm", "mmx", "neon"),
    *("sme", "sse", "ssse", "sve", "vfp"),
)


def cores() -> int:
    """Return the number of processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def alike() -> list[Any]:
    """Return the devices of the first one's kind: bits differ between kinds."""
    first, *others = jax.devices()
    return [first, *(device for device in others if kind(device) == kind(first))]


def threads(device: Any) -> int:
    """Return the number of threads that XLA shares a CPU's work among, on a `jax.Device`.

    It is one for each processor, or the number in PJRT_NPROC or NPROC, and at least one a device.
    XLA cuts large sums and products by it, whatever `_ONE_THREAD` says, so last bits depend on it.
    """
    texts = [os.environ.get(name, "") for name in ("PJRT_NPROC", "NPROC")]
    numbers = [int(text) for text in texts if text.isdecimal() and int(text) > 0]
    return max(next(iter(numbers), cores()), device.client.device_count())


def started() -> bool:
    """Return whether JAX has made its devices in this process, so that flags come too late.

    JAX has no public function for this; a version without the private one counts as not started.
    """
    try:
        from jax._src import xla_bridge

        return bool(xla_bridge.backends_are_initialized())
    except (ImportError, AttributeError):
        return False


def configure() -> None:
    """Give JAX one single-threaded device a CPU core, and a compilation cache in the user's home.

    The user's settings stay. After JAX's first computation in this process its devices are fixed,
    and no flag is set: flags that have no effect must not be recorded.

    Raises ConfigError where JAX finds no device, or no file that XLA_FLAGS names.
    """
    if not started():
        flags = spelt_out(os.environ.get("XLA_FLAGS", ""))
        if _DEVICES not in flags:
            flags += f" {_DEVICES}={cores()}"
        if "xla_cpu_multi_thread_eigen" not in flags:
            flags += f" {_ONE_THREAD}"
        os.environ["XLA_FLAGS"] = flags.strip()
    try:
        jax.devices()
    except (RuntimeError, ValueError, AssertionError) as error:  # the last says nothing
        values = jax.config.values
        name = "jax_platforms" if values["jax_platforms"] else "jax_platform_name"
        reason = " ".join(str(error).split()) or "none of these is here"
        asked = f"{name.upper()} = {values[name]!r}"
        raise ConfigError(f"JAX finds no device ({asked}): {reason}") from None
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined] # made at run time
        jax.config.update("jax_compilation_cache_dir", str(files.cache() / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


def spelt_out(text: str) -> str:
    """Return the flags in XLA_FLAGS: `text` itself, or the content of the file that it names.

    Raises ConfigError where there is no such file.
    """
    if not text.strip() or text.strip().startswith("-"):
        return text
    try:
        return Path(text.strip()).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise ConfigError(
            f"XLA_FLAGS = {text.strip()}: neither flags nor a file: {reason}"
        ) from None


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
    """Return the model of the CPU, as far as the system reports it."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def instructions() -> str:
    """Return the make of the CPU in numbers, and a digest of its arithmetic instruction sets.

    The compiler depends on these, and a name does not determine them ("AMD EPYC" is many, ARM has
    none). The kernel's other entries, of safety and of power, change with its version.
    """
    entries = _cpuinfo()
    names = entries.get("flags", entries.get("Features", "")).replace("/", " ").split()
    arithmetic = sorted({name for name in names if name.startswith(_ARITHMETIC)})
    digest = hashlib.sha256(" ".join(arithmetic).encode()).hexdigest()[:10]
    numbers = [f"{name} {entries[name]}" for name in _MAKE if name in entries]
    return ", ".join([platform.machine(), *numbers, f"instructions {digest}"])


def _cpuinfo() -> dict[str, str]:
    """Return the entries of /proc/cpuinfo, each with all of its values; {} outside Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    entries: dict[str, dict[str, None]] = {}
    for name, colon, value in (line.partition(":") for line in lines):
        if colon:
            entries.setdefault(name.strip(), {})[value.strip()] = None
    return {name: "/".join(sorted(values)) for name, values in entries.items()}


def kind(device: Any) -> str:
    """Return the model of a `jax.Device`: of the processor or of the accelerator."""
    return text_or_reason(processor if device.platform == "cpu" else lambda: device.device_kind)


def platform_version(device: Any) -> str:
    """Return the version of a `jax.Device`'s platform (of CUDA, say), as far as it is reported."""
    return text_or_reason(lambda: " ".join(str(device.client.platform_version).split()))
