"""Merging: the runs of several folders in one, as if one command had made them."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import jax
import pytest
import xarray as xr

from plateaus import files
from plateaus.build.recipes import sections
from plateaus.config import lives
from plateaus.config.arguments import parse
from plateaus.config.plan import Options, checked_plan
from plateaus.jobs import checkpoint, cli, identities, run, weights
from plateaus.jobs.recorded import plan_of as recorded_plan
from plateaus.report import store

pytestmark = pytest.mark.versions

TINY = {
    "steps": 400,
    "batch": 8,
    "eval_every": 100,
    "log_every": 50,
    "eval_points": 64,
    "task.name": "sparse_parity",
    "task.dimension": 8,
    "task.relevant_bits": 2,
    "task.dataset_size": 1000,
    "model.name": "mlp",
    "model.width": 8,
}
ALL = (0.0, 0.5, 1.0, 1.5)


def plan_of(exponents=ALL, seeds=(0, 1, 2, 3), others=None, **given):
    given = {**TINY, "seeds": len(seeds), **{n.replace("__", "."): v for n, v in given.items()}}
    swept = {"data.zipf_exponent": exponents, **(others or {})}
    return checked_plan("tiny", sections(TINY), given, swept, "A tiny world.", seeds=seeds)


def execute(plan, place, **options):
    return run.execute(plan, Options(workdir=place, command="test", **options))


def results(place):
    return store.load(place / "results.nc")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Finished folders by what was asked for, each made once."""
    places = {}

    def make(*wanted, keep=lives.KEEP_NOTHING, **given):
        key = repr((wanted, keep, given))
        if key not in places:
            places[key] = tmp_path_factory.mktemp("made") / "run"
            assert execute(plan_of(*wanted, **given), places[key], keep=keep) == 0
        return places[key]

    return make


def merge(into, *sources, words=()):
    return cli.main(["--merge", *map(str, sources), f"--workdir={into}", *words])


def refused(into, *sources, words=(), capsys):
    """The one line of a refusal, after which nothing is written."""
    before = snapshot(into)
    capsys.readouterr()
    assert merge(into, *sources, words=words) == 2
    assert snapshot(into) == before
    (line,) = capsys.readouterr().err.splitlines()
    return line


def snapshot(place):
    return {p: p.read_bytes() for p in place.rglob("*") if p.is_file() and p.name != files.LOCK}


def finished(place):
    return sorted((place / "checkpoints" / "finished").glob("*.npz"))


HALVES = {
    "seeds": [(ALL, (0, 1)), (ALL, (2, 3))],
    "settings": [((0.0, 0.5), (0, 1, 2, 3)), ((1.0, 1.5), (0, 1, 2, 3))],
    "alternate": [((0.0, 1.0), (0, 1, 2, 3)), ((0.5, 1.5), (0, 1, 2, 3))],
    "overlapping": [(ALL, (0, 1, 2)), (ALL, (1, 2, 3))],
}


@pytest.mark.parametrize("way", HALVES)
@pytest.mark.parametrize("backwards", [False, True])
def test_two_halves_are_the_whole(way, backwards, made, tmp_path, capsys):
    halves = [made(*half) for half in HALVES[way]]
    capsys.readouterr()
    assert merge(tmp_path / "into", *halves[:: -1 if backwards else 1]) == 0
    xr.testing.assert_identical(results(tmp_path / "into"), results(made()))
    said = capsys.readouterr().out
    if way == "overlapping":
        assert "4 runs are added, 8 there already with the same bits" in said
    else:
        assert said.count(": 8 runs are added\n") == 2
    assert (tmp_path / "into" / "figures" / "plateau.png").exists()


def test_a_merged_folder_is_as_any_other(made, tmp_path, capsys):
    """It is taken up by a command, goes on, and keeps where its runs come from."""
    into, halves = tmp_path / "into", [made(*half) for half in HALVES["seeds"]]
    assert merge(into, *halves) == 0
    sessions = json.loads((into / "provenance.json").read_text())["sessions"]
    assert [one.get("merged_from") for one in sessions] == [[str(h)] for h in halves] + [None]
    assert sessions[0]["command"] == "test" and sessions[2]["merged"] == [str(h) for h in halves]
    before = snapshot(into)
    capsys.readouterr()
    assert merge(into, *halves) == 0
    assert "nothing to do: all 16 runs are there" in capsys.readouterr().out
    assert snapshot(into) == before
    assert execute(plan_of(), into) == 0
    assert "nothing to do: all 16 runs are finished" in capsys.readouterr().out
    assert execute(plan_of(seeds=(0, 1, 2, 3, 4)), into, dry_run=True) == 0
    assert "16 of 20 runs are finished already; 4 to run" in capsys.readouterr().out


def test_archives_are_added_to_a_folder_that_holds_runs(made, tmp_path):
    one, two, three = (made(ALL, seeds) for seeds in ((0,), (1,), (2, 3)))
    into = shutil.copytree(one, tmp_path / "into")
    shutil.make_archive(str(tmp_path / "top"), "gztar", two)
    shutil.make_archive(str(tmp_path / "inside"), "zip", three.parent, three.name)
    assert merge(into, tmp_path / "top.tar.gz", tmp_path / "inside.zip") == 0
    xr.testing.assert_identical(results(into), results(made()))


def test_an_archive_may_hold_several_folders(made, tmp_path, capsys):
    for i, half in enumerate(HALVES["seeds"]):
        shutil.copytree(made(*half), tmp_path / "runs" / f"half{i}")
    archive = Path(shutil.make_archive(str(tmp_path / "runs"), "tar", tmp_path, "runs"))
    capsys.readouterr()
    assert merge(tmp_path / "into", archive) == 0
    assert f"{archive}: runs/half1: 8 runs are added" in capsys.readouterr().out
    xr.testing.assert_identical(results(tmp_path / "into"), results(made()))


def test_runs_of_an_earlier_format_are_merged(tmp_path):
    old = Path(__file__).parents[1] / "fixtures" / "run_of_format_2"
    assert merge(tmp_path / "into", shutil.copytree(old, tmp_path / "old")) == 0
    found, before = results(tmp_path / "into"), store.load(old / "results.nc")
    assert found.attrs["title"] == before.attrs["title"]
    xr.testing.assert_equal(found[[*before]].drop_attrs(), before.drop_attrs())


@pytest.mark.parametrize("backwards", [False, True])
def test_of_two_records_of_a_run_the_longer_counts(backwards, made, tmp_path, capsys):
    whole = made()

    def stop(arrays, meta):
        arrays["last_step"] = arrays["last_step"] - 200
        arrays["status"] = arrays["status"] * 0 + store.UNFINISHED
        arrays["ended_by"] = arrays["ended_by"] * 0 + store.ENDINGS.index("stopped")

    stopped = changed(whole, tmp_path / "stopped", stop)
    both = [whole, stopped][:: -1 if backwards else 1]
    assert merge(tmp_path / "into", *both) == 0
    xr.testing.assert_identical(results(tmp_path / "into"), results(whole))
    assert len(finished(tmp_path / "into")) == 1 + backwards


def test_a_home_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    options = parse(["--merge", "~/a", "b.zip", "--workdir=~/c"]).options
    assert options.merge == [tmp_path / "a", Path("b.zip")] and options.workdir == tmp_path / "c"


def test_a_dry_run_says_what_would_be_added(made, tmp_path, capsys):
    halves = [made(*half) for half in HALVES["seeds"]]
    capsys.readouterr()
    assert merge(tmp_path / "into", *halves, words=["--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"{halves[0]}: 8 runs are added" in said and "nothing was written" in said
    assert not (tmp_path / "into").exists()


# Refusals.


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("name", ["../evil/config.json", "/evil/config.json", "C:\\config.json"])
def test_an_archive_with_a_path_outside_itself_is_not_read(kind, name, tmp_path, capsys):
    path = tmp_path / f"bad.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, "{}")
    else:
        with tarfile.open(path, "w") as tar:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    line = refused(tmp_path / "into", path, capsys=capsys)
    assert f"--merge {path}: names a place outside itself" in line
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]


def test_what_is_no_run_is_refused(made, tmp_path, capsys):
    half, into = made(*HALVES["seeds"][0]), tmp_path / "into"

    def line(*sources, words=()):
        return refused(into, *sources, words=words, capsys=capsys)

    (tmp_path / "text.zip").write_text("text")
    (tmp_path / "empty").mkdir()
    cut = Path(shutil.make_archive(str(tmp_path / "cut"), "gztar", half))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("run/config.json", '{"config": {}}')
    assert line(bad) == f"error: {bad}/config.json: damaged, or of no run"
    assert "neither a folder nor an archive" in line(half, tmp_path / "text.zip")
    assert "not a run folder (it has no config.json)" in line(half, tmp_path / "empty")
    assert f"--merge {cut}: cannot be unpacked" in line(cut)
    assert "no such folder or archive" in line(tmp_path / "nowhere")
    assert "--seeds: not with --merge" in line(half, words=["--seeds=3"])
    assert "--config.steps or --sweep: not with" in line(half, words=["--config.steps=3"])
    assert "is the --workdir as well" in refused(half, half, capsys=capsys)
    with files.lock(half):
        assert f"{half} is in use by process" in line(half)
    assert cli.main(["--merge", str(half)]) == 2
    assert "--merge: needs --workdir" in capsys.readouterr().err
    shutil.copytree(half, tmp_path / "old")
    content = json.loads((tmp_path / "old" / "config.json").read_text())
    content["identity"]["format"] = 1
    (tmp_path / "old" / "config.json").write_text(json.dumps(content))
    assert f"than {half}: format is 1 there, {identities.FORMAT} here" in line(
        half, tmp_path / "old"
    )


def test_another_experiment_is_refused_by_its_fields(made, tmp_path, capsys):
    half, other = made(*HALVES["seeds"][0]), tmp_path / "other"
    run.folder.write_config(other_folder(other), plan_of(model__width=4, batch=4))
    line = refused(tmp_path / "into", half, other, capsys=capsys)
    assert f"{other} holds another experiment than {half}: batch is 4 there, 8 here; model" in line


def other_folder(place):
    place.mkdir()
    return place


def changed(source, place, change):
    """A copy of a folder, with the arrays and notes of its files changed, and verified."""
    shutil.copytree(source, place)
    for path in finished(place):
        arrays, meta = checkpoint.read_arrays(path)
        change(arrays, meta)
        checkpoint.write_arrays(path, arrays, meta)
    return place


def test_the_same_run_with_other_bits_is_refused(made, tmp_path, capsys):
    half = made(*HALVES["seeds"][0])

    def change(arrays, meta):
        arrays["test_loss"] = arrays["test_loss"].copy()
        arrays["test_loss"][1, 2] += 1e-6

    other = changed(half, tmp_path / "other", change)
    line = refused(tmp_path / "into", half, other, capsys=capsys)
    assert f"{other} and {half} hold a run with other bits (data.zipf_exponent = 0.0, seed" in line
    assert line.endswith(": test_loss")


def test_runs_that_were_observed_otherwise_are_refused(made, tmp_path, capsys):
    def observed(batches):
        return lambda arrays, meta: meta.update(observed={"gradient_batches": batches})

    one, two = (
        changed(made(*half), tmp_path / f"{i}", observed(i + 2))
        for i, half in enumerate(HALVES["seeds"])
    )
    line = refused(tmp_path / "into", one, two, capsys=capsys)
    assert "observed otherwise than those in" in line
    assert "gradient_batches is 3 there, 2 here" in line


def test_damaged_files_are_named_and_the_others_are_added(made, tmp_path, capsys):
    two = made(ALL, (0, 1, 2, 3, 4, 5))  # in two chunks
    place = shutil.copytree(two, tmp_path / "two")
    first, second = finished(place)
    first.write_bytes(first.read_bytes()[:-1])
    assert merge(tmp_path / "into", place) == 0
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert f"warning: finished runs passed over, they are not merged: {first}" in line
    assert [path.name for path in finished(tmp_path / "into")] == [second.name]


# Exactness, of pairs.


def of_another_machine(source, place):
    return changed(source, place, lambda _, meta: meta["exactness"].update(threads=99))


def assert_same_but_for_exactness(one, other):
    """The records of exactness are two in `one`, and one in `other`."""
    assert [len(set(each.exactness.values.flat)) for each in (one, other)] == [2, 1]
    xr.testing.assert_identical(one.drop_vars("exactness"), other.drop_vars("exactness"))


def test_pairs_must_be_of_one_exactness_and_others_need_not(made, tmp_path, capsys):
    threads = checkpoint.read_arrays(finished(made())[0])[1]["exactness"]["threads"]
    one, two = (made(*half) for half in HALVES["settings"])
    other = of_another_machine(two, tmp_path / "other")
    line = refused(tmp_path / "into", one, other, capsys=capsys)
    assert f"threads was {threads}, is 99 (seeds 0, 1, 2, 3). " in line
    assert "--allow-inexact-resume" in line
    assert merge(tmp_path / "into", one, other, words=["--allow-inexact-resume"]) == 0
    assert_same_but_for_exactness(results(tmp_path / "into"), results(made()))


def test_what_is_added_to_a_merged_folder_matches_what_it_is_compared_with(made, tmp_path, capsys):
    one, two = (made(*half) for half in HALVES["seeds"])
    into = tmp_path / "into"
    assert merge(into, one, of_another_machine(two, tmp_path / "other")) == 0
    assert_same_but_for_exactness(results(into), results(made()))  # seeds 2 and 3 are of another
    more = (*ALL, 2.0)
    assert execute(plan_of(more, (0, 1)), into, dry_run=True) == 0
    assert execute(plan_of(ALL, (4,)), into, dry_run=True) == 0  # in no pair: like one of two
    with pytest.raises(Exception, match=r"threads was 99, is \d+ \(seeds 2, 3\). Use another"):
        execute(plan_of(more), into, dry_run=True)
    third = changed(two, tmp_path / "third", lambda _, meta: meta["exactness"].update(jax="0.1"))
    assert merge(tmp_path / "far", of_another_machine(one, tmp_path / "o"), third) == 0
    with pytest.raises(Exception, match=r"4 new ones would not match bit for bit: threads was 99"):
        execute(plan_of(ALL, (4,)), tmp_path / "far", dry_run=True)


# Other sweeps, other grids, kept states.


def test_folders_with_another_swept_field_and_another_grid_are_joined(made, tmp_path):
    """One runs along a field at whose value the other stands; of both grids the coarser counts."""
    rates = {"optim.learning_rate": (0.1, 0.05)}
    fine = made(ALL, (0, 1), eval_every=50)
    coarse = made(ALL, (2, 3), others=rates)
    into = tmp_path / "into"
    assert merge(into, fine, coarse) == 0
    found = results(into)
    assert found.eval_step.values.tolist() == [0, 100, 200, 300, 400]
    assert (found.status.sel(seed=[0, 1]).sel({"optim.learning_rate": 0.05}) == 0).all()
    part = found.sel({"optim.learning_rate": 0.1}, drop=True)
    xr.testing.assert_equal(part.drop_attrs(), results(made()).drop_attrs())
    assert recorded_plan(into).sweep["optim.learning_rate"] == (0.1, 0.05)


def test_kept_states_come_along(made, tmp_path):
    place = shutil.copytree(made(*HALVES["seeds"][0]), tmp_path / "one")
    states, into = place / "checkpoints" / "states", tmp_path / "into"
    states.mkdir()
    known = {name: {"members": [[{"data.zipf_exponent": 0.0}, i]]} for i, name in enumerate("ab")}
    for name, meta in known.items():
        checkpoint.write_arrays(states / f"{name}.npz", {"w": [1.0]}, {**meta, "steps": 400})
    (states / "b.npz").write_bytes(b"")
    assert merge(into, place) == 0
    there = into / "checkpoints" / "states"
    assert sorted(p.name for p in there.iterdir()) == ["a.npz", "a.npz.json"]
    assert checkpoint.read_arrays(there / "a.npz")[0]["w"].tolist() == [1.0]
    assert merge(into, place) == 0
    less_far = {**known["a"], "steps": 200}
    checkpoint.write_arrays(states / "a.npz", {"w": [2.0]}, less_far)
    assert merge(into, place) == 0
    assert checkpoint.read_arrays(there / "a.npz")[0]["w"].tolist() == [1.0]


KEEP_ALL = lives.Keep(state=True, weights=True)
RATE = "optim.learning_rate"
STATES = lives.Keep(state=True)  # without one, a run is in the way of more steps for the others


@pytest.mark.parametrize("new", [True, False])
def test_states_and_weights_stay_those_of_their_runs(new, made, tmp_path, capsys):
    """Sources stand at fixed values of a field that is swept in the merged folder."""
    into, short = tmp_path / "into", ((0.0,), (0, 1))
    fixed = {rate: made(*short, keep=KEEP_ALL, optim__learning_rate=rate) for rate in (0.2, 0.3)}
    before = {rate: loaded(place) for rate, place in fixed.items()}
    wide = {RATE: (0.1, 0.4)}
    if new:
        sources = [made(*short, wide, keep=STATES), *fixed.values()]
    else:  # the target's first runs have names that lack the field as well
        first = made(*short, keep=KEEP_ALL, optim__learning_rate=0.1)
        target = shutil.copytree(first, into)
        assert execute(plan_of(*short, wide), target, keep=STATES) == 0
        before, sources = {0.1: loaded(first), **before}, [*fixed.values()]
    assert merge(into, *sources) == 0
    both = loaded(into)
    assert len(both) == 2 * len(before)
    for rate, weights_of in before.items():
        for (_, seed), leaves in weights_of.items():
            assert both[rate, seed] == leaves
    there = snapshot(into)
    assert merge(into, *sources) == 0
    assert snapshot(into) == there
    longer = plan_of(*short, {RATE: (0.2,)}, steps=500)
    assert execute(longer, into) == 0
    assert "2 runs of these go on from step 400, with their kept state" in capsys.readouterr().out
    whole = results(made(*short, {RATE: (0.2,)}, steps=500))
    part = results(into).sel({RATE: [0.2]})[[*whole]]
    xr.testing.assert_equal(part.drop_attrs(), whole.drop_attrs())


def loaded(place):
    """The bytes of the weights that a folder keeps, by learning rate and seed; none stand twice."""
    every = weights.load(place)
    by_run = {
        (one.setting.get(RATE), one.seed): [x.tobytes() for x in jax.tree.leaves(one.params)]
        for one in every
    }
    assert len(by_run) == len(every)
    return by_run


# Arrays of other lengths, times.


def test_equal_runs_that_ended_early_in_other_company_are_the_same(tmp_path, capsys):
    """The arrays of a file are as long as its longest run."""
    for name, seeds in (("one", (0, 1)), ("two", (0, 2))):
        plan = plan_of((1.5,), seeds, eval_every=20, log_every=20, optim__learning_rate=0.3)
        assert execute(plan, tmp_path / name, stop_when="escaped") == 0
    one, two = (results(tmp_path / name) for name in ("one", "two"))
    assert one.sizes["eval_step"] > two.sizes["eval_step"]
    assert merge(tmp_path / "into", tmp_path / "one", tmp_path / "two") == 0
    assert "1 runs are added, 1 there already with the same bits" in capsys.readouterr().out
    xr.testing.assert_equal(
        results(tmp_path / "into").sel(seed=[0, 1]).drop_attrs(), one.drop_attrs()
    )

    def change(arrays, meta):
        arrays["test_loss"] = arrays["test_loss"].copy()
        arrays["test_loss"][0, -1] = 0.5  # of seed 0, which has ended before

    other = changed(tmp_path / "one", tmp_path / "other", change)
    line = refused(tmp_path / "into", other, capsys=capsys)
    assert line.endswith("hold a run with other bits (data.zipf_exponent = 1.5, seed 0): test_loss")


def test_some_runs_of_a_file_have_their_share_of_its_seconds(made, tmp_path):
    whole, part = (made(*half) for half in HALVES["overlapping"])
    timed = changed(part, tmp_path / "timed", lambda _, meta: meta.update(seconds=12.0))
    assert merge(tmp_path / "into", whole, timed) == 0
    metas = [checkpoint.read_arrays(path)[1] for path in finished(tmp_path / "into")]
    assert [meta["seconds"] for meta in metas if len(meta["members"]) == 4] == [4.0]


# Kills.

KILLED = """
import os, signal, sys
real, calls = os.replace, []
def replace(*arguments):
    calls.append(arguments)
    if len(calls) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)
os.replace = replace
from plateaus.jobs.cli import main
sys.exit(main(sys.argv[2:]))
"""


def killed_after(files_written, *words):
    """Run a merge in its own process, which is killed before it puts one more file in its place."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(files_written + 1), "--merge", *words],
        cwd=Path(__file__).parents[2],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("files_written", [0, 2, 3, 6])  # config, arrays | their digest, .., table
def test_a_merge_killed_at_any_moment_is_completed_by_the_same_command(
    files_written, made, tmp_path, capsys
):
    halves, into = [made(*half) for half in HALVES["settings"]], tmp_path / "into"
    killed_after(files_written, *map(str, halves), f"--workdir={into}")
    assert not (into / "results.nc").exists()
    if files_written:
        assert execute(plan_of(), into, dry_run=True) == 0  # a valid folder, with fewer runs
        runs = 8 * max(0, (files_written - 1) // 2)
        assert (f"{runs} of 16 runs are" in capsys.readouterr().out) == (runs > 0)
    assert merge(into, *halves) == 0
    xr.testing.assert_identical(results(into), results(made()))
    sessions = json.loads((into / "provenance.json").read_text())["sessions"]
    assert [bool(one.get("merged_from")) for one in sessions].count(True) == 2


@pytest.mark.parametrize("files_written", [1, 2])
def test_a_folder_that_held_runs_is_whole_after_a_kill(files_written, made, tmp_path):
    one, two = (made(*half) for half in HALVES["seeds"])
    into = shutil.copytree(one, tmp_path / "into")
    killed_after(files_written, str(two), f"--workdir={into}")
    xr.testing.assert_identical(results(into), results(one))
    assert execute(plan_of(*HALVES["seeds"][0]), into) == 0
    xr.testing.assert_identical(results(into), results(one))
    assert merge(into, two) == 0
    xr.testing.assert_identical(results(into), results(made()))
