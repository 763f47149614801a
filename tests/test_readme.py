"""Every Python snippet of the README runs, and every command in it is one that run.py accepts."""

import re
import shlex
from pathlib import Path

import pytest

from plateaus.config.arguments import parse
from plateaus.jobs.cli import planned

README = Path(__file__).parent.parent / "README.md"


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
