"""Memory: the bytes available, the bytes of a program, and the number of runs that would fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import psutil


def least_bytes(*shapes: Any) -> int:
    """Return the bytes of arrays, or of shapes that stand for arrays, all held at once.

    >>> import numpy as np
    >>> least_bytes({"weights": np.zeros((10, 4), np.float32)}, np.int32(0))
    164
    """
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))


def program_bytes(compiled: Any) -> int:
    """Return the bytes that a compiled program holds at once: arguments, results, temporaries.

    Arguments that are donated, and written over, count once.

    Raises ValueError where the platform does not report it.

    >>> import numpy as np
    >>> add = jax.jit(lambda x: x + 1).lower(np.zeros(1000, np.float32)).compile()
    >>> program_bytes(add)
    8000
    """
    sizes = compiled.memory_analysis()
    if sizes is None:
        raise ValueError("this platform does not tell what a program needs")
    held = sizes.argument_size_in_bytes + sizes.output_size_in_bytes + sizes.temp_size_in_bytes
    return held - sizes.alias_size_in_bytes


def available_bytes(device: Any) -> int:
    """Return the bytes that new arrays on a `jax.Device` may take now.

    On a CPU this is the minimum of the machine's available memory and the rest of its control
    group's limit; on an accelerator the rest of its allocator's limit, or the host's figure where
    the allocator reports none.
    """
    if device.platform != "cpu":
        statistics = device.memory_stats()
        if statistics and "bytes_limit" in statistics:
            return max(0, statistics["bytes_limit"] - statistics["bytes_in_use"])
    return _host_bytes(Path("/"))


def _host_bytes(root: Path) -> int:
    # psutil knows no control groups: in a container it speaks for the whole machine
    return max(0, min([psutil.virtual_memory().available, *_group_bytes(root)]))


def _group_bytes(root: Path) -> Iterator[int]:
    """Yield the bytes below the limit of each control group of this process, versions 1 and 2."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        version2 = controllers == ""
        if not version2 and "memory" not in controllers.split(","):
            continue
        mount = root / ("sys/fs/cgroup" if version2 else "sys/fs/cgroup/memory")
        files = ("memory.max", "memory.current", "inactive_file")
        if not version2:
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        inner = mount / name.lstrip("/")
        # In a container the mount is often the group itself, so that `inner` is not there.
        for folder in [inner, *inner.parents]:
            if folder.is_relative_to(mount):
                yield from _group_left(folder, *files)


def _group_left(folder: Path, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    try:
        allowed, used = (int((folder / name).read_text("utf-8")) for name in (limit, usage))
    except (OSError, ValueError):  # no such file, or "max"
        return
    cache = 0  # pages of files that the kernel gives back on demand
    try:
        for line in (folder / "memory.stat").read_text("utf-8").splitlines():
            if line.split()[0] == reclaimable:
                cache = int(line.split()[1])
    except OSError:
        pass
    yield allowed - used + cache


def readable(number: int | float) -> str:
    """Return a number of bytes as a reader would write it.

    >>> readable(900), readable(1.25 * 2**30)
    ('900 B', '1.2 GiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if number < 1023.95 or unit == "TiB":
            break
        number /= 1024
    return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"


def fitting_width(
    bytes_at: Callable[[int], int], width: int, available_at: Callable[[int], int]
) -> int:
    """Return about how many runs, fewer than `width`, fit in memory; 0 if not even one does.

    Args:
      bytes_at: number of runs -> bytes of their program; nearly affine, so that it is called only
        at 1 and at `width`.
      width: a number of runs that does not fit.
      available_at: number of runs -> bytes for their program; narrow ones may share with more.

    >>> fitting_width(lambda width: 100 + 8 * width, 512, available_at=lambda width: 1000)
    112
    """
    least = bytes_at(1)
    if width <= 1:
        return 0
    each = max(0, bytes_at(width) - least) / (width - 1)
    fitting = (w for w in range(width - 1, 0, -1) if least + each * (w - 1) <= available_at(w))
    return next(fitting, 0)
