"""Every Python snippet of the README runs, and every command in it is one that run.py accepts."""

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


@pytest.mark.programs(180)  # a model's first use is read there without a jit around it
@pytest.mark.parametrize("code", blocks("python"))
def test_snippet_runs(code):
    exec(compile(code, str(README), "exec"), {})


@pytest.mark.parametrize(
    "command", [line for block in blocks("bash") for line in re.findall(r"run\.py (.*)", block)]
)
def test_command_is_accepted(command, monkeypatch, tmp_path):
    monkeypatch.chdir(README.parent)
    for domain in ("prose", "code"):  # where a command says DIR, the reader's own folder of text
        (tmp_path / domain).mkdir()
        (tmp_path / domain / "a.txt").write_text(f"{domain} of a domain, some. " * 2_000)
    command = command.replace("=DIR", f"={tmp_path}")
    arguments = parse(shlex.split(command, comments=True))
    assert not arguments.problems and not arguments.unknown
    if not arguments.options.list:
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
