"""Checkpoints against bit flips, cuts, kills and full disks."""

import errno
import json
import os
import random
import subprocess
import sys
import time

import ml_dtypes
import numpy as np
import pytest

from plateaus import files
from plateaus.jobs import checkpoint
from plateaus.jobs.checkpoint import Damaged, load, read_arrays, save, write_arrays

pytestmark = pytest.mark.versions


def everything():
    """One array of each kind that a training state may hold."""
    generator = np.random.default_rng(0)
    return {
        "bool": np.array([True, False]),
        "int8": np.arange(-3, 3, dtype=np.int8),
        "uint32 key": np.array([7, 2**32 - 1], np.uint32),
        "int64": np.array([[-(2**62)]]),
        "float16": generator.normal(size=3).astype(np.float16),
        "params/Dense_0/kernel": generator.normal(size=(2, 3, 4)).astype(np.float32),
        "['a'].b": np.array([np.nan, -0.0, np.inf, 1e-310]),
        "bfloat16": generator.normal(size=(3, 2)).astype(ml_dtypes.bfloat16),
        "float8": np.arange(4).astype(ml_dtypes.float8_e4m3fn),
        "scalar": np.float32(2.5),
        "scalar bfloat16": np.asarray(1.5, ml_dtypes.bfloat16),
        "complex": np.array([1 + 2j]),
        "empty": np.zeros((0, 3), np.float32),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "strided bfloat16": np.arange(8).astype(ml_dtypes.bfloat16).reshape(2, 4)[:, ::2],
        "big endian": np.arange(3, dtype=">i4"),
        "text": np.array(["ab", "γ"]),
        "a": np.array([1]),
        "a.npy": np.array([2]),  # numpy.load alone would mix these two up
        "header": np.array([3]),
        "file": np.array([4]),
        "γ ε": np.array([5]),
    }


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        array = np.asarray(array)
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name


def test_every_dtype_comes_back_bit_for_bit(tmp_path):
    meta = {"step": 7, "members": [["zipf", 0.1 + 0.2], None], "nested": {"γ": True}}
    write_arrays(tmp_path / "a.npz", everything(), meta)
    arrays, found = read_arrays(tmp_path / "a.npz")
    assert_same(arrays, everything())
    assert found == meta


def test_meta_may_be_anything_json_takes(tmp_path):
    write_arrays(tmp_path / "a.npz", {}, {"10": (1, 2), "9": float("inf"), "": {2: "x\n"}})
    assert read_arrays(tmp_path / "a.npz") == ({}, {"10": [1, 2], "9": np.inf, "": {"2": "x\n"}})


def test_numpy_alone_reads_it_and_the_manifest_is_plain(tmp_path):
    path = tmp_path / "a.npz"
    write_arrays(path, {"weights": np.arange(3)}, {"step": 1})
    assert np.load(path)["arrays/weights"].tolist() == [0, 1, 2]
    manifest = json.loads((tmp_path / "a.npz.json").read_text())
    assert manifest == {
        "sha256": files.sha256(path),
        "bytes": path.stat().st_size,
        "meta": {"step": 1},
    }


def test_equal_arrays_make_equal_files(tmp_path):
    for name in ("a", "b"):
        write_arrays(tmp_path / name, everything(), {"step": 1})
        time.sleep(0.01)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("array", [np.array([{}]), np.zeros(2, [("x", "f4")])])
def test_objects_and_records_are_refused_before_anything_is_written(tmp_path, array):
    with pytest.raises(TypeError, match="'bad'"):
        write_arrays(tmp_path / "a.npz", {"bad": array}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["", ".json"])
def test_every_single_bit_flip_is_detected(tmp_path, suffix):
    path = tmp_path / "a.npz"
    write_arrays(path, {"w": np.arange(3, dtype=np.float32)}, {"step": 7, "note": "a b"})
    target = tmp_path / f"a.npz{suffix}"
    whole = target.read_bytes()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        target.write_bytes(flipped)
        with pytest.raises(Damaged) as error:
            read_arrays(path)
        assert "\n" not in str(error.value) and "a.npz" in str(error.value)
    target.write_bytes(whole)
    assert read_arrays(path)[1]["step"] == 7


@pytest.mark.parametrize("suffix", ["", ".json"])
def test_every_cut_and_a_missing_file_are_detected(tmp_path, suffix):
    path = tmp_path / "a.npz"
    write_arrays(path, {"w": np.arange(3, dtype=np.float32)}, {})
    target = tmp_path / f"a.npz{suffix}"
    whole = target.read_bytes()
    for content in [*(whole[:size] for size in range(len(whole))), whole + b"\n"]:
        target.write_bytes(content)
        with pytest.raises(Damaged):
            read_arrays(path)
    target.unlink()
    with pytest.raises(Damaged, match=f"a.npz{suffix} is missing"):
        read_arrays(path)


def test_a_verified_file_that_is_no_checkpoint_is_damaged_too(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"no zip")
    (tmp_path / "a.npz.json").write_text(files.sha256(path))
    with pytest.raises(Damaged, match="not a checkpoint"):
        read_arrays(path)


def npz(folder):
    return sorted(path.name for path in folder.glob("*.npz"))


def step_of(loaded):
    arrays, meta = loaded
    assert (arrays["w"] == meta["step"]).all()
    return meta["step"]


def write_step(folder, step):
    return save(folder, {"w": np.full(1000, step)}, {"step": step})


def test_two_generations_stay_and_the_newest_is_loaded(tmp_path):
    folder = tmp_path / "checkpoints"
    assert load(folder) is None
    for step in range(1, 12):  # past 10: names must sort as numbers
        write_step(folder, step)
        assert step_of(load(folder, report=pytest.fail)) == step
    assert len(npz(folder)) == 2 and len(list(folder.iterdir())) == 4


def test_a_damaged_newest_is_reported_and_the_one_before_used(tmp_path):
    for step in (1, 2, 3):
        newest = write_step(tmp_path, step)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    lines = []
    assert step_of(load(tmp_path, lines.append)) == 2
    assert len(lines) == 1 and newest.name in lines[0]
    # The next save keeps the valid one and drops the damaged one.
    write_step(tmp_path, 4)
    assert len(npz(tmp_path)) == 2 and newest.name not in npz(tmp_path)
    (tmp_path / npz(tmp_path)[-1]).unlink()
    assert step_of(load(tmp_path, pytest.fail)) == 2


def test_with_every_generation_damaged_there_is_none(tmp_path):
    for path in [write_step(tmp_path, step) for step in (1, 2)]:
        path.write_bytes(b"")
    lines = []
    assert load(tmp_path, lines.append) is None
    assert len(lines) == 2
    write_step(tmp_path, 3)
    assert step_of(load(tmp_path, pytest.fail)) == 3


def test_older_generations_go_only_after_the_new_one_is_durable(tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr(
        checkpoint,
        "write_arrays",
        lambda *a: (write_arrays(*a), events.append(("written", npz(tmp_path)))),
    )
    for step in (1, 2, 3):
        write_step(tmp_path, step)
    assert [len(found) for _, found in events] == [1, 2, 3]


@pytest.mark.parametrize("fail_at", range(1, 5))
def test_a_full_disk_leaves_the_generations_as_they_were(tmp_path, monkeypatch, fail_at):
    for step in (1, 2):
        write_step(tmp_path, step)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    calls, real = 0, os.fsync

    def fsync(descriptor):  # data, folder, manifest, folder
        nonlocal calls
        calls += 1
        if calls == fail_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)
    with pytest.raises(OSError, match="No space"):
        write_step(tmp_path, 3)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert step_of(load(tmp_path, pytest.fail)) == 2
    write_step(tmp_path, 4)
    assert step_of(load(tmp_path, pytest.fail)) == 4


SAVE = """
import resource, signal, sys, numpy as np
from plateaus.jobs.checkpoint import load, save
folder, size, growth, limit = sys.argv[1], *map(int, sys.argv[2:])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
found = load(folder)
step = found[1]["step"] if found else 0
while True:
    step += 1
    try:
        save(folder, {"w": np.full(size, step)}, {"step": step})
    except OSError:
        print("full", step, flush=True)
        break
    print(step, flush=True)
    size += growth
"""


def saver(*arguments):
    command = [sys.executable, "-c", SAVE, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_kill_9_at_any_moment_loses_at_most_the_save_under_way(tmp_path):
    delays = random.Random(0)
    last = 0
    for _ in range(10):
        process = saver(tmp_path, 20_000, 0, 10**9)
        assert int(process.stdout.readline()) == last + 1
        time.sleep(delays.uniform(0, 0.03))
        process.kill()
        told = [last + 1, *map(int, process.stdout.read().split())]
        process.wait()
        process.stdout.close()
        last = step_of(load(tmp_path, report=lambda line: None))
        assert last in (told[-1], told[-1] + 1)
    assert len(npz(tmp_path)) <= 4
    write_step(tmp_path, last + 1)
    assert len(list(tmp_path.iterdir())) == 4  # and nothing half-written is left


def test_a_file_size_limit_keeps_the_last_whole_generation(tmp_path):
    process = saver(tmp_path, 10_000, 10_000, 300_000)
    words = process.communicate()[0].split()
    assert words == ["1", "2", "3", "full", "4"]
    assert step_of(load(tmp_path, pytest.fail)) == 3
    assert len(list(tmp_path.iterdir())) == 4
