"""Runs added to a finished folder: along another field, on a coarser grid, after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from plateaus.build.recipes import sections
from plateaus.config.lives import Keep
from plateaus.config.plan import Options, checked_plan
from plateaus.config.schema import ConfigError
from plateaus.jobs import checkpoint, identities, run, thinning, weights
from plateaus.report import store

pytestmark = pytest.mark.versions

TINY = {
    "steps": 400,
    "batch": 8,
    "seeds": 2,
    "eval_every": 50,
    "log_every": 50,
    "eval_points": 64,
    "task.name": "sparse_parity",
    "task.dimension": 8,
    "task.relevant_bits": 2,
    "task.dataset_size": 1000,
    "model.name": "mlp",
    "model.width": 8,
}
ZIPF = {"data.zipf_exponent": (0.0, 1.0)}
RATES = {"optim.learning_rate": (0.1, 0.05)}  # .1 is the default, off its neutral value
BOTH = {**ZIPF, **RATES}


def plan_of(swept=ZIPF, **given):
    given = {**TINY, **{name.replace("__", "."): value for name, value in given.items()}}
    return checked_plan("tiny", sections(TINY), given, swept)


def execute(plan, place, **options):
    return run.execute(plan, Options(workdir=place, command="test", **options))


def results(place):
    return store.load(place / "results.nc")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Finished folders by what was asked for, each made once."""
    places = {}

    def make(swept=ZIPF, **given):
        key = repr((swept, given))
        if key not in places:
            places[key] = tmp_path_factory.mktemp("made") / "run"
            assert execute(plan_of(swept, **given), places[key]) == 0
        return places[key]

    return make


@pytest.fixture
def grown(made, tmp_path):
    """A copy of a folder to add to."""
    return shutil.copytree(made(), tmp_path / "grown")


def records_in(place):
    return {p.name: p.read_bytes() for p in (place / "checkpoints" / "finished").iterdir()}


def test_a_second_swept_field_runs_only_what_is_missing(grown, made, capsys):
    before = records_in(grown)
    capsys.readouterr()
    assert execute(plan_of(BOTH), grown) == 0
    said = capsys.readouterr()
    assert "4 of 8 runs are finished already; 4 to run" in said.out and said.err.count("warn") == 0
    assert before.items() < records_in(grown).items()  # the old files are as they were
    xr.testing.assert_identical(results(grown), results(made(BOTH)))
    assert execute(plan_of(BOTH), grown) == 0
    assert "nothing to do: all 8 runs are finished" in capsys.readouterr().out


def test_a_knob_that_was_neutral_is_said_to_round_otherwise(grown, capsys):
    swept = {**ZIPF, "optim.gradient_bias": (0.0, 0.1)}
    assert execute(plan_of(swept), grown, dry_run=True) == 0
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert "optim.gradient_bias: no part of the program of the runs that are in" in line
    assert "4 of 8 runs are finished already" in said.out


def test_fewer_swept_fields_choose_among_the_runs_and_lose_none(made, tmp_path, capsys):
    """Before and after more seeds of the part that was chosen."""
    place = shutil.copytree(made(BOTH), tmp_path / "run")
    whole = results(place)
    capsys.readouterr()
    assert execute(plan_of(optim__learning_rate=0.05), place) == 0
    said = capsys.readouterr().out
    assert "swept over optim.learning_rate; this command is of those with" in said
    assert execute(plan_of(optim__learning_rate=0.05, seeds=3), place) == 0
    after = results(place).sel(seed=[0, 1])
    assert after.sizes == whole.sizes
    same = after.sel({"optim.learning_rate": [0.1, 0.05]})
    xr.testing.assert_equal(same.drop_attrs(), whole.drop_attrs())
    assert identities.held(place)["swept"] == ["data.zipf_exponent", "optim.learning_rate"]


def test_a_third_field_stands_where_all_runs_stood(made, tmp_path, capsys):
    """The old names lack two fields now, the newer ones one."""
    place = shutil.copytree(made(), tmp_path / "run")
    assert execute(plan_of(BOTH), place) == 0
    capsys.readouterr()
    third = {**BOTH, "model.activation": ("relu", "tanh")}
    assert execute(plan_of(third), place, dry_run=True) == 0
    assert "8 of 16 runs are finished already; 8 to run" in capsys.readouterr().out
    assert json.loads((place / "config.json").read_text())["earlier"] == {
        "optim.learning_rate": 0.1
    }


def test_a_coarser_grid_thins_what_is_there(made, tmp_path, capsys):
    """Training does not depend on it: the added runs, and the thinned, are those of a fresh run."""
    place = shutil.copytree(made(), tmp_path / "run")
    before = records_in(place)
    assert execute(plan_of(seeds=3, eval_every=100), place) == 0
    fresh = results(made(seeds=3, eval_every=100))
    xr.testing.assert_identical(results(place), fresh)
    assert fresh.eval_step.values.tolist() == [0, 100, 200, 300, 400]
    assert before.items() < records_in(place).items()
    assert (results(made()).escape_step != fresh.escape_step.sel(seed=[0, 1])).any()
    with pytest.raises(ConfigError) as refused:
        execute(plan_of(seeds=3, eval_every=50), place)
    (line,) = refused.value.problems
    assert "eval_every is 100 there, 50 here. Runs there have no evaluations in between" in line
    assert "--config.eval_every=100, a multiple of it" in line


def test_what_a_coarser_grid_cannot_show_is_refused():
    """Runs that ended at an event have no evaluations after it."""
    plan = plan_of(eval_every=200)
    arrays = {
        "train_loss": np.zeros((1, 8)),
        "test_loss": np.zeros((1, 9)),
        "ended_by": np.array([store.ENDINGS.index("escaped")], np.int8),
    }
    (member,) = [m for m in thinning.sweep.members(plan)][:1]
    with pytest.raises(ConfigError, match=r"1 run.s. in .*x ended at an event"):
        thinning.on_grid(plan, [member], arrays, Path("x"))
    with pytest.raises(ConfigError, match="were evaluated every 50 steps"):
        thinning.on_grid(plan_of(steps=480, eval_every=80, log_every=10), [member], finer(), Path())


def finer():
    """A record of evaluations every 50 steps, under windows of 10."""
    return {"train_loss": np.zeros((1, 40)), "test_loss": np.zeros((1, 9))}


def test_a_folder_that_could_be_added_to_is_named(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "runs" / f"tiny-{identities.digest(identities.identity(plan_of()))}"
    shutil.copytree(made(), there)
    for plan in (plan_of(BOTH), plan_of(eval_every=100)):
        assert run.execute(plan, Options(dry_run=True)) == 0
        assert f"note: --workdir runs/{there.name} would add" in capsys.readouterr().out
    for plan in (plan_of(), plan_of(model__width=9)):
        assert run.execute(plan, Options(dry_run=True)) == 0
        assert "would add" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        ({}, {"steps": 200}, "steps is 400 there, 200 here. Use another --workdir, or the values"),
        ({}, {"eval_points": 32, "batch": 4}, "batch is 8 there, 4 here; eval_points is 64 there"),
        (
            {"optim.learning_rate": 0.05},
            {},
            "learning_rate is 0.05 there, 0.1 here. --sweep optim.learning_rate=0.05,0.1 holds bo",
        ),
    ],
)
def test_what_cannot_be_added_is_explained(there, here, said, tmp_path):
    run.folder.write_config(tmp_path, checked(there))
    with pytest.raises(ConfigError) as refused:
        identities.check(tmp_path, checked(here))
    (line,) = refused.value.problems
    assert said in line and "None" not in line


def checked(given):
    return checked_plan("tiny", sections(TINY), {**TINY, **given}, ZIPF)


def test_what_was_kept_is_known_along_the_other_field(tmp_path, made):
    """Runs go on from states that were kept before it was swept, and their weights are loaded."""
    place, keep = tmp_path / "run", Keep(state=True, weights=True)
    assert execute(plan_of(steps=200), place, keep=keep) == 0
    assert execute(plan_of(BOTH), place, keep=keep) == 0
    xr.testing.assert_identical(results(place), results(made(BOTH)))
    rate = "optim.learning_rate"
    known = [(one.setting[rate], one.step) for one in weights.load(place)]
    assert sorted(known) == [(0.05, 400)] * 4 + [(0.1, 200)] * 4 + [(0.1, 400)] * 4


CRASH = """
import os, signal, sys
from plateaus.jobs import checkpoint, worker
worker.CHECKPOINT_SECONDS = -1.0  # a checkpoint at every phase
real, saves = checkpoint.save, []
def save(*arguments):
    saves.append(real(*arguments))
    if len(saves) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return saves[-1]
checkpoint.save = save
from plateaus.jobs.cli import main
sys.exit(main(sys.argv[1:]))
"""


def killed(place, swept, **given):
    """Run a command in its own process, which is killed after its third checkpoint."""
    words = [f"--config.{n}={v}" for n, v in {**TINY, **given}.items() if not n.endswith("name")]
    for name, values in swept.items():
        words += ["--sweep", f"{name}={','.join(map(str, values))}"]
    words = ["--config=configs/sparse_parity.py", *words, f"--workdir={place}"]
    done = subprocess.run(
        [sys.executable, "-c", CRASH, *words],
        cwd=Path(__file__).parents[2],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize(
    ("swept", "given"),
    [(BOTH, {}), (ZIPF, {"seeds": 3, "eval_every": 100})],
    ids=["field", "grid"],
)
def test_killed_while_the_added_runs_train(swept, given, made, grown, capsys):
    """Resumed, the folder is that of a fresh run of the whole."""
    before = records_in(grown)
    killed(grown, swept, **given)
    assert records_in(grown) == before and list(grown.rglob("checkpoint-*.npz"))
    with pytest.MonkeyPatch.context() as patch:
        loads, real = [], checkpoint.load

        def load(*arguments):
            loads.append(real(*arguments))
            return loads[-1]

        patch.setattr(checkpoint, "load", load)
        assert execute(plan_of(swept, **given), grown) == 0
    assert loads[0][1]["phases"] > 0  # went on, and did not start anew
    xr.testing.assert_identical(results(grown), results(made(swept, **given)))
