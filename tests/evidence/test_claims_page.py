"""docs/claims.md, followed as it stands: its claim, its runs, its fields."""

import dataclasses
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from plateaus.evidence import claim, cli, fields, verdict, verdicts

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "claims.md"
README = ROOT / "README.md"


def blocks(language, page=PAGE):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands():
    lines = [line for page in (PAGE, README) for block in blocks("bash", page)
             for line in re.findall(r"reproduce\.py (.*)", block)]  # fmt: skip
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture
def place(tmp_path):
    for name, language in (("my.toml", "toml"), ("my.csv", "csv")):
        text = blocks(language)[0]
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(place, *words):
    line = [sys.executable, str(ROOT / "experiments" / "reproduce.py"), *words]
    done = subprocess.run(line, cwd=place, encoding="utf-8", capture_output=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_its_runs_give_its_claim_a_verdict(place):
    code, text = run(place, "--claim", "my.toml", "--runs", "my.csv")
    assert code == 0 and "claim mine.1: " in text and "8 pairs" in text, text
    found = verdicts.of_file(claim.read(place / "my.toml"), place / "my.csv")
    assert found.word in verdict.DECIDED and f"claim mine.1: {found.word}" in text


def test_its_claim_is_a_plan(place):
    assert len(blocks("toml")[0].splitlines()) == 10
    code, text = run(place, "--claim", "my.toml", "--pilot", "--dry-run")
    assert code == 0 and "pilot" in text and "mine.1" in text, text
    assert {path.name for path in place.iterdir()} == {"my.toml", "my.csv"}


def test_its_claim_may_have_rates():
    first, second = (tomllib.loads(text) for text in blocks("toml"))
    one = claim.made({**first, **second})
    assert one.rates["runs"] == "linear_regression-rates" and one.treated["data.items"] == 32


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command_is_one(words):
    cli.parser().parse_args(words)


def test_its_table_has_every_field_and_its_words_are_those_of_the_program():
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", text[text.index("## Fields") :], re.MULTILINE)
    named = set(re.findall(r"`\[?(\w+)\]?`", " ".join(rows)))
    known = {field.name for field in dataclasses.fields(claim.Claim)}
    # In the file treated and baseline are in [contrast]; these three stand beside what needs them.
    beside = {"treated", "baseline_setting", "value", "at", "all", "check"}
    assert named - {"contrast"} == known - beside
    for name in (*fields.STATISTICS, *fields.CHOICES["kind"], *fields.CHOICES["direction"]):
        assert re.search(rf'`"?{name}"?`', text), name
    for word in verdict.WORDS:
        assert word in text, word
