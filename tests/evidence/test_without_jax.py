"""Every table and printed number comes of the kept records, where there is no jax."""

import subprocess
import sys
from pathlib import Path

import pytest

from plateaus.evidence import claim, kept, page, pilot, union, verdicts

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
ZIPF = "data.zipf_exponent"
# In an interpreter of its own, where an import of jax, or of what needs it, fails.
READ = """
import sys


class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("jax", "jaxlib", "flax", "optax", "chex"):
            raise ModuleNotFoundError(f"no module {name}", name=name)


sys.meta_path.insert(0, Missing())
from pathlib import Path

from plateaus import report
from plateaus.evidence import claim, page, verdicts
from plateaus.measures.figures import TABLES, summaries

claims, results, *folders = map(Path, sys.argv[1:])
found = claim.read_all(claims)
sys.stdout.reconfigure(encoding="utf-8", newline="")
print(page.text(found, verdicts.judge(found, results)))
for folder in folders:
    dataset = report.from_csv(folder)
    for file, rows in summaries(dataset, report.summarise(dataset)).items():
        print(folder.name, file, len(rows))
        print(TABLES[file].csv(rows))
"""


def run(program, *words):
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        cwd=EXPERIMENTS.parent,
        encoding="utf-8",
        capture_output=True,
        check=False,
    )


def read(claims, results, folders):
    """The page, and the tables of each folder, as a process without jax prints them."""
    done = run(READ, claims, results, *folders)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_needs_jax_fails_there():
    start = READ[: READ.index("from pathlib")]
    for name in ("jax", "plateaus.train"):
        done = run(f"{start}import {name}")
        assert done.returncode == 1 and "no module jax" in done.stderr, name


def test_the_page_and_the_tables_of_kept_folders_need_no_jax():
    claims = claim.read_all(EXPERIMENTS / "claims")
    results = EXPERIMENTS / "results"
    names = {kept.name(one) for one in claims.values() if one.is_run and one.config}
    folders = [results / name for name in sorted(names) if (results / name).is_dir()]
    text = read(EXPERIMENTS / "claims", results, folders)
    assert text.startswith(page.text(claims, verdicts.judge(claims, results)))
    for folder in folders:
        assert f"{folder.name} summary.csv" in text


CLAIM = """
id = "1.1"
paper = 1
place = "p"
sentence = "s"
config = "configs/sparse_parity.py:zipf"
statistic = "escape"
horizon = 2000
smallest_effect = 0.8
looks = [12, 16]
contrast.treated = {"data.zipf_exponent" = 1.0}
contrast.baseline = {"data.zipf_exponent" = 0.0}
"""


@pytest.fixture(scope="module")
def made(run_folder, tmp_path_factory):
    """A claim with made-up runs of it, kept: the folders of claims and results."""
    place = tmp_path_factory.mktemp("made")
    (place / "claims" / "paper1").mkdir(parents=True)
    path = place / "claims" / "paper1" / "a.toml"
    path.write_text(CLAIM, encoding="utf-8")
    pilot.write(path, {"rule": claim.read(path).rule, "passed": True, "minutes_to_cap": 1.0})
    (one,) = claim.read_all(place / "claims").values()
    runs = run_folder(place / "runs", [0.0, 1.0], range(12))
    union.add(place / "results" / kept.name(one), runs)
    return place


def test_a_verdict_and_the_table_of_its_runs_need_no_jax(made):
    (folder,) = (made / "results").iterdir()
    text = read(made / "claims", made / "results", [folder])
    (found,) = verdicts.judge(claim.read_all(made / "claims"), made / "results").values()
    assert found.pairs == 12 and page.text(claim.read_all(made / "claims"), {"1.1": found}) in text
    lines = text[text.index(f"{folder.name} summary.csv 2") :].splitlines()
    assert lines[1].startswith("data.zipf_exponent,") and len(lines[1].split(",")) > 10
    assert [line.split(",")[0] for line in lines[2:4]] == ["0.0", "1.0"]
