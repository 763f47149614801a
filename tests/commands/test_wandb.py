"""`plateaus wandb` sends what TensorBoard shows, a run a setting; a stand-in takes it here."""

import sys
from types import SimpleNamespace

import pytest

from plateaus.commands.main import main
from plateaus.report import statistics, store


@pytest.fixture
def folder(tmp_path, zipf_results):
    store.save(zipf_results, tmp_path / "results.nc")
    return tmp_path


class Run:
    def __init__(self, **options):
        self.options, self.logged, self.summary, self.finished = options, [], {}, False

    def log(self, values, step):
        self.logged.append((step, values))

    def finish(self):
        self.finished = True


def test_each_setting_is_a_run_with_its_curves_and_numbers(folder, monkeypatch, capsys):
    runs = []

    def init(**options):
        runs.append(Run(**options))
        return runs[-1]

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    assert main(["wandb", str(folder), "--project=mine"]) == 0
    assert capsys.readouterr().out == f"{folder}: 6 runs sent to mine\n"
    rows = statistics.summarise(store.load(folder / "results.nc"))
    for run, row in zip(runs, rows, strict=True):
        assert run.options["config"] == row.setting and run.options["project"] == "mine"
        assert run.summary["summary/escape_step_median"] == row.escape.value
        steps = [step for step, _ in run.logged]
        assert steps == sorted({*steps}) and run.finished
        assert all("test_loss/mean" in values for _, values in run.logged[:1])
    assert len({run.options["id"] for run in runs}) == 6


def test_without_the_package_one_line_says_what_to_install(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main(["wandb", str(folder)]) == 2
    assert "pip install 'plateaus[wandb]'" in capsys.readouterr().err


def test_a_folder_without_results_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace())
    assert main(["wandb", str(tmp_path)]) == 2
    assert "it has no results.nc" in capsys.readouterr().err
