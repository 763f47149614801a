"""Each run says on which device it was made, under which record, and in what time."""

from types import SimpleNamespace

from plateaus.jobs import circumstances


def test_runs_of_two_devices():
    cpu, gpu = {"device": "cpu", "jax": "1"}, {"device": "NVIDIA H200", "jax": "1"}
    runs = {"a": cpu, "b": gpu, "c": gpu | {"jax": "2"}}
    finished = SimpleNamespace(records=dict.fromkeys(runs), exactness=runs, seconds={"b": 1.5})
    declared, values = circumstances.of_runs(finished)
    assert declared["device"].notes["flag_meanings"] == "not_run NVIDIA_H200 cpu"
    assert [int(values[run]["device"]) for run in "abc"] == [2, 1, 1]
    assert len({int(values[run]["exactness"]) for run in "abc"}) == 3
    assert len(declared["exactness"].notes["flag_meanings"].split()) == 4
    assert [values[run].get("seconds") for run in "abc"] == [None, 1.5, None]
