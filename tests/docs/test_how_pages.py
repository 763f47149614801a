"""Every block of Python in the how-tos and topics runs alone, and every command is accepted."""

import re
import shlex
from pathlib import Path

import pytest

from plateaus.config.arguments import parse
from plateaus.jobs.cli import planned

ROOT = Path(__file__).parents[2]
PAGES = [
    page for folder in ("how", "topics") for page in sorted((ROOT / "docs" / folder).glob("*.md"))
]
OTHERS = {"equinox"}  # what a block may need that is not among our own requirements


def blocks(page, language):
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def named(found):
    return [pytest.param(page, text, id=f"{page.stem}-{n}") for n, (page, text) in enumerate(found)]


SNIPPETS = named([(page, code) for page in PAGES for code in blocks(page, "python")])
COMMANDS = named(
    [
        (page, line)
        for page in PAGES
        for block in blocks(page, "bash")
        for line in re.findall(r"run\.py (.*)", block)
        if "real_models" not in line
    ]
)


@pytest.mark.programs(180)  # as a reader runs them: without a jit around it all
@pytest.mark.parametrize(("page", "code"), SNIPPETS)
def test_a_block_runs_alone(page, code):
    for name in OTHERS:
        if re.search(rf"^import {name}\b", code, re.MULTILINE):
            pytest.importorskip(name)
    space: dict = {}
    exec(compile(code, str(page), "exec"), space)
    if page.stem == "own_loop" and "value" in space:  # what it trains is learned
        targets = space["y"] if "y" in space else space["batch"][1]
        assert float(space["value"]) < 0.5 * float(targets.var())


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_is_accepted(page, command, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    for domain in ("prose", "code"):  # where a command says DIR, the reader's own folder of text
        (tmp_path / domain).mkdir()
        (tmp_path / domain / "a.txt").write_text(f"{domain} of a domain, some. " * 2_000)
    arguments = parse(shlex.split(command.replace("=DIR", f"={tmp_path}"), comments=True))
    assert not arguments.problems and not arguments.unknown
    if not arguments.options.list:
        planned(arguments)
