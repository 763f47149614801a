"""The record of exactness: all that bit-identical results rest on, besides the config and the code.

Runs that are finished, interrupted or added later are compared by it. The format of run folders
(`plateaus.jobs.identities.FORMAT`) stands for the code.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

from plateaus.information import text_or_reason
from plateaus.jobs import devices, switches

Record = Mapping[str, Any]

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")  # whose code becomes part of a program
VARIABLES = ("NVIDIA_TF32_OVERRIDE", "LIBTPU_INIT_ARGS")  # of the environment; they change products
HARMLESS = (  # beginnings of XLA flags that no result depends on
    "--xla_dump_",
    "--xla_enable_dumping",
    "--xla_force_host_platform_device_count",  # but for the threads, which are recorded
    "--xla_hlo_graph_",
    "--xla_hlo_profile",
    "--xla_log",
    "--xla_vlog",
)
RESUMED = "resumed"  # the entry of runs that went on under another record: their differences


def record(device: Any, width: int) -> dict[str, Any]:
    """Return the record of chunks of `width` runs on a `jax.Device`."""
    return {
        **{name: metadata.version(name) for name in PACKAGES},
        "platform": device.platform,
        "platform_version": devices.platform_version(device),
        "device": devices.kind(device),
        **(_of_cpu(device) if device.platform == "cpu" else {}),
        "xla_flags": effective_flags(os.environ.get("XLA_FLAGS", "")),
        **{name: os.environ.get(name) for name in VARIABLES},
        **switches.recorded(),
        "width": width,
    }


def _of_cpu(device: Any) -> dict[str, Any]:
    """Return the properties of a CPU that its programs are compiled and cut for."""
    instructions = text_or_reason(devices.instructions)
    return {"instructions": instructions, "threads": devices.threads(device)}


def effective_flags(text: str) -> list[str]:
    """Return the XLA flags that can change a result, each once, in order.

    `text` is XLA_FLAGS: flags, or the path of a file with flags. The last occurrence of a flag
    counts; a flag without a value is true.

    >>> effective_flags("--xla_b=2 --xla_a --xla_dump_to=/tmp --xla_b=3")
    ['--xla_a=true', '--xla_b=3']
    """
    pairs = [word.partition("=") for word in devices.spelt_out(text).split()]
    flags = {name: value if equals else "true" for name, equals, value in pairs}
    return sorted(f"{n}={v}" for n, v in flags.items() if not n.startswith(HARMLESS))


def differences(recorded: Record, current: Record) -> list[str]:
    """Return how two records differ, a phrase each; [] if runs of both have the same bits.

    >>> differences({"jax": "1", "width": 4}, {"jax": "2", "width": 4})
    ['jax was 1, is 2']
    """
    absent = [name for name in current if name not in recorded]
    changed = [
        f"{name} was {_shown(recorded[name])}, is {_shown(current[name])}"
        for name in current
        if name in recorded and recorded[name] != current[name]
    ]
    if RESUMED in recorded and RESUMED not in current:
        changed.append(f"they went on under other circumstances once ({recorded[RESUMED]})")
    gone = [name for name in recorded if name not in current and name != RESUMED]
    return [
        *changed,
        *([f"{', '.join(absent)} {_were(absent)} not recorded"] if absent else []),
        *([f"{', '.join(gone)} {_were(gone)} recorded, and {_are(gone)} no more"] if gone else []),
    ]


def resumed(recorded: Record, current: Record) -> dict[str, Any]:
    """Return the record of runs that begin under one record and go on under another."""
    changed = differences(recorded, current)
    return {**current, RESUMED: "; ".join(changed)} if changed else dict(current)


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "not set"
    return " ".join(value) if isinstance(value, list) else str(value)


def _were(names: Iterable[str]) -> str:
    return "was" if len(list(names)) == 1 else "were"


def _are(names: Iterable[str]) -> str:
    return "is" if len(list(names)) == 1 else "are"
