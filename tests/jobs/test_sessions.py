"""Sessions that share a folder: what is looked at again under its lock, what is always recorded."""

import contextlib
import json
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

from plateaus import files
from plateaus.build.recipes import sections
from plateaus.config.plan import Options, checked_plan
from plateaus.config.schema import ConfigError
from plateaus.jobs import devices, folder, lanes, provenance, results, run, signals, worker

pytestmark = pytest.mark.versions

TINY = {
    "steps": 40,
    "batch": 4,
    "seeds": 1,
    "eval_every": 10,
    "log_every": 10,
    "eval_points": 16,
    "task.name": "sparse_parity",
    "task.dimension": 4,
    "task.relevant_bits": 1,
    "task.dataset_size": 100,
    "model.name": "mlp",
    "model.width": 4,
}


def plan_of(swept=None, **given):
    swept = {"data.zipf_exponent": (0.0, 1.0)} if swept is None else swept
    given = {name.replace("__", "."): value for name, value in given.items()}
    return checked_plan("tiny", sections(TINY), {**TINY, **given}, swept)


def execute(plan, place, **options):
    return run.execute(plan, Options(workdir=place, command="test", **options))


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_changes_before_it_is_locked_is_looked_at_again(there, tmp_path, monkeypatch):
    """Another command may be done with it between the look and the lock."""
    place, real = tmp_path / "run", files.lock
    if there:
        place.mkdir()

    @contextlib.contextmanager
    def late(locked):
        with real(locked):
            folder.write_config(place, plan_of(optim__learning_rate=0.7))
            yield

    monkeypatch.setattr(files, "lock", late)
    said = "learning_rate is 0.7 there" if there else "was made by another command just now"
    with pytest.raises(ConfigError, match=said):
        execute(plan_of(), place)
    assert not (place / "checkpoints").exists()


def test_a_refusal_after_another_device_has_begun_is_an_end(tmp_path, monkeypatch, capsys):
    """Not "refused", which promises that nothing was written."""

    def refuse(job, address, bytes_at, book):
        (program,) = (one for one in job.programs if one.address == address)
        if program.config["model.width"] == 8:
            while not (tmp_path / "run" / "config.json").exists():
                time.sleep(0.01)
            raise ConfigError("too large")

    def wait(plan, chunk, programs, width, device, place, tell, warn, stop, *_):
        assert stop.wait(60)

    monkeypatch.setattr(lanes, "refuse_above", refuse)
    monkeypatch.setattr(worker, "run_chunk", wait)
    assert execute(plan_of({"model.width": (4, 8)}), tmp_path / "run") == 1
    assert "stopped: too large" in capsys.readouterr().err


def test_a_session_is_recorded_though_its_report_fails(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no figure")

    monkeypatch.setattr(results, "write", fail)
    with pytest.raises(RuntimeError, match="no figure"):
        execute(plan_of(), tmp_path / "run")
    (session,) = json.loads((tmp_path / "run" / "provenance.json").read_text())["sessions"]
    assert session["runs"] == 2 and session["finished"] is False and session["source"]


def test_a_session_is_of_the_code_that_it_began_with(tmp_path, monkeypatch):
    """Whoever pulls while runs are under way changes files, not the code that trains."""
    monkeypatch.setattr(provenance, "_code", lambda package: {"commit": "before", "dirty": False})
    provenance.of_process.cache_clear()
    write = results.write

    def pull(*arguments):
        code = {"commit": "after", "dirty": False}
        monkeypatch.setattr(provenance, "_code", lambda package: code)
        return write(*arguments)

    monkeypatch.setattr(results, "write", pull)
    execute(plan_of(), tmp_path / "run")
    provenance.of_process.cache_clear()
    (session,) = json.loads((tmp_path / "run" / "provenance.json").read_text())["sessions"]
    assert session["commit"] == "before"


def test_sessions_that_cannot_be_read_are_not_written_over(tmp_path, monkeypatch):
    path = tmp_path / "provenance.json"
    folder.record_session(tmp_path, {"command": "first"})
    before = path.read_bytes()

    def closed(self, *_, **__):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", closed)
        with pytest.raises(PermissionError):
            folder.record_session(tmp_path, {"command": "second"})
    assert path.read_bytes() == before
    path.write_text(before.decode()[:-20])  # cut short: kept aside
    folder.record_session(tmp_path, {"command": "third"})
    assert [s["command"] for s in json.loads(path.read_text())["sessions"]] == ["third"]
    assert (tmp_path / "provenance.damaged.json").read_text() == before.decode()[:-20]


def test_devices_of_another_kind_are_left_alone(monkeypatch):
    """The record of exactness names one device."""
    kinds = ("A100", "A100", "T4", "A100")
    some = [SimpleNamespace(platform="gpu", device_kind=kind) for kind in kinds]
    monkeypatch.setattr(jax, "devices", lambda: some)
    assert devices.alike() == [some[0], some[1], some[3]]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="terminals do not signal here")
@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_closes_is_a_request_but_under_nohup(ignored):
    stop = threading.Event()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        with signals.requests(stop) as caught:
            signal.raise_signal(signal.SIGHUP)
        assert caught == ([] if ignored else [signal.SIGHUP]) and stop.is_set() != ignored
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_heard_twice_at_once_is_one(monkeypatch):
    """A second one that is meant, later, kills."""
    send, now, killed = signal.raise_signal, [100.0], []
    monkeypatch.setattr(signals.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(signal, "raise_signal", killed.append)
    stop = threading.Event()
    with signals.requests(stop) as caught:
        send(signal.SIGTERM)
        assert stop.is_set()
        now[0] += signals.SAME / 2
        for number in (signal.SIGTERM, signal.SIGINT):
            send(number)
        assert caught == [signal.SIGTERM] and killed == []
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        now[0] += signals.SAME
        send(signal.SIGTERM)
        assert killed == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
