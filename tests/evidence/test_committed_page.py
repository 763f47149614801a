"""The page of results, and the numbers quoted elsewhere, are those of the claims and their runs."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from plateaus.evidence import (
    claim_caption,
    claim_files,
    page,
    paper_pages,
    quotes,
    svg,
)
from plateaus.evidence.verdict import FIGURES

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
COMMAND = "python experiments/reproduce.py --page"


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


def stale_figures(results, claims, judged):
    """The figures, and their pages, that are not of the claims, their verdicts and their runs."""
    place, wanted, old = results / FIGURES, set(), []
    for one, found, folder in claim_files.drawn(claims, judged, results):
        figure, page_ = place / f"{one.id}.svg", place / f"{one.id}.md"
        wanted |= {figure, page_}
        text = page_.read_text(encoding="utf-8") if page_.exists() else ""
        if svg.digest_of(figure) != claim_files.digest(one, found, folder):
            old.append(figure.name)
        if text != claim_caption.page(one, found):
            old.append(page_.name)
    return old + sorted(path.name for path in {*place.glob("*")} - wanted)


def test_the_figures_are_of_the_runs_that_are_kept(judged):
    old = stale_figures(EXPERIMENTS / "results", *judged)
    assert not old, f"not of today's claims and runs: {', '.join(old)}; refresh them: {COMMAND}"


def test_every_claim_that_rests_on_kept_runs_has_a_figure(judged):
    claims, found = judged
    with_runs = {name for name in claims if found[name].folders and claims[name].kind != "all"}
    assert with_runs == {one.id for one, *_ in claim_files.drawn(*judged, EXPERIMENTS / "results")}
    assert len(with_runs) > 20


@pytest.mark.parametrize("name", ["1.17", "2.06a"])
def test_a_figure_drawn_again_says_the_same(name, judged):
    """Its words: the outlines' last digits are those of a version of matplotlib.

    Where it fails, `claim_files.DRAWN` has to be raised.
    """
    claims, found = judged
    folder = EXPERIMENTS / "results" / found[name].folders[0]
    again = ElementTree.fromstring(claim_files.draw(claims[name], found[name], folder))
    kept = ElementTree.parse(EXPERIMENTS / "results" / FIGURES / f"{name}.svg").getroot()
    assert [*again.itertext()] == [*kept.itertext()]
    assert len([*again.iter()]) == len([*kept.iter()])


def test_a_figure_of_other_runs_and_one_too_many_are_named(judged, tmp_path):
    claims, found = judged
    folder = EXPERIMENTS / "results" / found["1.17"].folders[0]
    (tmp_path / folder.name).symlink_to(folder)
    alone = {"1.17": claims["1.17"]}
    claim_files.write(alone, found, tmp_path)
    assert stale_figures(tmp_path, alone, found) == []
    path = tmp_path / FIGURES / "1.17.svg"
    right = svg.digest_of(path)
    path.write_text(path.read_text("utf-8").replace(right, "0" * len(right)), encoding="utf-8")
    (tmp_path / FIGURES / "1.99.svg").write_bytes(b"")
    assert stale_figures(tmp_path, alone, found) == ["1.17.svg", "1.99.svg"]


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
