"""The start page: it names every file of a run folder, and its commands are accepted."""

import fnmatch
import re
import shlex
from pathlib import Path

import pytest

from plateaus.build.recipes import sections
from plateaus.config.arguments import parse
from plateaus.config.lives import Keep
from plateaus.config.plan import Options, checked_plan
from plateaus.jobs import run
from plateaus.jobs.cli import planned
from plateaus.measures.figures import TABLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
TINY = {
    "steps": 20,
    "batch": 4,
    "seeds": 1,
    "eval_every": 10,
    "log_every": 10,
    "eval_points": 16,
    "task.name": "sparse_parity",
    "task.dimension": 4,
    "task.relevant_bits": 2,
    "model.name": "mlp",
    "model.width": 4,
}


def named(heading):
    """Patterns of files in the first column of the table whose second column has this heading."""
    (table,) = re.findall(rf"\| file \| {heading} \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE)
    return {name for row in table.splitlines() for name in re.findall("`(.*?)`", row.split("|")[1])}


ALWAYS, AT_TIMES = named("is"), named("is there")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Names of all files in the folder of a tiny job, which kept what can be kept."""
    place = tmp_path_factory.mktemp("start") / "run"
    plan = checked_plan("tiny", sections(TINY), TINY, {}, "A tiny world.")
    kept = Keep(state=True, weights=True, steps=(20,))
    assert run.execute(plan, Options(workdir=place, command="test", keep=kept)) == 0
    return [p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file()]


def test_every_file_of_a_run_folder_is_named(files):
    patterns = ALWAYS | AT_TIMES
    assert not [f for f in files if not any(fnmatch.fnmatchcase(f, p) for p in patterns)]


def test_what_is_said_to_be_there_always_is(files):
    assert not [pattern for pattern in ALWAYS if not fnmatch.filter(files, pattern)]


def test_what_is_there_at_times_is_kept_or_a_table_or_of_runs_under_way(files):
    kept = {pattern for pattern in AT_TIMES if fnmatch.filter(files, pattern)}
    assert kept == {"checkpoints/states/*", "checkpoints/weights/*"}
    assert AT_TIMES - kept == {*TABLES} - ALWAYS | {"checkpoints/running/*/*"}


@pytest.mark.parametrize("command", re.findall(r"^python experiments/run\.py (.*)$", PAGE, re.M))
def test_a_command_is_accepted(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = parse(shlex.split(command, comments=True))
    assert not arguments.problems and not arguments.unknown
    if not arguments.options.list:
        planned(arguments)
