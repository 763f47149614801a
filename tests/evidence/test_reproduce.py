"""Claims taken to verdicts by the command: plans, budgets, kills, another machine, refusals."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plateaus.evidence import claim, kept

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "experiments" / "reproduce.py"
MINE = """
id = "mine"
paper = 0
place = "my notebook"
sentence = "At a higher learning rate the parity of three bits leaves its plateau sooner."
config = "configs/sparse_parity.py:zipf"
horizon = 2000
statistic = "escape"
smallest_effect = 0.8
looks = [8, 16]
set = {"task.relevant_bits" = 2, "eval_every" = 5, "eval_points" = 256, "log_every" = 5}

[contrast]
treated = {"optim.learning_rate" = 0.1}
baseline = {"optim.learning_rate" = 0.03}
"""


def command(place, *words, **more):
    return [sys.executable, str(SCRIPT), *words], {
        "cwd": place,
        "encoding": "utf-8",
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        **more,
    }


def run(place, *words):
    line, how = command(place, *words)
    done = subprocess.run(line, check=False, **how)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    """A claim of one's own, taken to its verdict in a folder of one's own."""
    place = tmp_path_factory.mktemp("mine")
    (place / "mine.toml").write_text(MINE, encoding="utf-8")
    code, text = run(place, "--claim", "mine.toml")
    assert code == 0, text
    return place, text


def test_a_claim_of_ones_own_is_piloted_run_kept_and_judged(decided):
    place, text = decided
    one = claim.read(place / "mine.toml")
    assert one.pilot["passed"] and one.pilot["rule"] == one.rule, one.pilot
    assert "claim mine: supported" in text
    folder = place / "runs" / "claims" / "kept" / kept.name(one)
    assert {path.name for path in folder.iterdir()} >= {"runs.csv", "curves.csv.gz", "config.json"}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 100_000


def test_a_decided_claim_is_not_run_again(decided):
    place, _ = decided
    code, text = run(place, "--claim", "mine.toml")
    assert code == 0 and "run.py" not in text and "claim mine: supported" in text


def test_another_machine_goes_on_from_what_is_kept(decided, tmp_path):
    """It has the kept folder and the claim, but no run folder: nothing is trained again."""
    place, _ = decided
    shutil.copytree(place / "runs" / "claims" / "kept", tmp_path / "runs" / "claims" / "kept")
    stricter = (place / "mine.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(stricter, encoding="utf-8")
    code, text = run(tmp_path, "--claim", "mine.toml", "--dry-run")
    assert (code, text) == (0, "")


def test_what_is_asked_wrongly_is_refused_in_a_line(tmp_path):
    (tmp_path / "mine.toml").write_text(MINE, encoding="utf-8")
    bare = "\n".join(line for line in MINE.splitlines() if not line.startswith("config"))
    (tmp_path / "bare.toml").write_text(bare, encoding="utf-8")
    typo = MINE.replace("learning_rate", "learning_rat")
    (tmp_path / "typo.toml").write_text(typo, encoding="utf-8")
    wrong = {
        ("--claim", "typo.toml", "--dry-run"): "did you mean optim.learning_rate?",
        ("--clam", "x"): "--clam: no such option; did you mean --claim?",
        ("--claim", "1.171"): "--claim 1.171: no such claim; did you mean 1.",
        (): "nothing to do: give --list",
        ("--paper", "9"): "--paper 9",
        ("--paper", "1", "--claim", "2.01"): "--paper: not together with --claim",
        ("--claim", "none.toml"): "none.toml: No such file",
        ("--claim", "mine.toml", "--runs", "none.csv"): "none.csv: No such file",
        ("--claim", "bare.toml"): "claim mine: has no config; give its runs, --runs CSV",
        ("--claim", "1.17", "--runs", "a.csv"): "--runs: name one claim file",
        ("--claim", "1.17", "--budget", "soon"): "soon",
    }
    for words, said in wrong.items():
        code, text = run(tmp_path, *words)
        assert code == 2 and said in text and "Traceback" not in text, (words, text)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.toml", "bare.toml", "typo.toml"}


def test_files_of_ones_own_that_do_not_go_together_are_refused_in_a_line(tmp_path, decided):
    texts = {
        "mine.toml": MINE,
        "twin.toml": MINE.replace("horizon = 2000", "horizon = 1000"),
        "both.toml": MINE.split("paper")[0].replace("mine", "both")
        + 'paper = 0\nplace = ""\nsentence = "s"\nkind = "all"\nall = ["mine", "other"]\n',
        "moved.toml": (decided[0] / "mine.toml")
        .read_text(encoding="utf-8")
        .replace("smallest_effect = 0.8", "smallest_effect = 0.9"),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    wrong = {
        ("mine.toml", "twin.toml"): "id = 'mine' is that of mine.toml, too",
        ("mine.toml", "1.17"): "--claim 1.17: ids and files of claims go in commands",
        ("mine.toml", "both.toml"): "claim both: all: no claim other",
        ("moved.toml",): "passed for another rule",
    }
    for names, said in wrong.items():
        words = [word for name in names for word in ("--claim", name)]
        code, text = run(tmp_path, *words)
        assert code == 2 and said in text and "Traceback" not in text, (names, text)
        assert text.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {*texts}


def test_the_list_needs_no_run(tmp_path):
    code, text = run(tmp_path, "--list", "--paper", "1")
    assert code == 0 and text.count("\n") > 42 and not [*tmp_path.iterdir()]


def test_what_cannot_be_run_holds_up_no_other_claim(tmp_path, decided):
    shutil.copytree(decided[0], tmp_path, dirs_exist_ok=True)
    bad = MINE.replace('"mine"', '"bad"').replace("optim.learning_rate", "optim.rate")
    (tmp_path / "bad.toml").write_text(bad, encoding="utf-8")
    (tmp_path / "mine.toml").write_text(MINE, encoding="utf-8")  # its runs are there
    code, text = run(tmp_path, "--claim", "bad.toml", "--claim", "mine.toml")
    assert code == 2 and "claim mine: supported" in text and "Traceback" not in text
    assert "error: sparse_parity-zipf-" in text.splitlines()[-1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that can be caught")
def test_a_command_that_is_stopped_leaves_nothing_running(tmp_path):
    (tmp_path / "mine.toml").write_text(MINE.replace("2000", "400000"), encoding="utf-8")
    line, how = command(tmp_path, "--claim", "mine.toml")
    with subprocess.Popen(line, **how) as process:
        for text in process.stdout:
            if text.startswith("folder: "):  # it is at work
                break
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()  # ends with the last process that could write there
    assert process.returncode == 2 and "the same command goes on" in rest, rest


@pytest.mark.thorough
def test_a_kill_loses_no_finished_run(tmp_path, decided):
    """Killed with -9 at several moments, it comes to the verdict of an undisturbed command."""
    (tmp_path / "mine.toml").write_text(MINE, encoding="utf-8")
    for seconds in (8, 12, 16):
        line, how = command(tmp_path, "--claim", "mine.toml", start_new_session=True)
        with subprocess.Popen(line, **how) as process:
            time.sleep(seconds)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    code, text = run(tmp_path, "--claim", "mine.toml")
    assert code == 0, text
    name = kept.name(claim.read(tmp_path / "mine.toml"))
    here, there = (p / "runs" / "claims" / "kept" / name for p in (tmp_path, decided[0]))
    for file in ("runs.csv", "curves.csv.gz"):
        ours, theirs = (_without_seconds(folder / file) for folder in (here, there))
        assert ours == theirs
    here, there = (said[said.index("claim mine") :] for said in (text, decided[1]))
    assert here.split("\n  cost")[0] == there.split("\n  cost")[0]


def _without_seconds(path):
    import csv

    if path.suffix == ".gz":
        return path.read_bytes()
    with path.open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
