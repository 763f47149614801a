"""The README: its lines of Python run, and its commands are those that run.py accepts."""

import re
import shlex
from pathlib import Path

import pytest

from plateaus.config.arguments import parse
from plateaus.jobs.cli import planned

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.programs(60)  # as a reader runs it: with all that a run compiles
def test_the_five_lines_run(monkeypatch, tmp_path, capsys):
    (code,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    short = code.replace('zipf")', 'zipf").smoke()')  # the same path, in seconds
    assert short != code
    exec(compile(short, str(README), "exec"), {})
    assert (tmp_path / "plateau.png").read_bytes().startswith(b"\x89PNG")
    assert "zipf" in capsys.readouterr().out


def commands():
    lines = [line for block in blocks("bash") for line in re.findall(r"run\.py (.*)", block)]
    return lines + re.findall(r"`python experiments/run\.py (.*?)`", README.read_text())


@pytest.mark.parametrize("command", commands())
def test_command_is_accepted(command, monkeypatch):
    monkeypatch.chdir(README.parent)
    arguments = parse(shlex.split(command, comments=True))
    assert not arguments.problems and not arguments.unknown
    if not arguments.options.list and arguments.options.fields is None:
        planned(arguments)


def test_the_map_is_of_the_rooms_there_are():
    """Every folder with a file of the package is on it, and nothing that is not there."""
    (drawn,) = re.findall(r"```\n(plateaus/.*?)```", README.read_text(), re.DOTALL)
    package, experiments = ROOT / "plateaus", ROOT / "experiments"
    files = [*package.rglob("*.py"), *experiments.rglob("*.py")]
    rooms = {path.parent.name for path in package.rglob("*.py")}
    others = {path.name for path in [*ROOT.iterdir(), *experiments.iterdir()]}
    assert rooms <= set(re.findall(r"(\w+)/", drawn)) <= rooms | others
    assert set(re.findall(r"(\w+\.py)", drawn)) <= {path.name for path in files}
