"""The report of claims: what its page is told is what the page of results says."""

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("altair", reason="the report needs the extra `html`")
pytest.importorskip("vl_convert", reason="the report needs the extra `html`")

from plateaus.evidence import claim, cli, report, verdicts
from plateaus.evidence.wording import compared, estimate
from plateaus.report.page import folders

ROOT = Path(__file__).parents[2] / "experiments"
RESULTS = ROOT / "results"
# A ratio of times, one of a metric's first steps, a difference, a share, a task among others.
SOME = ("1.17", "1.08", "1.25b", "1.07", "2.07a", "1.28b")


@pytest.fixture(scope="module")
def some():
    """Some claims, their verdicts by themselves, and what the page is told of them."""
    every = claim.read_all(ROOT / "claims")
    claims = {name: every[name] for name in SOME}
    judged = verdicts.judge(claims, RESULTS)
    return claims, judged, told(claims, judged)


def told(claims, judged):
    read = {}
    for name in claims:
        for folder in judged[name].folders:
            read.setdefault(folder, folders.read(RESULTS / folder))
    return {name: report._entry(one, judged[name], read) for name, one in claims.items()}


def test_the_dots_are_the_pairs_that_give_the_estimate(some):
    claims, judged, entries = some
    for name, entry in entries.items():
        record, verdict = entry.comparison, judged[name]
        assert entry.estimate == estimate(claims[name], verdict) and verdict.word in record["told"]
        if compared(claims[name]) == "share":
            assert record["d"] == []
            continue
        assert len(record["d"]) == verdict.pairs and min(record["r"]) >= claim.FIRST_SEED
        values = np.array(record["d"], np.float64)
        is_ratio = compared(claims[name]) == "ratio"
        mean = np.exp(np.log(values).mean()) if is_ratio else values.mean()
        assert mean == pytest.approx(verdict.estimate.value, rel=2e-3)


def test_curves_are_of_the_two_settings_and_of_what_is_claimed(some):
    _, _, entries = some
    runs = entries["1.17"].runs
    assert [row.setting for row in runs.rows] == [
        {"data.zipf_exponent": 0.75},
        {"data.zipf_exponent": 0.0},
    ]
    assert runs.names == ["data.zipf_exponent=0.75", "data.zipf_exponent=0"] and runs.is_time
    assert runs.results["seed"].values.min() >= claim.FIRST_SEED
    assert entries["1.08"].runs.measures[0].variable == "test_accuracy"
    assert [m.name.rpartition(" of ")[2] for m in entries["2.07a"].runs.measures] == [
        "sparse_parity_2"
    ]
    assert len(entries["1.07"].runs.rows) == 1


def test_the_effect_that_counts_has_its_ends(some):
    _, _, entries = some
    shades = {name: entries[name].comparison["shade"] for name in SOME}
    assert shades["1.17"] == [None, 0.8] and shades["1.28b"] == [None, 1.5]
    assert shades["1.25b"] == [-0.02, 0.02] and shades["1.07"] == [None, 0.1]


@pytest.mark.thorough
def test_all_verdicts_of_runs_have_their_dots():
    claims = claim.read_all(ROOT / "claims")
    judged = verdicts.judge(claims, RESULTS)
    entries = told(claims, judged)
    for name, one in claims.items():
        if one.is_run and judged[name].folders and math.isfinite(judged[name].estimate.value):
            assert entries[name].comparison and entries[name].runs, name


def test_the_command_writes_one_file(tmp_path, capsys, monkeypatch):
    every = claim.read_all(ROOT / "claims")
    claims = {name: every[name] for name in ("1.17", "1.42")}
    monkeypatch.setattr(cli, "read_all", lambda folder: claims)
    path = tmp_path / "claims.html"
    assert cli.main(["--claim", "1.17", "--report", str(path)], ROOT) == 0
    assert capsys.readouterr().out == f"written: {path}\n"
    text = path.read_text(encoding="utf-8")
    assert "claim-1.17-survival" in text and "claim-1.42" not in text
    assert "python experiments/reproduce.py --claim 1.17<" in text
    assert str(ROOT) not in text
    assert cli.main(["--report", str(tmp_path)], ROOT) == 2
    assert "names a file" in capsys.readouterr().err
