"""Real text through the command line: one clear line for bad input, another run for other texts."""

import json
import os

import pytest

from plateaus.config.arguments import parse
from plateaus.jobs import cli, identities

TEXT = "the quick brown fox jumps over the lazy dog. " * 40


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Two domains of 1800 bytes, in an empty working folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("first", "second"):
        write(tmp_path / "texts", name, TEXT)
    return tmp_path / "texts"


def write(place, domain, text, name="1.txt"):
    (place / domain).mkdir(parents=True, exist_ok=True)
    (place / domain / name).write_bytes(text.encode() if isinstance(text, str) else text)


def arguments(place, *words):
    base = ["--config=configs/mixing.py:text", "--smoke", f"--config.data.folder={place}"]
    return [*base, *words]


def refused(capsys, place, *words):
    """The one line with which the command is refused; nothing is written."""
    assert cli.main(arguments(place, *words)) == 2
    _, error = capsys.readouterr()
    assert not os.listdir() and "Traceback" not in error and error.count("\n") == 1
    assert not list((place.parent / "cache" / "plateaus" / "text").glob(".*"))
    return error


def test_folders_that_are_refused(capsys, place, tmp_path):
    assert "no such folder" in refused(capsys, tmp_path / "nowhere")
    assert "is no folder" in refused(capsys, place / "first" / "1.txt")
    assert "has no sub-folders" in refused(capsys, place / "first")
    write(place, "fir st", TEXT)
    write(place, "fir-st", TEXT)
    assert "'fir st' and 'fir-st' would both be called fir_st" in refused(capsys, place)


def test_one_domain_with_a_mixer(capsys, place):
    os.rename(place / "second", place.parent / "second")
    error = refused(capsys, place, "--sweep=variant=r_and_b")
    assert "r_and_b has nothing to mix: first is the only group" in error


def test_files_that_are_refused(capsys, place):
    write(place, "second", TEXT.encode() + b"\xe9", "2.txt")
    error = refused(capsys, place)
    assert f"{place}/second/2.txt is not UTF-8: byte {len(TEXT)} (" in error
    (place / "second" / "2.txt").unlink()
    os.symlink(place / "gone", place / "second" / "2.txt")
    assert f"{place}/second/2.txt cannot be read" in refused(capsys, place)
    (place / "second" / "2.txt").unlink()
    write(place, "second", "")
    short = "domain second is too short: of its {} tokens {} are {}, and a window takes 17"
    assert short.format(0, 0, "trained on") in refused(capsys, place)
    write(place, "second", TEXT[:100])
    held = "held out by task.target_share"
    assert short.format(100, 10, held) in refused(capsys, place)


def test_shares_and_windows(capsys, place):
    error = refused(capsys, place, "--config.task.test_share=0.95")
    assert "task.test_share = 0.95: leaves nothing to train on" in error
    assert "task.test_share = 0.0: must be" in refused(capsys, place, "--config.task.test_share=0")
    error = refused(capsys, place, "--config.task.windows=5000")
    assert "task.windows = 5000: domain first has room for 1424 different windows" in error
    error = refused(capsys, place, "--config.task.context=65")
    assert "model.max_positions = 48: must be at least 65" in error


def test_what_cannot_be_given_or_swept(capsys, place, tmp_path):
    error = refused(capsys, place, "--config.data.contents=ab")
    assert "data.contents = 'ab': follows from other fields; leave it out" in error
    error = refused(capsys, place, "--config.task.folder=x")
    assert "task.folder = 'x': no such field; did you mean data.folder?" in error
    base = arguments(place, f"--sweep=data.folder={place},{tmp_path}")
    assert cli.main([word for word in base if "config.data" not in word]) == 2
    assert "data.folder: cannot be swept; use --config.data.folder=VALUE" in capsys.readouterr().err


def test_tokenizers_that_are_refused(capsys, place, tmp_path):
    missing = tmp_path / "gone.json"
    assert f"{missing} cannot be read" in refused(
        capsys, place, f"--config.task.tokenizer={missing}"
    )


def plan_of(place):
    return cli.planned(parse(arguments(place)))[0]


def test_other_contents_are_another_experiment(capsys, place, tmp_path):
    """Not resumed in the folder of the first, and by default in a folder of its own."""
    plan = plan_of(place)
    assert plan.config["data.weight_first"] == 1.0 and len(plan.config["data.contents"]) == 16
    held = tmp_path / "held"
    held.mkdir()
    identity = json.dumps({"identity": identities.identity(plan)})
    (held / "config.json").write_text(identity)
    identities.check(held, plan_of(place))  # the same again is the same
    write(place, "second", TEXT.replace("fox", "cat"))
    other = plan_of(place)
    assert identities.locate(other, None, print) != identities.locate(plan, None, print)
    error = refused(capsys, place, f"--workdir={held}")
    both = plan.config["data.contents"], other.config["data.contents"]
    assert f"data.contents is {both[0]!r} there, {both[1]!r} here" in error
    write(place, "second", TEXT)
    assert identities.identity(plan_of(place)) == identities.identity(plan)


def test_the_sample_corpus_is_named(capsys, place):
    """With no folder given."""
    words = [word for word in arguments(place, "--dry-run") if "data.folder" not in word]
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if line.startswith("data.folder: "))
    assert str(place.parent / "cache" / "plateaus" / "sample_corpus") in line
