"""What a kept folder leaves out of a run's curves."""

from plateaus.evidence.light import lighter
from plateaus.evidence.records import Records


def test_tasks_that_a_run_never_draws_have_no_curves_and_ends_stay_exact():
    member = (("a",), "0")
    header = {
        "coordinates": {"eval_step": [[0, 10, 20], {}]},
        "sizes": {},
        "variables": {
            "test_loss_by_task": [["variant", "seed", "eval_step", "task"], "float32", {}],
            "train_loss": [["variant", "seed", "step"], "float32", {}],
        },
    }
    rows = [
        {"task": "", "start": ""},
        {"task": "linear", "start": "0.0"},
        {"task": "relu", "start": ""},
    ]
    curves = {
        "test_loss_by_task": [
            (task, "", step, "0.1234") for task in ("linear", "relu") for step in ("0", "10", "20")
        ],
        "train_loss": [("", "", "10", "1.0")],
    }
    light = lighter(Records({}, [], header, {member: rows}, {member: curves}))
    assert light.curves[member] == {
        "test_loss_by_task": [
            ("linear", "", "0", "0.1234"),
            ("linear", "", "10", "0.123"),
            ("linear", "", "20", "0.1234"),
        ]
    }
    assert light.runs == {member: rows} and "train_loss" not in light.header["variables"]
    without = [{"task": "linear"}]  # of a version that did not say when a task starts
    whole = lighter(Records({}, [], header, {member: without}, {member: curves}))
    assert len(whole.curves[member]["test_loss_by_task"]) == 6
