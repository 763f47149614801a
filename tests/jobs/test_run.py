"""Whole jobs on tiny worlds: what is run, what is kept, and what no accident may change."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import xarray as xr

from plateaus import files
from plateaus.build.recipes import sections
from plateaus.config.plan import Options, checked_plan
from plateaus.config.schema import ConfigError
from plateaus.fields import INFINITE
from plateaus.jobs import (
    checkpoint,
    devices,
    lanes,
    memory,
    pace,
    preparing,
    provenance,
    run,
    sweep,
    tracing,
    worker,
)
from plateaus.jobs.budget import Budget
from plateaus.jobs.sweep import Chunk
from plateaus.report import store

pytestmark = pytest.mark.versions

TINY = {
    "steps": 400,
    "batch": 8,
    "seeds": 2,
    "eval_every": 100,
    "log_every": 50,
    "eval_points": 128,
    "task.name": "sparse_parity",
    "task.dimension": 8,
    "task.relevant_bits": 2,
    "task.dataset_size": 1000,
    "model.name": "mlp",
    "model.width": 8,
}
ZIPF = {"data.zipf_exponent": (0.0, 1.0)}
LAWS = {  # a job with samples of two laws, four predictors and vector metrics
    "steps": 8,
    "batch": 4,
    "seeds": 2,
    "eval_every": 2,
    "log_every": 1,
    "eval_points": 16,
    "pool_points": 16,
    "task.name": "linear_regression",
    "task.dimension": 2,
    "task.points": 3,
    "task.dmmse_tasks": 4,
    "model.name": "transformer",
    "model.width": 8,
    "model.depth": 1,
    "model.heads": 2,
    "model.max_positions": 6,
}
ITEMS = {"data.items": (4, INFINITE)}


def make_plan(swept=ZIPF, base=TINY, **given):
    parts = sections(base)
    given = {**base, **{name.replace("__", "."): value for name, value in given.items()}}
    return checked_plan("tiny", parts, given, swept, "A tiny world.")


def execute(plan, place, **options):
    return run.execute(plan, Options(workdir=place, command="test", **options))


def results(place) -> xr.Dataset:
    return store.load(place / "results.nc")


def snapshot(place):
    return {
        str(p.relative_to(place)): (p.stat().st_mtime_ns, p.read_bytes())
        for p in place.rglob("*")
        if p.is_file() and p.name != ".lock"
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    place = tmp_path_factory.mktemp("whole") / "run"
    assert execute(make_plan(), place) == 0
    return place


def test_leaves_everything_a_reader_needs(whole):
    found = results(whole)
    assert found.sizes == {
        "data.zipf_exponent": 2, "seed": 2, "step": 8, "eval_step": 5
    }  # fmt: skip
    assert found.eval_step.values.tolist() == [0, 100, 200, 300, 400]
    assert found.step.values.tolist() == list(range(50, 401, 50))
    assert (found.status == store.FINISHED).all() and np.isfinite(found.test_loss).all()
    assert (found.uninformed_loss == 1).all() and (found.best_loss == 0).all()
    assert json.loads(found.attrs["baseline"]) == {"data.zipf_exponent": 0.0}
    for name in ("summary.csv", "figures/plateau.png", "figures/plateau.svg", "tensorboard"):
        assert (whole / name).exists()
    (session,) = json.loads((whole / "provenance.json").read_text())["sessions"]
    assert session["runs"] == 4 and session["exactness"][0]["width"] == 16
    assert not list((whole / "checkpoints" / "running").iterdir())


def test_the_same_command_changes_nothing(whole, capsys):
    before = snapshot(whole)
    assert execute(make_plan(), whole) == 0
    assert snapshot(whole) == before
    assert "nothing to do: all 4 runs are finished" in capsys.readouterr().out


def test_a_second_folder_holds_identical_arrays(whole, tmp_path):
    execute(make_plan(), tmp_path / "again")
    xr.testing.assert_identical(results(whole), results(tmp_path / "again"))


def test_more_seeds_and_values_run_only_what_is_missing(tmp_path, capsys):
    grown, fresh = tmp_path / "grown", tmp_path / "fresh"
    execute(make_plan(seeds=1, swept={"data.zipf_exponent": (1.0,)}), grown)
    wide = make_plan(seeds=2, swept={"data.zipf_exponent": (0.0, 0.5, 1.0)})
    capsys.readouterr()
    execute(wide, grown)
    assert "1 of 6 runs are finished already; 5 to run" in capsys.readouterr().out
    execute(wide, fresh)
    xr.testing.assert_identical(results(grown), results(fresh))


def test_a_report_that_was_never_written_is_written(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(run.results, "write", broken)
        assert execute(make_plan(), tmp_path / "run") == 1
    assert not (tmp_path / "run" / "results.nc").exists()
    assert execute(make_plan(), tmp_path / "run") == 0
    assert (results(tmp_path / "run").status == store.FINISHED).all()


def test_every_device_reports_its_own_chunks(monkeypatch, capsys):
    """Each chunk begins on the display before it reports, on the device that took it."""
    seen = []

    class Recorded(lanes.Progress):
        def begin(self, lane, piece):
            seen.append((lane, piece))
            super().begin(lane, piece)

    def fake(job, chunk, device, opening, tell, warn, stop):
        lane = jax.devices().index(device)
        piece = [piece for where, piece in seen if where == lane][-1]
        assert piece.runs == len(chunk.members) and piece.program == chunk.program.address
        tell(worker.Report(0, 0, 0, resumed=100 * piece.runs))
        for _ in range(3):
            tell(worker.Report(100 * piece.runs, 0, 0))

    plan, programs = make_plan(), [SimpleNamespace(address=name) for name in "ab"]
    chunks = [Chunk(program, (0,) * runs, "", ()) for program in programs for runs in (2, 2, 1)]
    finished = SimpleNamespace(records={})
    job = SimpleNamespace(chunks=chunks, plan=plan, options=Options(), finished=finished)
    monkeypatch.setattr(lanes, "Progress", Recorded)
    monkeypatch.setattr(lanes, "run_chunk", fake)
    idle = threading.Event(), lambda: None, threading.Event(), Budget(None), lambda: None
    assert lanes.compute(job, *idle) == lanes.End()
    assert sorted(piece.program for _, piece in seen) == list("aaabbb")
    assert capsys.readouterr().err.splitlines()[-1].startswith("100%")


CRASH = """
import os, signal, sys
from plateaus.jobs import checkpoint, worker
worker.CHECKPOINT_SECONDS = -1.0  # a checkpoint at every phase
real, saves = checkpoint.save, []
def save(folder, arrays, meta):
    path = real(folder, arrays, meta)
    saves.append(path)
    if len(saves) == int(sys.argv[1]):
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
    return path
checkpoint.save = save
from plateaus.jobs.cli import main
sys.exit(main(sys.argv[3:]))
"""


def crash(place, saves, by, config="configs/sparse_parity.py", base=TINY, swept=ZIPF):
    """Run a tiny job in its own process, which sends itself a signal after some checkpoints."""
    words = [f"--config.{n}={v}" for n, v in base.items() if not n.endswith("name")]
    for name, values in swept.items():
        words += ["--sweep", f"{name}={','.join(map(str, values))}"]
    command = [sys.executable, "-c", CRASH, str(saves), by, f"--config={config}"]
    command += [*words, "--workdir", str(place)]
    repository = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    flags = "--xla_force_host_platform_device_count=4"
    return subprocess.run(
        command,
        cwd=repository,
        env={**os.environ, "XLA_FLAGS": os.environ.get("XLA_FLAGS", flags)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(("saves", "damage"), [(1, False), (3, False), (3, True)])
def test_killed_and_resumed_is_bit_identical(whole, tmp_path, capsys, saves, damage):
    place = tmp_path / "run"
    assert crash(place, saves, "SIGKILL").returncode == -signal.SIGKILL
    assert not (place / "results.nc").exists()
    generations = sorted(place.rglob("checkpoint-*.npz"))
    assert len(generations) == min(saves, 2)
    if damage:
        content = bytearray(generations[-1].read_bytes())
        content[len(content) // 2] ^= 1
        generations[-1].write_bytes(content)
    loads = []
    real = checkpoint.load

    def load(folder, report):
        loads.append(real(folder, report))
        return loads[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "load", load)
        assert execute(make_plan(), place) == 0
    assert loads[0][1]["phases"] == saves - 1 - damage  # resumed, not started anew
    assert ("passed over" in capsys.readouterr().err) == damage
    named = {"title": "", "config": ""}  # the plan's words are not the preset's
    ours, theirs = (results(p).assign_attrs(named) for p in (place, whole))
    xr.testing.assert_identical(ours, theirs)


NAMES_ONLY = '''"""Names only."""
from ml_collections import ConfigDict
def get_config():
    names = {"task": {"name": "linear_regression"}, "model": {"name": "transformer"}}
    return ConfigDict(names | {"data": {}, "optim": {}})
def all_defaults(config):
    """A preset."""
def smoke(config):
    """Smaller."""
PRESETS, SCALES = (all_defaults,), {"small": None}
'''


@pytest.mark.thorough  # by the test above of a smaller job
def test_killed_and_resumed_with_laws_is_bit_identical(tmp_path):
    """The samples and what is said of them are made anew, and are the same; vectors are kept.

    Each run in a process of its own: here others have set XLA's flags, which bits depend on.
    """
    place, config = tmp_path / "run", tmp_path / "names_only.py"
    config.write_text(NAMES_ONLY)
    whole = crash(tmp_path / "whole", 99, "SIGKILL", config, LAWS, ITEMS)  # that many there are not
    assert whole.returncode == 0, whole.stderr
    done = crash(place, 3, "SIGKILL", config, LAWS, ITEMS)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (place / "results.nc").exists() and len(list(place.rglob("checkpoint-*.npz"))) == 2
    again = crash(place, 99, "SIGKILL", config, LAWS, ITEMS)
    assert again.returncode == 0, again.stderr
    ours, theirs = results(place), results(tmp_path / "whole")
    xr.testing.assert_identical(ours, theirs)
    grid = {"data.items": 2, "seed": 2}
    assert ours.test_loss_by_prefix.sizes == {**grid, "eval_step": 5, "prefix": 3}
    assert ours.pool_loss_by_prefix_of_dmmse.sizes == {**grid, "prefix": 3}
    assert ours.test_distance_to_ridge.sizes == {**grid, "eval_step": 5}
    assert all(np.isfinite(ours[n]).all() for n in ours if not n.endswith("_step"))
    # fewer tasks: the test sample and its bounds are the same, the pool's are not
    few, infinite = (ours.sel({"data.items": value}) for value in ITEMS["data.items"])
    np.testing.assert_array_equal(few.uninformed_loss, infinite.uninformed_loss)
    assert (few.pool_loss_of_dmmse < few.pool_loss_of_ridge).all()
    assert (few.pool_loss_of_zero != infinite.pool_loss_of_zero).all()


def test_sigterm_saves_and_says_how_to_resume(tmp_path):
    done = crash(tmp_path / "run", 1, "SIGTERM")
    assert done.returncode == 128 + signal.SIGTERM
    assert "The same command goes on from here" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "run").rglob("checkpoint-*.npz"))


def test_a_diverged_run_is_marked_and_disturbs_nobody(tmp_path, capsys):
    rates = {"optim.learning_rate": (0.1, 1e6)}
    calm = {"optim.learning_rate": (0.1, 0.05)}
    assert execute(make_plan(swept=rates), tmp_path / "wild") == 0
    assert "diverged" in capsys.readouterr().out
    execute(make_plan(swept=calm), tmp_path / "calm")
    wild, mild = results(tmp_path / "wild"), results(tmp_path / "calm")
    keep = {"optim.learning_rate": 0}
    xr.testing.assert_identical(wild.isel(keep).drop_attrs(), mild.isel(keep).drop_attrs())
    assert (wild.status[1] == store.DIVERGED).all()
    assert (wild.last_step[1] < 400).all() and np.isnan(wild.test_loss[1, :, -1]).all()


def test_fail_fast_stops_and_keeps_what_it_has(tmp_path, capsys):
    plan = make_plan(swept={"optim.learning_rate": (0.1, 1e6)}, steps=4000)
    assert execute(plan, tmp_path / "run", fail_fast=True) == 1
    assert "--fail-fast" in capsys.readouterr().err
    assert not (tmp_path / "run" / "results.nc").exists()


def test_swept_static_fields_make_programs(tmp_path, capsys):
    plan = make_plan(swept={"model.width": (4, 8), **ZIPF})
    assert execute(plan, tmp_path / "run") == 0
    assert "2 programs x 4 runs: 2 model.width x 2 data.zipf_exponent x 2 seeds" in (
        capsys.readouterr().out
    )
    alone = make_plan(swept=ZIPF)
    execute(alone, tmp_path / "alone")
    both = results(tmp_path / "run").sel({"model.width": 8})
    np.testing.assert_array_equal(both.test_loss, results(tmp_path / "alone").test_loss)
    every = results(tmp_path / "run").parameters
    assert every.dims == ("model.width", "data.zipf_exponent", "seed")
    # an MLP of 8 inputs, two hidden layers of w, one output; a bias each
    wanted = {w: 9 * w + (w + 1) * w + w + 1 for w in (4, 8)}
    for width, count in wanted.items():
        assert (every.sel({"model.width": width}) == count).all()


def test_other_values_of_the_same_fields_compile_nothing():
    plan, other = make_plan(), make_plan(swept={"data.zipf_exponent": (0.25, 3.0)})
    (first,) = sweep.programs(plan, sweep.members(plan))
    (second,) = sweep.programs(other, sweep.members(other))
    assert first.address == second.address
    programs = tracing.compiled(first)
    for p, program in ((plan, first), (other, second)):
        (chunk,) = sweep.chunks(p, program, 4)
        seeds, knobs = tracing.arguments(p, chunk, 4)
        laws, _ = programs.laws(seeds, knobs)
        state, _ = programs.start(seeds, knobs, laws)
        programs.phase(state, seeds, knobs, laws, np.int32(0))
    made = (programs.laws, programs.start, programs.phase)
    assert [one._cache_size() for one in made] == [1, 1, 1]


def test_a_second_process_is_refused(tmp_path):
    with files.lock(tmp_path / "run"), pytest.raises(ConfigError, match="in use by"):
        execute(make_plan(), tmp_path / "run")


def test_what_cannot_fit_is_refused_before_compiling(tmp_path, monkeypatch):
    def no_compiling(*_):
        raise AssertionError("compiled")

    monkeypatch.setattr(memory, "available_bytes", lambda device: 50_000)
    monkeypatch.setattr(lanes, "compute", no_compiling)
    with pytest.raises(ConfigError, match=r"--runs-per-batch \d+ would fit"):
        execute(make_plan(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_cannot_fit_is_refused_without_a_hint_where_there_is_none(tmp_path, monkeypatch):
    """How much another width needs is only information."""

    def fails(*_):
        raise RuntimeError("not this width")

    monkeypatch.setattr(memory, "available_bytes", lambda device: 50_000)
    monkeypatch.setattr(memory, "fitting_width", fails)
    with pytest.raises(ConfigError, match=r"^16 runs at once need .* is free$"):
        execute(make_plan(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_needs_too_much_is_refused_before_anything_is_written(tmp_path, monkeypatch, capsys):
    """A program that is compiled says what it needs; the hint was asked of it as well."""
    monkeypatch.setattr(memory, "available_bytes", lambda device: 250_000)
    with pytest.raises(ConfigError) as refused:
        execute(make_plan(), tmp_path / "run")
    assert "memory: at least 83.5 KiB of 244.1 KiB" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()
    (line,) = refused.value.problems
    fits = int(re.search(r"16 runs at once need .* --runs-per-batch (\d+) would fit", line)[1])
    assert execute(make_plan(), tmp_path / "run", runs_per_batch=fits) == 0


def test_a_later_program_that_needs_too_much_keeps_what_is_finished(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lanes, "at_once", lambda job: 1)  # one program after the other
    plan = make_plan(swept={"model.width": (4, 256)})
    monkeypatch.setattr(memory, "program_bytes", lambda compiled: next(needed))
    small, large = 10**6, 10**12
    needed = iter([small, small, large, large, small, small])
    assert execute(plan, tmp_path / "run") == 1
    said = capsys.readouterr().err
    assert "--runs-per-batch" in said and "finished runs are kept" in said
    assert len(list((tmp_path / "run" / "checkpoints" / "finished").glob("*.npz"))) == 1


@pytest.mark.parametrize("broken", ["least_bytes", "available_bytes", "program_bytes"])
def test_an_estimate_of_memory_never_stops_a_run(tmp_path, monkeypatch, capsys, broken):
    def fails(*_):
        raise RuntimeError("a new JAX\nof which nobody has heard")

    monkeypatch.setattr(memory, broken, fails)
    assert execute(make_plan(), tmp_path / "run") == 0
    unknown = "memory: not known (RuntimeError: a new JAX)" in capsys.readouterr().out
    assert unknown == (broken != "program_bytes")
    (session,) = json.loads((tmp_path / "run" / "provenance.json").read_text())["sessions"]
    assert ("a new JAX" in str(session["memory_bytes"])) == (broken == "program_bytes")


@pytest.mark.parametrize(
    "broken",
    [
        *((provenance, name) for name in ("origin", "source", "_git")),
        *((pace.Pace, name) for name in ("begin", "advance", "seconds_left", "rate")),
        (devices, "processor"),
    ],
    ids=lambda pair: pair[1],
)
def test_what_is_only_information_never_stops_a_run(tmp_path, monkeypatch, broken):
    def fails(*_):
        raise RuntimeError("cannot be known")

    monkeypatch.setattr(*broken, fails)
    assert execute(make_plan(), tmp_path / "run") == 0
    assert (results(tmp_path / "run").status == store.FINISHED).all()


def test_another_experiment_in_the_folder_is_refused(whole):
    before = snapshot(whole)
    with pytest.raises(ConfigError, match=r"optim.learning_rate is 0.1 there, 0.2 here"):
        execute(make_plan(optim__learning_rate=0.2), whole)
    assert snapshot(whole) == before


def test_resume_under_another_width_is_refused_unless_allowed(tmp_path):
    place = tmp_path / "run"
    execute(make_plan(seeds=1), place)
    with pytest.raises(ConfigError, match="width was 16, is 3"):
        execute(make_plan(seeds=2), place, runs_per_batch=3)
    assert execute(make_plan(seeds=2), place, runs_per_batch=3, allow_inexact_resume=True) == 0


def test_a_stranger_s_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match="not a run folder"):
        execute(make_plan(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_full_disk_costs_the_checkpoint_not_the_run(whole, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(worker, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(checkpoint, "save", full)
    assert execute(make_plan(), tmp_path / "run") == 0
    assert "checkpoint not written" in capsys.readouterr().err
    xr.testing.assert_identical(results(tmp_path / "run"), results(whole))


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    assert execute(make_plan(), tmp_path / "run", dry_run=True) == 0
    assert "1 program x 4 runs: 2 data.zipf_exponent x 2 seeds" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_a_dry_run_says_what_each_program_is_for(tmp_path, capsys):
    assert execute(make_plan({"batch": (8, 16)}), tmp_path / "run", dry_run=True) == 0
    lines = capsys.readouterr().out.splitlines()
    (place,) = [n for n, line in enumerate(lines) if line.startswith("2 programs x 2 runs")]
    assert lines[place + 1 : place + 3] == ["  2 runs: batch = 8", "  2 runs: batch = 16"]


def test_a_chunk_is_as_wide_however_many_runs_there_are(tmp_path):
    """Bits depend on the width: a run must not change with the size of its sweep."""
    for seeds in (1, 40):
        made = preparing.prepare(make_plan(seeds=seeds), Options(), tmp_path / "run", print)
        assert set(made.widths.values()) == {16}


def test_runs_off_the_main_thread_too(tmp_path):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(execute(make_plan(), tmp_path / "run")))
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.mark.parametrize(
    ("base", "swept"),
    [
        (TINY, {"batch": (8, 16)}),
        (TINY, {"model.depth": (1, 2, 3)}),  # layers, and so knobs, that the base config has not
        (LAWS, {"task.points": (2, 3)}),  # vectors of two lengths
    ],
    ids=lambda x: "-".join(x),
)
def test_static_fields_can_be_swept_to_the_end(base, swept, tmp_path):
    plan = make_plan(swept, base, steps=base["eval_every"])
    assert execute(plan, tmp_path / "run") == 0
    held = results(tmp_path / "run")
    (name,) = swept
    assert tuple(held[name].values.tolist()) == swept[name]
    assert np.isfinite(held["test_loss"]).all() and (held["batch_size"] > 0).all()
    if "prefix" in held.dims:
        lengths = np.isfinite(held["test_loss_by_prefix"][:, 0, -1]).sum("prefix")
        assert tuple(lengths.values.tolist()) == swept[name]


def test_a_swept_batch_that_items_set_is_refused(tmp_path):
    plan = make_plan({"batch": (4, 8)}, LAWS, batch_per_item=1.0, data__items=4)
    with pytest.raises(ConfigError, match="batch: cannot be swept where batch_per_item sets it"):
        execute(plan, tmp_path / "run")
    assert not (tmp_path / "run").exists()
