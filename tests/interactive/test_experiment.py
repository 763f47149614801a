"""Experiments from Python: the command's plan, folder and bits, its refusals, its way to stop."""

import csv
import functools
import json
import os
import shlex
import signal
import time

import numpy as np
import pytest

import plateaus
from plateaus.config.arguments import parse
from plateaus.interactive import Refused, notebook
from plateaus.jobs import cli, run
from plateaus.jobs.progress import Progress


def test_the_folder_and_the_bits_are_those_of_the_command(made, commanded):
    folder = made.result.folder
    assert folder.parent.parent == made.here and folder.name.startswith("sparse_parity-zipf-")
    for name in ("results.nc", "summary.csv", "curves.csv.gz", "config.json"):
        assert (folder / name).read_bytes() == (commanded / name).read_bytes(), name
    texts = [(place / "runs.csv").read_text().splitlines() for place in (folder, commanded)]
    rows = [list(csv.DictReader(text)) for text in texts]
    assert [r | {"seconds": ""} for r in rows[0]] == [r | {"seconds": ""} for r in rows[1]]


def test_what_is_finished_is_found_and_nothing_trains(made):
    sessions = json.loads((made.result.folder / "provenance.json").read_text())["sessions"]
    assert len(sessions) == 1 and sessions[0]["finished"]
    assert [folder.name for folder in (made.here / "runs").iterdir()] == [made.result.folder.name]


def test_its_command_is_the_same_plan(tiny):
    together = {("optim.learning_rate", "data.subset"): [(0.1, 1), (0.01, 0.5)]}
    other = tiny.seeds([5]).sweep(together).replace(weight_norms=True)
    for experiment in (tiny, other, tiny.seeds("3:6").smoke(), tiny.scale("paper")):
        plan, _ = cli.planned(parse(shlex.split(experiment.command)))
        assert plan.config == experiment.plan.config and plan.sweep == experiment.plan.sweep
        assert plan.seeds == experiment.plan.seeds and plan.variants == experiment.plan.variants
        assert plan.name == experiment.plan.name
    assert other.plan.seeds == (5,) and len(other.plan.sweep["variant"]) == 2


def test_an_experiment_is_never_changed(tiny):
    before = tiny.command
    other = tiny.replace({"optim.learning_rate": 0.05}, steps=800)
    assert (other.config["optim.learning_rate"], other.config["steps"]) == (0.05, 800)
    assert tiny.command == before and tiny.config["steps"] == 400
    tiny.config["steps"] = 1
    assert tiny.config["steps"] == 400
    with pytest.raises(AttributeError):
        tiny.plan = None


def test_the_last_sweep_counts(tiny):
    fixed = tiny.sweep(data_subset="1,0.1").replace(data_zipf_exponent=1)
    assert fixed.plan.sweep == {"data.subset": (1.0, 0.1)}
    again = fixed.sweep(data_zipf_exponent=np.array([0.0, 2.0]))
    assert again.plan.sweep == {"data.zipf_exponent": (0.0, 2.0)}
    assert list(tiny.sweep().plan.sweep) == ["data.zipf_exponent"]  # the preset's own
    assert len(tiny.sweep().plan.sweep["data.zipf_exponent"]) > 2


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (lambda e: e.replace(optim_learning_rat=1), "did you mean optim.learning_rate?"),
        (lambda e: e.replace({"data.subset": 3}), "data.subset = 3.0: must be in (0, 1]"),
        (lambda e: e.replace(data_zipf_exponent=1), "data.zipf_exponent: is swept, too; keep one"),
        (lambda e: e.sweep(steps=[1, 2]), "steps: cannot be swept; use replace(steps=VALUE)"),
        (lambda e: e.sweep(data_subset=0.1), "data.subset = 0.1: a sweep must be a list of values"),
        (lambda e: e.sweep(data_subset="0:1:1"), "a range must have from 2"),
        (lambda e: e.sweep(variant=["a"]), "variant: this preset has no variants"),
        (lambda e: e.scale("papr"), "scale = 'papr': no such scale"),
        (lambda e: e.seeds(0), "seeds = 0: must be in [1,"),
        (lambda e: e.run(keep="weight"), "keep = 'weight': must be state, weights"),
        (lambda e: e.run(stop_when="escape"), "did you mean escaped?"),
        (lambda e: e.run(runs_per_batch=0), "runs_per_batch = 0: must be"),
        (lambda e: plateaus.load("sparse_parti.py"), "did you mean configs/sparse_parity.py?"),
        (lambda e: plateaus.load("sparse_parity:zip"), "did you mean zipf?"),
    ],
)
def test_a_refusal_is_one_line_that_names_what_is_meant(tiny, ask, line):
    with pytest.raises(Refused) as caught:
        ask(tiny)
    assert isinstance(caught.value, ValueError) and caught.value.__cause__ is None
    (only,) = caught.value.problems
    assert line in only and "\n" not in only and "--" not in only
    assert caught.value._render_traceback_() == [f"Refused: {only}"]


def test_a_folder_of_another_experiment_is_refused(tiny, made):
    with pytest.raises(Refused, match=r"holds another experiment: .*batch"):
        tiny.replace(batch=16).run(seeds=2, folder=made.result.folder, progress=False)


def test_a_run_folder_is_an_experiment_too(tiny, made):
    again = plateaus.load(made.result.folder)
    assert again.plan.sweep == tiny.plan.sweep and again.plan.seeds == (0, 1)
    assert again.plan.name == tiny.plan.name


class Interrupts(Progress):
    """The stop button, pressed once the first phase is done."""

    def update(self, lane, run_steps, *counts, **more):
        super().update(lane, run_steps, *counts, **more)
        if run_steps and not self.pressed:
            type(self).pressed = True
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # so that it is heard before the last phase

    pressed = False


def test_an_interrupt_saves_and_the_same_call_goes_on(tiny, made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(notebook, "shown", lambda progress: Interrupts)
    call = functools.partial(tiny.run, seeds=2, folder=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt, match="the same call goes on from here"):
        call()
    assert list((tmp_path / "run").rglob("checkpoint-*.npz"))
    assert not (tmp_path / "run" / "results.nc").exists()
    result = call(progress=False)
    assert result.data.identical(made.result.data)
    sessions = json.loads((tmp_path / "run" / "provenance.json").read_text())["sessions"]
    assert [session["finished"] for session in sessions] == [False, True]


def test_a_failure_is_an_error(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "execute", lambda plan, options: 1)
    with pytest.raises(RuntimeError, match="finished runs are kept"):
        tiny.run(folder=tmp_path, progress=False)


def test_silence_is_silent(tiny, made, capfd):
    tiny.run(seeds=2, folder=made.result.folder, progress=False)
    assert capfd.readouterr() == ("", "")
    tiny.run(seeds=2, folder=made.result.folder)
    assert capfd.readouterr().out.endswith("nothing to do: all 4 runs are finished\n")


def test_it_says_what_it_is(tiny):
    text, page = repr(tiny.replace(optim_learning_rate=0.05)), tiny._repr_html_()
    for part in (
        "data.zipf_exponent = 1.5, 0",
        "1 program, 32 runs, 12,800 steps and 1e+05 examples",
        "runs/sparse_parity-zipf-",
        "optim.learning_rate = 0.05",
        "plateaus run --config=configs/sparse_parity.py:zipf",
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= 100
    assert "<table>" in page and "data.zipf_exponent = 1.5, 0" in page
