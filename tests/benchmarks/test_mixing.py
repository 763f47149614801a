"""The benchmark of R&B's overhead: its machinery at a tiny size; nothing is timed here."""

import functools

import numpy as np
import pytest


@pytest.fixture(scope="module")
def mixing(module):
    return module("mixing.__main__")


@pytest.fixture(scope="module")
def trainers(mixing):
    """Two ways, whose first steps are compiled once."""
    (job,) = mixing.TINY
    found = {way: mixing.Trainer(job, way) for way in (mixing.FIXED, "last, pulled")}
    for trainer in found.values():
        trainer.one_step = functools.partial(lambda told: told, trainer.one_step())
    return found


def test_ways_agree_and_their_operations_are_told(mixing, trainers):
    rows = mixing.compared(trainers)
    fixed, pulled = rows.values()
    assert fixed["over_fixed_operations"] == 1 and fixed["off"] == 0
    assert 1 < pulled["over_fixed_operations"] < 1.05 and pulled["off"] <= 1e-5
    # 4 groups, 8 prompts of 8 points, a readout of 8 weights and a bias
    added = mixing.formula(trainers[mixing.FIXED])
    assert added == 2 * 4 * 8 * 8 * 9
    assert pulled["operations"] - fixed["operations"] < 3 * added


def test_a_gradient_that_is_off_is_not_timed(mixing, trainers, monkeypatch):
    wrong = trainers["last, pulled"]
    grads, sums, operations = wrong.one_step()
    last = grads["readout"] | {"bias": grads["readout"]["bias"] * 1.01}
    grads = grads | {"readout": last}
    monkeypatch.setattr(wrong, "one_step", lambda: (grads, sums, operations))
    with pytest.raises(RuntimeError, match=r"last, pulled: gradients are .* off"):
        mixing.compared(trainers)
    monkeypatch.setattr(wrong, "one_step", lambda: ({"a": np.nan}, sums, operations))
    fixed = trainers[mixing.FIXED]
    monkeypatch.setattr(fixed, "one_step", lambda: ({"a": np.ones(1)}, None, 1.0))
    with pytest.raises(RuntimeError, match="nan off"):
        mixing.compared(trainers)


def test_lines_name_every_way(mixing):
    row = {"wall_us": 10.0, "over_fixed_wall": 1.02, "over_fixed_cpu": 1.01, "operations": 1e6}
    row |= {"over_fixed_operations": 1.001, "compile_s": 3.0, "off": 0.0}
    job = {"name": "a job", "rows": dict.fromkeys(mixing.WAYS, row)}
    machine = {"processor": "p", "cores": 2, "versions": {}, "commit": None, "dirty": None}
    result = {
        "machine": {**machine, "load_before": [0.0]},
        "load_after": [0.0],
        "rounds": 3,
        "jobs": [job | {"last_formula_over_fixed": 1.0009}],
    }
    said = "\n".join(mixing.lines(result))
    assert all(way in said for way in mixing.WAYS)
    assert "1.020x" in said and "1.0009x the operations" in said
