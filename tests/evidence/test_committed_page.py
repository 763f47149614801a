"""The page of results, and the numbers quoted elsewhere, are those of the claims and their runs."""

from pathlib import Path

import pytest

from plateaus.evidence import claim, page, paper_pages, quotes, verdicts

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
COMMAND = "python experiments/reproduce.py --page"


@pytest.fixture(scope="module")
def judged():
    claims = claim.read_all(EXPERIMENTS / "claims")
    return claims, verdicts.judge(claims, EXPERIMENTS / "results")


def stale(experiments, claims, judged):
    """The files that are not as the claims and their verdicts have them."""
    path = experiments / "results" / "README.md"
    new = {path: page.text(claims, judged)}
    new |= paper_pages.pages(experiments, claims, judged)
    for place in quotes.places(experiments):
        text = new.get(place, place.read_text(encoding="utf-8"))
        new[place] = quotes.refreshed(text, claims, judged)
    return [
        str(place.relative_to(experiments.parent))
        for place, text in new.items()
        if not place.exists() or place.read_text(encoding="utf-8") != text
    ]


def test_the_page_and_all_quotes_are_of_the_runs_that_are_kept(judged):
    old = stale(EXPERIMENTS, *judged)
    assert not old, f"not of today's claims and runs: {', '.join(old)}; refresh them: {COMMAND}"


@pytest.mark.parametrize(
    ("file", "mark"),
    [
        ("experiments/results/README.md", "# What"),
        ("README.md", "<!--claim 1.33-->"),
        ("experiments/configs/a.py", "Claim 1.33: "),
    ],
)
def test_what_was_changed_by_hand_is_named(file, mark, judged, tmp_path):
    root = tmp_path / "experiments"
    for folder in (root / "results", root / "configs", tmp_path / "docs"):
        folder.mkdir(parents=True)
    quoting = {
        "README.md": "It takes <!--claim 1.33-->1<!--/--> of the time.\n",
        "experiments/configs/a.py": '"""A config.\n\nClaim 1.33: yes.\n"""\n',
    }
    for name, text in quoting.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert stale(root, *judged) == ["experiments/results/README.md", *quoting]
    page.write(root, *judged)
    assert stale(root, *judged) == []
    path = tmp_path / file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mark, f"{mark}9", 1), encoding="utf-8")
    assert stale(root, *judged) == [file]
