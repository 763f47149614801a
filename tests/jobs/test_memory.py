"""What programs need in memory, by XLA's own count, and the limits on false machines."""

import os
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plateaus.jobs import memory
from plateaus.jobs.memory import (
    available_bytes,
    fitting_width,
    least_bytes,
    program_bytes,
    readable,
)

pytestmark = pytest.mark.versions


def test_a_program_needs_what_it_is_given_makes_and_hands_out():
    x = np.zeros((100, 100), np.float32)  # 40,000 bytes

    def through(x):
        return jnp.sin(x @ x) @ x[0]

    compiled = jax.jit(through).lower(x).compile()
    # the argument, a product that is neither argument nor result, and a vector
    assert 80_400 <= program_bytes(compiled) <= 200_000


def test_what_is_donated_counts_once():
    x = np.zeros(10_000, np.float32)

    def needed(**donated):
        return program_bytes(jax.jit(lambda x: x + 1, **donated).lower(x).compile())

    assert needed() == 80_000 and needed(donate_argnums=0) == 40_000


def test_a_platform_that_does_not_tell_is_said_to_be_silent():
    silent = types.SimpleNamespace(memory_analysis=lambda: None)
    with pytest.raises(ValueError, match="does not tell"):
        program_bytes(silent)


def test_least_bytes_takes_arrays_and_shapes_alike():
    key = jax.eval_shape(jax.random.key, 0)
    shapes = {"w": jax.ShapeDtypeStruct((3, 5), "bfloat16"), "key": key, "none": None}
    assert least_bytes(shapes) == 30 + 8
    assert least_bytes(np.zeros((3, 5)), [np.int8(1)]) == 120 + 1


@pytest.mark.parametrize("bytes_at", [lambda w: 7 + 13 * w, lambda w: 64 * w, lambda w: 1000])
def test_fitting_width_is_the_largest_that_fits(bytes_at):
    for width in (1, 2, 3, 17, 512):
        for available in (0, 19, 20, 500, 999, 3000, 6000):
            if bytes_at(width) <= available:
                continue  # nothing is asked where the program fits
            best = max((w for w in range(1, width + 1) if bytes_at(w) <= available), default=0)
            assert fitting_width(bytes_at, width, lambda w, free=available: free) == best


def test_narrow_programs_may_have_to_share():
    """Of 16 runs and two devices: 16 or more at once are alone, fewer share with another chunk."""

    def available(width):
        return 1600 // (1 if width >= 16 else 2)

    assert fitting_width(lambda w: 101 * w, 16, available) == 7
    assert fitting_width(lambda w: 10_000 + w, 16, available) == 0


def test_fitting_width_asks_twice():
    asked = []

    def affine(width):
        asked.append(width)
        return 10_000 + 777 * width

    assert fitting_width(affine, 100_000, lambda w: 20_000_000) == 25_727
    assert sorted(asked) == [1, 100_000]
    asked.clear()
    assert fitting_width(affine, 1, lambda w: 100) == 0 and asked == [1]


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1.5 * 2**20, "1.5 MiB"),
     (2**30 - 1, "1.0 GiB"), (139 * 2**30, "139.0 GiB"), (5000 * 2**40, "5000.0 TiB")],
)  # fmt: skip
def test_readable(number, text):
    assert readable(number) == text


def machine(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return memory._host_bytes(root)


AVAILABLE = 20_000 * 1024


@pytest.fixture
def available(monkeypatch):
    """A machine that has so many bytes available."""
    told = types.SimpleNamespace(available=AVAILABLE)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: told)


def test_host_without_control_groups(tmp_path, available):
    assert machine(tmp_path, {}) == AVAILABLE


def test_control_group_version_2_counts_every_level(tmp_path, available):
    group = {
        "proc/self/cgroup": "0::/user/job\n",
        "sys/fs/cgroup/user/job/memory.max": "max\n",
        "sys/fs/cgroup/user/job/memory.current": "1000\n",
        "sys/fs/cgroup/user/memory.max": "9000000\n",
        "sys/fs/cgroup/user/memory.current": "5000000\n",
        "sys/fs/cgroup/user/memory.stat": "anon 1\ninactive_file 2000000\nactive_file 7\n",
    }
    assert machine(tmp_path, group) == 9_000_000 - 5_000_000 + 2_000_000
    assert machine(tmp_path, {"sys/fs/cgroup/user/memory.max": str(10**15)}) == AVAILABLE
    assert machine(tmp_path, {"sys/fs/cgroup/user/memory.max": "100"}) == 0  # already over


def test_in_a_container_the_mount_is_the_group(tmp_path, available):
    group = {
        "proc/self/cgroup": "0::/kubepods/pod7\n",
        "sys/fs/cgroup/memory.max": "3000000",
        "sys/fs/cgroup/memory.current": "1000000",
    }
    assert machine(tmp_path, group) == 2_000_000


def test_control_group_version_1(tmp_path, available):
    group = {
        "proc/self/cgroup": "12:cpu,cpuacct:/other\n5:memory:/job\n0::/\n",
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "4000000",
        "sys/fs/cgroup/memory/other/memory.limit_in_bytes": "1",  # not ours
        "sys/fs/cgroup/memory/other/memory.usage_in_bytes": "1",
        "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "2500000",
        "sys/fs/cgroup/memory/job/memory.stat": "inactive_file 9\ntotal_inactive_file 500000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "2500000",
    }
    assert machine(tmp_path, group) == 2_000_000


def test_available_bytes_of_this_cpu_is_sensible():
    cpu = jax.devices("cpu")[0]
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 2**20 < available_bytes(cpu) <= total


def test_an_accelerator_is_asked_and_a_silent_one_takes_the_host_s_figure(monkeypatch):
    def device(statistics):
        return types.SimpleNamespace(platform="gpu", memory_stats=lambda: statistics)

    monkeypatch.setattr(memory, "_host_bytes", lambda root: 77)
    assert available_bytes(device({"bytes_limit": 1000, "bytes_in_use": 400})) == 600
    assert available_bytes(device({"bytes_limit": 100, "bytes_in_use": 400})) == 0
    assert available_bytes(device(None)) == available_bytes(device({})) == 77
