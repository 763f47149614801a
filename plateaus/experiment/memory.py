"""Memory: what there is, how many runs fit in it, and (from `liveness`) what a program needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from plateaus.experiment.liveness import peak_bytes

__all__ = ["available_bytes", "fitting_width", "peak_bytes", "readable"]


def available_bytes(device: Any) -> int:
    """Return the bytes that new arrays on a `jax.Device` may take now.

    On a CPU the less of what the machine has available and what its control group still allows; on
    an accelerator what its allocator has left, or the host's figure where it does not say.
    """
    if device.platform != "cpu":
        statistics = device.memory_stats()
        if statistics and "bytes_limit" in statistics:
            return max(0, statistics["bytes_limit"] - statistics["bytes_in_use"])
    return _host_bytes(Path("/"))


def _host_bytes(root: Path) -> int:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        (available,) = (int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:"))
    except (OSError, ValueError):  # not Linux: all there is
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(0, min([available, *_group_bytes(root)]))


def _group_bytes(root: Path) -> Iterator[int]:
    """What each control group that this process is in, versions 1 and 2, still allows."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
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
        allowed, used = int((folder / limit).read_text()), int((folder / usage).read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return
    cache = 0  # pages of files that the kernel gives back on demand
    try:
        for line in (folder / "memory.stat").read_text().splitlines():
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


def fitting_width(bytes_at: Callable[[int], int], width: int, available: int) -> int:
    """Return the largest number of runs, at most `width`, that fits in memory; 0 if none does.

    Args:
      bytes_at: estimate at a width; must not decrease; called few times, being nearly affine.
      width: the width asked for.
      available: bytes.

    >>> fitting_width(lambda width: 100 + 8 * width, width=512, available=1000)
    112
    """
    if width < 1 or (least := bytes_at(1)) > available:
        return 0
    if width == 1 or (most := bytes_at(width)) <= available:
        return width
    fits, fails, turn = 1, width, 0
    while fails - fits > 1:
        straight = fits + (fails - fits) * (available - least) // max(most - least, 1)
        # Every third time halve: a curve would make the straight line creep.
        guess = (fits + fails) // 2 if turn % 3 == 2 else min(max(straight, fits + 1), fails - 1)
        turn += 1
        if (size := bytes_at(guess)) <= available:
            fits, least = guess, size
        else:
            fails, most = guess, size
    return fits
