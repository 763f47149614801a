"""The benchmark of steps with PCGrad: what it writes and refuses, that PyTorch's ways agree."""

import importlib.util
import json

import numpy as np
import pytest

JAX = ["JAX, plain", "ours", "JAX, stacked"]


@pytest.mark.thorough
def test_the_quick_benchmark_without_torch(tmp_path, quick):
    done, path = quick("gradient_geometry", tmp_path, ["torch", "torchjd"])
    result = json.loads(path.read_text())
    for one, runs in zip(result["jobs"], (1, 3), strict=True):
        assert list(one["rows"]) == JAX
        reason = "torch is not installed (pip install -e '.[bench]')"
        peers = ("torch, plain", "torch, TorchJD", "torch, B passes")
        assert one["skipped"] == dict.fromkeys(peers, reason)
        for row in one["rows"].values():
            assert row["runs"] == runs and row["wall_us"] > 0 and row["planned_mib"] > 0
        assert one["rows"]["JAX, stacked"]["off"] <= 1e-4
        assert one["rows"]["JAX, stacked"]["gradient_off"] <= 1e-4
        assert one["plain"] == "JAX, plain" and one["over_plain"] > 0 and 0 < one["share"] < 1
    assert "aim < 1%" in done.stdout and "Traceback" not in done.stderr


def test_a_gradient_that_is_off_is_refused(module):
    processes, geometry = module("processes"), module("gradient_geometry.peers")
    ours = {"w": np.ones((2, 3)), "b": np.ones(3)}
    assert geometry.agreement("a peer", ours, {**ours, "b": ours["b"] * (1 + 1e-5)}) <= 1e-4
    for wrong in (1.001, np.nan):
        with pytest.raises(processes.Disagreement, match="is not timed"):
            geometry.agreement("a peer", ours, {**ours, "b": ours["b"] * wrong})


def test_losses_that_are_off_are_refused(module, tmp_path):
    processes, geometry = module("processes"), module("gradient_geometry.peers")

    class Worker:
        def __init__(self, name):
            self.name = name

        def gradient(self, place):
            return {"w": np.ones(2)}

    check = geometry.Check()
    assert check(Worker("JAX, plain"), [[1.0, 2.0]], tmp_path) == {}
    assert check(Worker("ours"), [[3.0, 4.0]], tmp_path) == {}  # the first with PCGrad
    assert check(Worker("torch, plain"), [[1.0, 2.0]], tmp_path)["off"] == 0
    with pytest.raises(processes.Disagreement):
        check(Worker("torch, TorchJD"), [[1.0, 2.0]], tmp_path)


@pytest.mark.parametrize("job", range(2))
def test_torch_trains_the_same(module, tmp_path, job):
    # Where it is installed; in processes of their own, as they are timed.
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    jobs, geometry = module("gradient_geometry.jobs"), module("gradient_geometry.peers")
    skipped = {}
    with geometry.started(jobs.TINY[job], True, skipped.__setitem__) as agreed:
        assert set(agreed) | set(skipped) == set(jobs.KINDS)
        assert {"torch, plain", "torch, B passes"} <= set(agreed)
    assert set(skipped) <= {"torch, TorchJD"}, skipped
    assert all("is not installed" in reason for reason in skipped.values())
