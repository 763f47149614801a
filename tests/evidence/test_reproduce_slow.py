"""A shipped claim taken to a look by the command, in a folder of its own: minutes, so slow."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from plateaus.evidence import claim, kept, page, verdicts

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
ID, FILE = "1.33", "paper1/parity_staircase.toml"
SEEDS = 16  # at the first look, which is the last one here


@pytest.fixture
def experiments(tmp_path):
    """A copy of commands, configs and claims, without a run; no pilot of the claim, one look."""
    place = tmp_path / "experiments"
    for name in ("configs", "claims"):
        shutil.copytree(EXPERIMENTS / name, place / name)
    for name in ("run.py", "reproduce.py"):
        shutil.copy(EXPERIMENTS / name, place / name)
    (place / "results").mkdir()
    path = place / "claims" / FILE
    text = path.read_text(encoding="utf-8").split("\n[pilot]\n")[0]
    text = re.sub(r"^looks = .*\n", "", text, flags=re.MULTILINE)
    path.write_text(f"looks = [{SEEDS}]\n{text}", encoding="utf-8")
    return place


def run(place, *words):
    done = subprocess.run(
        [sys.executable, "experiments/reproduce.py", *words],
        cwd=place.parent,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_a_claim_is_taken_to_its_look_and_the_page_says_so(experiments):
    """Pilot, sixteen fresh seeds, verdict, page; the same command then runs nothing."""
    run(experiments, "--page")
    path = experiments / "results" / "README.md"
    before = path.read_text(encoding="utf-8")
    said = run(experiments, "--claim", ID, "--budget", "20m")
    claims = claim.read_all(experiments / "claims")
    one, judged = claims[ID], verdicts.judge(claims, experiments / "results")
    assert one.pilot["passed"] and one.pilot["rule"] == one.rule, said
    with (experiments / "results" / kept.name(one) / "runs.csv").open(encoding="utf-8") as file:
        seeds = [int(row["seed"]) for row in csv.DictReader(file)]
    assert sorted(seeds) == sorted(2 * [*range(8), *range(1000, 1000 + SEEDS)])
    found = judged[ID]
    assert found.seeds == SEEDS == found.pairs + found.censored and found.word != "open"
    after = path.read_text(encoding="utf-8")
    assert after != before and after == page.text(claims, judged) and kept.name(one) in after
    assert f"claim {ID}: {found.word}" in said
    again = run(experiments, "--claim", ID)
    assert "run.py" not in again and path.read_text(encoding="utf-8") == after
