"""The command line: a plan out of good options, one clear refusal out of bad ones."""

import dataclasses
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Annotated

import pytest

from plateaus.build import recipes
from plateaus.config import presets
from plateaus.config.plan import Options
from plateaus.config.schema import entries
from plateaus.fields import Field
from plateaus.jobs import cli, identities, sweep

CONFIG = "--config=configs/sparse_parity.py"
RUN = presets.REPOSITORY / "experiments" / "run.py"
KEPT = min((presets.REPOSITORY / "experiments" / "results").glob("sparse_parity-zipf-*"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def executed(monkeypatch):
    """Stand in for the run itself: what it was asked to do."""
    calls: list = []
    fake = types.ModuleType("plateaus.jobs.run")
    fake.execute = lambda *arguments: calls.append(arguments) or 7
    monkeypatch.setitem(sys.modules, "plateaus.jobs.run", fake)
    return calls


@pytest.fixture
def planned(executed):
    def plan(*words):
        assert cli.main([CONFIG, *words]) == 7
        return executed[-1][0]

    return plan


def test_the_main_job(planned, executed, capsys):
    plan = planned()
    assert plan.name == "sparse_parity-zipf"
    assert plan.sweep == {"data.zipf_exponent": (0.0, 0.5, 0.75, 1.0, 1.25, 1.5)}
    assert plan.title.startswith("Does sampling points by a Zipf law")
    assert set(plan.config) == set(entries(recipes.sections(plan.config)))
    assert plan.config["seeds"] == 16 and plan.config["task.name"] == "sparse_parity"
    options = executed[0][1]
    assert options == Options(command=CONFIG, began=options.began) and options.began > 0
    assert capsys.readouterr() == ("", "")


def test_every_preset_resolves_at_every_size(executed):
    path, _ = presets.find("configs/sparse_parity.py")
    for line in presets.listing([path])[1:]:
        for size in ([], ["--smoke"], ["--scale", "medium"], ["--scale", "paper"]):
            assert cli.main([f"{CONFIG}{line.split()[0]}", *size]) == 7
    plans = [plan for plan, _ in executed]
    assert len(plans) == 52 and len({plan.name for plan in plans}) == 13


def test_options_reach_the_run(planned, executed, here):
    planned(
        "--workdir", "some where", "--dry-run", "--fail-fast", "--runs-per-batch=32",
        "--allow-inexact-resume",
    )  # fmt: skip
    options = executed[0][1]
    assert options.workdir == Path("some where") and options.runs_per_batch == 32
    assert options.dry_run and options.fail_fast and options.allow_inexact_resume
    assert options.command.startswith(f"{CONFIG} --workdir 'some where'")
    assert not list(here.iterdir())


def test_overrides_in_both_spellings_and_seeds(planned):
    plan = planned("--config.steps=1e3", "--config.optim.learning_rate", "1", "--seeds", "3")
    assert plan.config["steps"] == 1000 and plan.config["seeds"] == 3
    assert repr(plan.config["optim.learning_rate"]) == "1.0"


def test_sweeps_replace_the_presets_and_keep_their_order(planned):
    plan = planned("--sweep", "optim.learning_rate=.2,.1", "--sweep=data.subset=1,1e-2")
    assert list(plan.sweep.items()) == [
        ("optim.learning_rate", (0.2, 0.1)),
        ("data.subset", (1.0, 0.01)),
    ]
    assert plan.config["data.zipf_exponent"] == 0.0


def test_an_override_of_the_swept_field_fixes_it_and_says_so(planned, capsys):
    plan = planned("--config.data.zipf_exponent=1")
    assert plan.sweep == {} and plan.config["data.zipf_exponent"] == 1.0
    assert capsys.readouterr().out == (
        "data.zipf_exponent is fixed at 1.0; the preset's sweep over it is dropped\n"
    )


def test_smoke_is_smaller_and_gives_way_to_options(planned):
    plan = planned("--smoke", "--seeds=5")
    assert plan.sweep == {"data.zipf_exponent": (0.0, 0.75, 1.5)}
    assert plan.config["steps"] <= 4000 and plan.config["seeds"] == 5
    assert plan.name == "sparse_parity-zipf"


REFUSALS = [
    ([], ["no --config given", "--config=configs/sparse_parity.py"]),
    (["--sweep", "data.subset=1"], ["no --config given"]),
    (["--workdir", str(KEPT)], [f"to go on with that folder add --config={KEPT}"]),
    (["--config=configs/sparse_party.py"], ["no such file", "did you mean configs/sparse_parity"]),
    ([f"{CONFIG}:ziff"], ["'ziff'", "no such preset", "did you mean zipf?"]),
    ([f"{CONFIG}:"], ["no such preset"]),
    ([CONFIG, CONFIG], ["--config: given twice"]),
    ([CONFIG, "--config"], ["--config: expected one argument"]),
    ([CONFIG, "--config.data.zipf_exponet=1"], ["data.zipf_exponet = '1': no such field; did you"]),
    ([CONFIG, "--config.step\ns=1"], ["step\\ns = '1': no such field; did you mean steps?"]),
    ([CONFIG, "--config.=1"], ["no such field"]),
    ([CONFIG, "--config.steps"], ["--config.steps: needs a value"]),
    ([CONFIG, "--config.steps", "--smoke"], ["--config.steps: needs a value"]),
    ([CONFIG, "--config.steps=1000", "--config.steps=2000"], ["--config.steps: given twice"]),
    ([CONFIG, "--config.data.subset=0"], ["data.subset = 0.0: must be in (0, 1]"]),
    ([CONFIG, "--config.data.subset=1.5"], ["data.subset = 1.5: must be in (0, 1]"]),
    ([CONFIG, "--config.optim.learning_rate=nan"], ["optim.learning_rate = nan: must be in"]),
    ([CONFIG, "--config.optim.learning_rate", "-1"], ["optim.learning_rate = -1.0: must be in"]),
    ([CONFIG, "--config.optim.learning_rate=fast"], ["'fast': must be a number"]),
    ([CONFIG, "--config.optim.name=sdg"], ["did you mean sgd?"]),
    ([CONFIG, "--config.batch=-20"], ["batch = -20: must be in [1,"]),
    ([CONFIG, "--config.batch=2.5"], ["batch = 2.5: must be an integer"]),
    ([CONFIG, "--config.task.relevant_bits=30"], ["30: must be at most task.dimension (20)"]),
    ([CONFIG, "--config.task.name=sparse"], ["task.name = sparse: no such task; did you mean"]),
    ([CONFIG, "--config.eval_every=300"], ["eval_every = 300: must divide steps"]),
    ([CONFIG, "--seeds", "0"], ["--seeds = 0: must be in [1,"]),
    (
        [CONFIG, "--seeds=many"],
        ["--seeds = 'many': must be N, A:B or A,B,C of integers in [0, 2147483647]"],
    ),
    ([CONFIG, "--seeds=4:4"], ["--seeds = '4:4': names no seed"]),
    ([CONFIG, "--seeds=1,1"], ["--seeds = '1,1': names a seed twice"]),
    ([CONFIG, "--seeds=1:2:3"], ["--seeds = '1:2:3': must be N, A:B or A,B,C"]),
    ([CONFIG, "--seeds=-1:2"], ["--seeds = '-1:2': must be N, A:B or A,B,C"]),
    ([CONFIG, "--sweep", "optim.learning_rate=0:1:3log"], ["0:1:3log: both ends must be above 0"]),
    ([CONFIG, "--sweep", "optim.learning_rate=0:inf:3"], ["0:inf:3: both ends must be finite"]),
    ([CONFIG, "--sweep", "optim.learning_rate=0:1:1"], ["0:1:1: a range must have from 2 to"]),
    ([CONFIG, "--seeds=3", "--config.seeds=3"], ["both --seeds and --config.seeds"]),
    ([CONFIG, "--scale=papper"], ["--scale = 'papper'", "did you mean paper?"]),
    ([CONFIG, "--sweep", "data.subset="], ["data.subset: the sweep is empty"]),
    ([CONFIG, "--sweep", "data.subset"], ["must be FIELD=v1,v2,..."]),
    ([CONFIG, "--sweep", "=1"], ["must be FIELD=v1,v2,..."]),
    ([CONFIG, "--sweep", "data.subset=.5,,1"], ["data.subset = '': must be a number"]),
    ([CONFIG, "--sweep", "data.subset=1,1.0"], ["data.subset = 1.0: given twice"]),
    ([CONFIG, "--sweep", "data.subst=1"], ["data.subst: no such field; did you mean data.subset"]),
    ([CONFIG, "--sweep", "seeds=1,2"], ["seeds: cannot be swept; use --seeds N"]),
    ([CONFIG, "--sweep=data.subset=1", "--sweep=data.subset=.5"], ["data.subset: given twice"]),
    ([CONFIG, "--sweep=data.subset=1", "--config.data.subset=1"], ["data.subset: both --sweep"]),
    ([CONFIG, "--runs-per-batch=0"], ["--runs-per-batch = 0: must be in [1, inf)"]),
    ([CONFIG, "--runs-per-batch=x"], ["--runs-per-batch = 'x': must be an integer"]),
    ([CONFIG, "--workdir="], ["--workdir = ''"]),
    ([CONFIG, f"--workdir={__file__}"], ["--workdir = "]),
    ([CONFIG, "--smok"], ["--smok: no such option; did you mean --smoke?"]),
    ([CONFIG, "--seed", "3"], ["--seed: no such option; did you mean --seeds?"]),
    ([CONFIG, "--steps=3"], ["--steps: no such option; did you mean --config.steps?"]),
    ([CONFIG, "--data.subset=.1"], ["did you mean --config.data.subset?"]),
    ([CONFIG, "-x"], ["-x: no such option"]),
    ([CONFIG, "zipf"], ["'zipf': not an option"]),
    ([CONFIG, "--", "zipf"], ["'zipf': not an option"]),
    ([CONFIG, "--smoke=1"], ["--smoke: ignored explicit argument '1'"]),
    (["--list", "--sead=1"], ["--sead: no such option"]),
    (["--list", "--config=nowhere.py"], ["no such file"]),
]


@pytest.mark.parametrize(("words", "expected"), REFUSALS)
def test_refusals(words, expected, executed, capsys, here):
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1, err
    for text in expected:
        assert text in err
    assert not executed and not list(here.iterdir())


def test_seeds_and_values_by_choice(planned):
    plan = planned("--seeds=5:7", "--sweep", "optim.learning_rate=1e-3:1e-1:3log,0.5")
    assert plan.seeds == (5, 6) and plan.config["seeds"] == 2
    assert plan.sweep["optim.learning_rate"] == (0.001, 0.01, 0.1, 0.5)
    runs = [(member.values, member.seed) for member in sweep.members(plan)]
    assert runs[:3] == [((0.001,), 5), ((0.001,), 6), ((0.01,), 5)] and len(runs) == 8
    ends = planned("--sweep", "data.curriculum_step=0:1234567:3")
    assert ends.sweep["data.curriculum_step"] == (0, 617284, 1234567)  # as written, and whole
    assert planned("--seeds=1e2").seeds == tuple(range(100))
    first = planned("--sweep", "optim.learning_rate=1e-3:1e-1:3log,0.5")
    assert identities.identity(plan) == identities.identity(first)  # seeds are no part of it


def test_everything_bad_is_told_at_once(executed, capsys):
    words = "--config.task.name=parity --config.steps=-1 --config.data.subst=1 --sede=3 stray"
    assert cli.main([CONFIG, *words.split(), "--seeds=x", "--sweep=batch=a,b"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: 8 problems in the configuration" and len(lines) == 9
    starts = [
        "'stray':",
        "--sede:",
        "task.name",
        "steps",
        "data.subst",
        "--seeds",
        "batch",
        "batch",
    ]
    assert sorted(line.split()[0] for line in lines[1:]) == sorted(starts)
    assert not executed


def test_nothing_is_said_of_the_fields_of_an_unknown_task(executed, capsys):
    words = ["--config.task.name=parity", "--config.task.noise=1", "--sweep=task.depth=1,2"]
    assert cli.main([CONFIG, *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: task.name = parity: no such task")


def test_a_broken_config_file_is_refused_with_its_line(executed, capsys, here):
    (here / "mine.py").write_text("import nothing_of_the_kind\n")
    assert cli.main(["--config=mine.py"]) == 2
    assert "mine.py:1: ModuleNotFoundError" in capsys.readouterr().err
    assert [p.name for p in here.iterdir()] == ["mine.py"]


def test_a_config_must_name_its_task(executed, capsys, here):
    text = Path(presets.REPOSITORY / "experiments/configs/sparse_parity.py").read_text()
    (here / "mine.py").write_text(text.replace('"name": "sparse_parity",', ""))
    assert cli.main(["--config=mine.py"]) == 2
    assert capsys.readouterr().err == "error: task.name: must be given\n"
    (here / "mine.py").write_text(text.replace('"name": "sparse_parity"', '"name": 3'))
    assert cli.main(["--config=mine.py"]) == 2
    assert capsys.readouterr().err == "error: task.name = 3: must be text\n"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NarrowSpec:
    width: Annotated[int, Field(help="width", low=1)] = 8


def test_fields_of_an_exchanged_component_are_dropped_with_a_word(monkeypatch, planned, capsys):
    narrow = recipes.MODELS["mlp"]._replace(spec=NarrowSpec, layers=lambda spec: ("readout",))
    monkeypatch.setitem(recipes.MODELS, "narrow", narrow)
    plan = planned("--config.model.name=narrow")
    assert "model.depth is dropped: the model chosen has no such field" in capsys.readouterr().out
    own = {name: value for name, value in plan.config.items() if name.startswith("model.")}
    assert own == {"model.name": "narrow", "model.width": 40}
    assert cli.main([CONFIG, "--config.model.name=narrow", "--config.model.depth=2"]) == 2
    assert "model.depth = '2': no such field" in capsys.readouterr().err


def test_interrupt_before_running(monkeypatch, executed):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "planned", interrupt)
    assert cli.main([CONFIG]) == 130


def test_list_prints_every_preset(capsys):
    assert cli.main(["--list"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("configs/") and "(default)" in out and ":max_learning_rate" in out


def shell(*words, **environment):
    return subprocess.run(
        [sys.executable, str(RUN), *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(presets.REPOSITORY), **environment},
    )


def test_the_script_refuses_without_traceback(here):
    done = shell(CONFIG, "--config.data.subset=2", "--config.stepps=3")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines()[0] == "error: 2 problems in the configuration"
    assert "Traceback" not in done.stderr and not list(here.iterdir())


def test_help_and_a_wrong_file_are_answered_without_jax():
    for words, code in ((["--help"], 0), (["--config=no.py", "--sede=1"], 2), (["--list"], 0)):
        done = shell(*words, PYTHONPROFILEIMPORTTIME="1")
        assert done.returncode == code and "Traceback" not in done.stderr
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert "argparse" in imported and not imported & {"jax", "flax", "numpy"}


def test_a_missing_installation_is_one_line(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(RUN.read_text())
    done = subprocess.run(
        [sys.executable, "-S", str(script)], capture_output=True, text=True, env={}
    )
    assert done.returncode == 2 and "pip install -e ." in done.stderr
    assert done.stderr.count("\n") == 1
