import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from tensorboardX import record_writer
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from plateaus.report.sinks import write_tensorboard
from plateaus.report.statistics import summarise


@pytest.fixture(scope="module")
def results(make_results):
    made = make_results({"data.order": ["epochs", "replace"], "data.subset": [1.0, 0.1]},
                        [[20_000, 5_000], [9_000, np.inf]], seeds=6,
                        baseline={"data.subset": 1.0})  # fmt: skip
    made["status"][0, 1, 2] = 2
    return made


def events(path):
    """The events of a file of records: length, its checksum, the event, its checksum."""
    data, found = path.read_bytes(), []
    while data:
        length, check = struct.unpack("<QI", data[:12])
        assert check == record_writer.masked_crc32c(data[:8])
        body, (check,) = data[12 : 12 + length], struct.unpack("<I", data[12 + length :][:4])
        assert check == record_writer.masked_crc32c(body)
        found.append(Event.FromString(body))
        data = data[16 + length :]
    return found


def scalars(path):
    found = {}
    for event in events(path):
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def hyperparameters(path):
    for event in events(path):
        for value in event.summary.value:
            if value.tag == "_hparams_/session_start_info":
                content = HParamsPluginData.FromString(value.metadata.plugin_data.content)
                return dict(content.session_start_info.hparams)
    raise AssertionError("no hyper-parameters")


def test_one_run_per_setting_with_mean_band_and_hyperparameters(results, tmp_path):
    rows = summarise(results)
    assert write_tensorboard(results, rows, tmp_path / "tensorboard")
    assert [path.name for path in tmp_path.iterdir()] == ["tensorboard"]
    files = sorted((tmp_path / "tensorboard").glob("*/*tfevents*"))
    assert [file.parent.name for file in files] == [
        "data.order=epochs,data.subset=0.1",
        "data.order=epochs,data.subset=1",
        "data.order=replace,data.subset=0.1",
        "data.order=replace,data.subset=1",
    ]
    found = scalars(files[0])
    runs = results["test_loss"].values[0, 1, [0, 1, 3, 4, 5]].astype(float)  # one diverged
    low, high = stats.ttest_1samp(runs, 0).confidence_interval()
    for tag, wanted in (("mean", runs.mean(0)), ("lower", low), ("upper", high)):
        curve = found[f"test_loss/{tag}"]
        assert list(curve) == results["eval_step"].values.tolist()
        np.testing.assert_allclose(list(curve.values()), wanted, rtol=1e-5, atol=1e-6)
    assert len(found["train_loss/mean"]) == results.sizes["step"]
    assert "test_accuracy/upper" in found
    assert found["summary/plateau_mean"][50_000] == pytest.approx(rows[1].plateau.value)
    assert found["summary/diverged"][50_000] == 1
    chosen = hyperparameters(files[0])
    assert chosen["data.order"].string_value == "epochs"
    assert chosen["data.subset"].number_value == 0.1
    assert "summary/escape_step_median" not in scalars(files[2])  # never reached: left empty


def test_long_curves_are_thinned_and_one_run_has_no_band(make_results, tmp_path):
    results = make_results({}, np.array(9_000), seeds=1, every=10)
    assert write_tensorboard(results, summarise(results), tmp_path / "board")
    (file,) = (tmp_path / "board" / "all").iterdir()
    found = scalars(file)
    assert 500 < len(found["train_loss/mean"]) <= 1000
    assert "test_loss/mean" in found and "test_loss/lower" not in found


def test_writing_again_replaces_the_folder_and_clears_what_a_crash_left(results, tmp_path):
    rows, target = summarise(results), tmp_path / "board"
    (tmp_path / ".board.0123.partial").mkdir()
    (target / "an old setting").mkdir(parents=True)
    for _ in range(2):
        assert write_tensorboard(results, rows, target)
        assert len(list(target.iterdir())) == 4
        assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_a_warning_and_leaves_the_earlier_folder(results, tmp_path, monkeypatch):
    target = tmp_path / "board"
    (target / "earlier").mkdir(parents=True)
    full = Path("/dev/full").open("wb", 0)  # noqa: SIM115  (closed by the writer)
    monkeypatch.setattr(record_writer, "open_file", lambda _: full)
    with pytest.warns(UserWarning, match="No space left"):
        assert not write_tensorboard(results, summarise(results), target)
    assert list(tmp_path.iterdir()) == [target] and (target / "earlier").exists()


def test_a_writer_that_blocks_is_given_up(results, tmp_path, monkeypatch):
    released, blocked = threading.Event(), threading.Event()

    def write(self, data):
        blocked.set()
        released.wait()
        raise OSError("released")

    monkeypatch.setattr(record_writer.RecordWriter, "write", write)
    start = time.monotonic()
    with pytest.warns(UserWarning, match="not written within"):
        assert not write_tensorboard(results, summarise(results), tmp_path / "board", timeout=0.3)
    assert time.monotonic() - start < 5 and blocked.is_set()
    assert not (tmp_path / "board").exists()
    (thread,) = [t for t in threading.enumerate() if t.name == "tensorboard"]
    assert thread.daemon
    released.set()
    thread.join(10)
    assert not (tmp_path / "board").exists()  # nor does it appear late
    monkeypatch.undo()
    assert write_tensorboard(results, summarise(results), tmp_path / "board")
    assert [path.name for path in tmp_path.iterdir()] == ["board"]


def test_a_directory_that_cannot_be_written(results, tmp_path):
    rows = summarise(results)
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "missing" / "board", tmp_path / "file" / "board"):
        with pytest.warns(UserWarning, match="no TensorBoard files"):
            assert not write_tensorboard(results, rows, target)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_process_with_a_blocked_writer_still_ends():
    # What a SummaryWriter does not allow: it joins its dead queue as the interpreter exits.
    script = """
import threading, warnings
from plateaus.report import sinks
sinks._write_all = lambda *_: threading.Event().wait()
warnings.simplefilter("ignore")
assert sinks.write_tensorboard(None, [], "/nonexistent/board", timeout=0.1) is False
"""
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
