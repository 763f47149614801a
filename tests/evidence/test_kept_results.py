"""What is wrong with kept folders: nothing with those of experiments/results, all with bad ones."""

import dataclasses
import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from plateaus import report
from plateaus.config.arguments import parse
from plateaus.config.schema import ConfigError
from plateaus.evidence import best_rates, claim, kept, records, settings, union
from plateaus.evidence.verdict import FIGURES
from plateaus.jobs import identities
from plateaus.jobs.cli import main, planned
from plateaus.report import private

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
BEFORE = "before"  # there were rules
OTHERS = (BEFORE, FIGURES, best_rates.FOLDER)
FOLDERS = [p for p in (EXPERIMENTS / "results").iterdir() if p.is_dir() and p.name not in OTHERS]
MOST_BYTES = 2_000_000  # of a folder


def problems(folder, claims):
    """What is wrong with a kept folder, a line each; `claims` are all there are."""
    names = {path.name for path in folder.iterdir()}
    if names != {*records.FILES}:
        return [f"files: {sorted(names ^ {*records.FILES})}"]
    own = [one for one in claims if one.is_run and kept.name(one) == folder.name]
    if not own:
        return ["name: of no claim"]
    try:
        held, dataset = records.read(folder), report.from_csv(folder)
        report.summarise(dataset)
    except (ConfigError, ValueError, KeyError) as error:
        return [f"cannot be read: {error}"]
    found = [f"identity: {line}" for line in identities.unlike(folder, plan_of(own))]
    texts = [(folder / name).read_bytes() for name in records.FILES]
    texts = [gzip.decompress(text) if text[:2] == b"\x1f\x8b" else text for text in texts]
    found += [f"path: {path}" for text in texts for path in private.paths(text.decode())]
    rows = [row for several in held.runs.values() for row in several]
    arms = [arm for one in own for arm in (one.treated, one.baseline_setting) if arm] or [{}]
    alone = [row for row in rows if not any(settings.matches(row, arm) for arm in arms)]
    found += [f"runs: {len(alone)} of a setting of no claim"] * bool(alone)
    if sum(path.stat().st_size for path in folder.iterdir()) > MOST_BYTES:
        found.append("size: too large for a repository")
    return found


def plan_of(claims):
    """The plan of claims' runs, as their config gives it today."""
    return planned(parse(kept.options(claims)))[0]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_kept_folders_are_what_their_claims_say(folder):
    assert problems(folder, claim.read_all(EXPERIMENTS / "claims").values()) == []


ZIPF = "data.zipf_exponent"
MADE = claim.Claim(
    id="1.1",
    paper=1,
    place="",
    sentence="",
    config="configs/sparse_parity.py:zipf",
    horizon=400,
    set={"eval_every": 100, "task.relevant_bits": 2, "task.dimension": 4},
    treated={ZIPF: 1.0},
    baseline_setting={ZIPF: 0.0},
    statistic="escape",
    smallest_effect=0.8,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs of the claim, made by the command that its options are."""
    place = tmp_path_factory.mktemp("runs") / "run"
    words = [*kept.options([MADE]), "--seeds", "1000:1003", "--workdir", str(place)]
    assert main(words) == 0
    return place


@pytest.fixture
def folder(run, tmp_path):
    place = tmp_path / kept.name(MADE)
    assert union.add(place, run) == 6
    return place


def test_a_folder_of_real_runs_is_fine(run, folder):
    assert problems(folder, [MADE]) == []
    whole, ours = report.from_csv(run), report.from_csv(folder)
    for name in ("escape_step", "lowest_loss", "area_at_1.0", "test_accuracy_reaches_0.9"):
        np.testing.assert_array_equal(ours[name], whole[name])
    rows = report.summarise(whole), report.summarise(ours)
    assert [dataclasses.replace(row, notes=()) for row in rows[0]] == [
        dataclasses.replace(row, notes=()) for row in rows[1]
    ] or str(rows[0]) == str(rows[1])  # NaN is not NaN
    assert union.add(folder, run) == 0


def _write(path, change):
    data = path.read_bytes()
    packed = data[:2] == b"\x1f\x8b"
    text = change((gzip.decompress(data) if packed else data).decode())
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())


def other_steps(text):
    content = json.loads(text)
    content["identity"]["config"]["batch"] = 7
    return json.dumps(content)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("config.json", other_steps, "identity: batch is 7 there"),
        ("provenance.json", lambda text: text.replace("1000:1003", "/home/me/x"), "path: /home/me"),
        ("curves.csv.gz", lambda text: text.replace("sparse", "/home/me/x"), "path: /home/me/x"),
        ("curves.csv.gz", lambda text: text[:1000], "cannot be read"),
        ("runs.csv", lambda text: text.replace("\n2,", "\n9,"), "cannot be read"),
        ("runs.csv", lambda text: text.replace("2,1.0,", "2,0.5,"), "cannot be read"),
    ],
)
def test_what_is_wrong_is_found(file, change, said, folder):
    _write(folder / file, change)
    assert said in "\n".join(problems(folder, [MADE]))


def test_files_and_names_are_those_of_kept_folders(folder):
    assert problems(folder, []) == ["name: of no claim"]
    elsewhere = folder.with_name("sparse_parity-zipf")
    shutil.copytree(folder, elsewhere)
    assert problems(elsewhere, [MADE]) == ["name: of no claim"]
    other = dataclasses.replace(MADE, treated={ZIPF: 0.5})
    assert problems(folder, [other]) == ["runs: 3 of a setting of no claim"]
    (folder / "provenance.json").rename(folder / "notes.json")
    assert problems(folder, [MADE]) == ["files: ['notes.json', 'provenance.json']"]
