"""The pages on the papers: their tables are of the claims, and what they send to is there."""

import re
from pathlib import Path

import numpy as np
import pytest

from plateaus.evidence import claim, paper_pages
from plateaus.evidence.claim import Claim
from plateaus.evidence.observed import Observed
from plateaus.evidence.verdict import Verdict
from plateaus.report.survival import Interval

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "papers").glob("paper*.md"))


def made(name, **options):
    settings = {"config": "configs/a.py:b", "statistic": "escape", "place": "figure 1"}
    return Claim(id=name, paper=1, sentence=f"Of {name}.", **(settings | options))


@pytest.fixture
def table():
    claims = {"1.1": made("1.1"), "1.2": made("1.2", kind="all", all=("1.2a", "1.3"), config="")}
    claims |= {name: made(name) for name in ("1.2a", "1.3")}
    said = {
        "1.1": Verdict(
            word="supported",
            estimate=Interval(0.5, 0.4, 0.6),
            pairs=16,
            folders=("a",),
            used=Observed(*[np.zeros(0)] * 6),
        ),
        "1.2": Verdict(word="open"),
        "1.2a": Verdict(word="open", estimate=Interval(0.9, 0.7, 1.1), pairs=24),
        "1.3": Verdict(word="supported", estimate=Interval(0.6, 0.5, 0.7), pairs=16),
    }
    return paper_pages.table(1, claims, said)


def test_a_claim_has_its_verdict_its_number_and_its_figure(table):
    (line,) = [line for line in table.splitlines() if "Of 1.1." in line]
    assert "[`a.py:b`](../../experiments/configs/a.py)" in line
    assert "**supported**" in line
    assert "[0.50 [0.40, 0.60], n = 16](../../experiments/results/figures/1.1.md)" in line


def test_parts_stand_in_the_line_of_their_claim(table):
    assert "Of 1.2a." not in table
    (line,) = [line for line in table.splitlines() if "Of 1.2." in line]
    assert "1.2a, open: 0.90 [0.70, 1.10], n = 24" in line and "a.py:b" in line
    assert "1.3, supported: 0.60 [0.50, 0.70], n = 16" in line


def test_what_is_by_hand_stays(tmp_path):
    folder = tmp_path / "docs" / "papers"
    folder.mkdir(parents=True)
    page = folder / "paper1.md"
    page.write_text(f"mine\n{paper_pages.START}\nold\n{paper_pages.END}\nalso\n", encoding="utf-8")
    claims, said = {"1.1": made("1.1")}, {"1.1": Verdict(word="open")}
    new = paper_pages.pages(tmp_path / "experiments", claims, said)
    assert new[page].startswith("mine\n") and new[page].endswith("\nalso\n")
    assert "old" not in new[page] and "Of 1.1." in new[page]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_reading_path_is_of_six_files(page):
    reading = page.read_text(encoding="utf-8").partition("## Read\n")[2]
    files = re.findall(r"^\d\. `([\w/.]+)`", reading, re.MULTILINE)
    assert len(files) == 6
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_every_paper_has_a_page():
    papers = {one.paper for one in claim.read_all(ROOT / "experiments" / "claims").values()}
    assert papers == {int(page.stem.removeprefix("paper")) for page in PAGES}
