"""`plateaus watch` shows what a running job has left on disk, and ends with it."""

import json
import threading

import numpy as np
import pytest

from plateaus import files, paths
from plateaus.commands import watch
from plateaus.commands.main import main
from plateaus.commands.sparklines import drawn, median, sparkline
from plateaus.jobs import checkpoint

SWEEP = {"data.subset": [1.0, 0.1]}
CONFIG = {"eval_every": 10, "steps": 40, "seeds": 2, "data.subset": 1.0}


@pytest.fixture
def folder(tmp_path):
    """A run folder: the first setting is finished, one run of the other at step 20, one at none."""
    content = {"name": "parity", "title": "A claim", "config": CONFIG, "sweep": SWEEP}
    (tmp_path / "config.json").write_text(json.dumps(content), encoding="utf-8")
    finished = tmp_path / "checkpoints" / "finished"
    finished.mkdir(parents=True)
    losses = np.array([[1.0, 1, 0.1, 0.1, 0.01], [1.0, 1, 1, 0.1, 0.01]], np.float32)
    members = [[{"data.subset": 1.0}, 0], [{"data.subset": 1.0}, 1]]
    checkpoint.write_arrays(finished / "a.npz", {"test_loss": losses}, {"members": members})
    running = tmp_path / "checkpoints" / "running" / "b"
    running.mkdir(parents=True)
    members = [[{"data.subset": 0.1}, 0]]
    (running / "chunk.json").write_text(json.dumps({"members": members}), encoding="utf-8")
    padded = np.array([[1.0, 0.5, 0.25], [1.0, 1, 1], [1.0, 1, 1]], np.float32)  # of width 3
    checkpoint.save(running, {"test_loss": padded, "state.step": 20}, {"phases": 2})
    return tmp_path


def test_finished_runs_and_those_under_way_are_shown_in_the_order_of_the_sweep(folder, capsys):
    assert main(["watch", str(folder)]) == 0
    title, scale, whole, begun, state = capsys.readouterr().out.splitlines()
    assert title == "parity - A claim" and "█ 1 to ▁ 0.01" in scale and "steps 0 to 40" in scale
    assert whole.split() == ["data.subset=1", "2/2", "runs", "step", "40", "██▇▅▁", "0.01"]
    assert begun.split() == ["data.subset=0.1", "1/2", "runs", "step", "20", "█▇▆", "0.25"]
    assert state == "no job is at work here"


def test_a_chunk_that_ends_while_it_is_read_is_passed_over(folder):
    for path in (folder / "checkpoints" / "running" / "b").glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-9])
    (folder / "checkpoints" / "finished" / "a.npz.json").unlink()
    assert watch.read(folder).losses == {}
    assert drawn(watch.read(folder), 80)[-1] == "no run has come to its first checkpoint yet"


def test_it_follows_a_job_on_a_terminal_until_the_job_ends(folder, capsys, monkeypatch):
    ended, begun = threading.Event(), threading.Event()

    def work():
        with files.lock(folder):
            begun.set()
            ended.wait(20)

    job = threading.Thread(target=work)
    job.start()
    begun.wait(20)
    label = (folder / files.LOCK).read_bytes()
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 2:
            ended.set()
            job.join(20)

    monkeypatch.setattr(watch.time, "sleep", sleep)
    monkeypatch.setattr("plateaus.output.Forgiving.isatty", lambda self: True)
    assert main(["watch", str(folder)]) == 0
    out = capsys.readouterr().out
    assert len(looks) == 2 and out.count("a job is at work here") == 2
    assert out.count("\x1b[5F\x1b[J") == 2 and out.endswith("no job is at work here\n")
    assert (folder / files.LOCK).read_bytes() == label  # it says still whose the lock was


def test_once_does_not_wait(folder, capsys, monkeypatch):
    monkeypatch.setattr("plateaus.output.Forgiving.isatty", lambda self: True)
    with files.lock(folder):
        assert main(["watch", str(folder), "--once"]) == 0
    assert capsys.readouterr().out.endswith("a job is at work here\n")


def test_a_damaged_config_is_one_line(folder, capsys):
    (folder / "config.json").write_text("{", encoding="utf-8")
    assert main(["watch", str(folder)]) == 2
    assert "config.json is damaged" in capsys.readouterr().err


def test_runs_kept_without_checkpoints_are_not_said_to_be_on_their_way(capsys):
    kept = min((paths.experiments() / "results").glob("sparse_parity-zipf-*"))
    assert main(["watch", str(kept)]) == 2
    assert "kept without checkpoints; `plateaus compare` shows" in capsys.readouterr().err


def test_lines_keep_to_the_width_and_to_the_encoding(folder):
    lines = drawn(watch.read(folder), 60, "ascii")
    assert all(len(line) <= 60 for line in lines[2:]) and "\n".join(lines).isascii()


def test_runs_of_several_lengths_and_one_that_diverged():
    runs = [np.array([4.0, 2, 1]), np.array([4.0, 3]), np.array([4.0, np.nan, np.nan])]
    assert median(runs).tolist() == [4.0, 3.0, np.inf]
    assert sparkline(np.array([1.0, np.inf]), 2, 9, 0.1, 1.0) == "██"
    assert sparkline(np.arange(1.0, 101), 100, 10, 1, 100)[-1] == "█"
