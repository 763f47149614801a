"""Many local devices, here of one CPU: all of them work, and no bit depends on how many there are.

tests/conftest.py gives JAX the devices.
"""

import threading

import jax
import pytest

import plateaus
from plateaus.jobs import devices, lanes

TINY = {
    "steps": 200,
    "batch": 8,
    "eval_every": 100,
    "log_every": 50,
    "eval_points": 64,
    "task.dimension": 8,
    "task.relevant_bits": 2,
    "task.dataset_size": 1000,
    "model.width": 8,
}


@pytest.fixture
def taken(monkeypatch):
    """The devices that took a chunk; the first chunks wait until every device has one."""
    ready, run_chunk, names = threading.Barrier(len(jax.devices())), lanes.run_chunk, []

    def waiting(job, chunk, device, *rest):
        names.append(device.id)
        if len(names) <= ready.parties:
            ready.wait(60)
        return run_chunk(job, chunk, device, *rest)

    monkeypatch.setattr(lanes, "run_chunk", waiting)
    return names


def test_every_device_works_to_the_same_bits(tmp_path, taken, monkeypatch):
    tiny = plateaus.load("sparse_parity.py:zipf").replace(TINY)
    tiny = tiny.sweep({"data.zipf_exponent": [0.0, 1.0]}).seeds(3)
    many = tiny.run(folder=tmp_path / "many", runs_per_batch=1, progress=False)
    assert len(taken) == 6 and {*taken} == {device.id for device in jax.devices()}
    monkeypatch.setattr(devices, "alike", lambda: jax.devices()[:1])
    one = tiny.run(folder=tmp_path / "one", runs_per_batch=1, progress=False)
    assert {*taken[6:]} == {jax.devices()[0].id} and len(taken) == 12
    assert many.data.identical(one.data)
