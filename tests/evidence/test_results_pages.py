"""What lies in experiments/results is shown by a page, and what pages link to is there."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "experiments" / "results"
PAGES = [
    *(path for path in sorted(ROOT.glob("*.md"))),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(RESULTS.rglob("*.md")),
]
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|href)=\"([^\"]+)\"")


def linked(page):
    """The files that a page links to or shows; not the places of the web, nor those in a page."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in (one or other for one, other in LINK.findall(text)):
        path = unquote(target.partition("#")[0])
        if path and not re.match(r"[a-z]+:", path):
            yield (page.parent / path).resolve()


def unshown(pages, folder):
    """The pictures in a folder that no page shows."""
    shown = {path for page in pages for path in linked(page)}
    return [path for path in sorted(folder.rglob("*.png")) if path.resolve() not in shown]


def test_every_picture_is_shown_by_a_page():
    assert unshown(PAGES, RESULTS) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page):
    assert [path for path in linked(page) if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_folder_of_results_that_a_page_names_is_there(page):
    """As `experiments/results/NAME`, a pattern with * included."""
    for name in re.findall(r"experiments/results/([\w./*-]*[\w*])", page.read_text("utf-8")):
        assert [*RESULTS.glob(name)] or name in ("NAME", "README.md"), name


def test_a_picture_without_a_page_is_found(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.png").write_bytes(b"")
    page = tmp_path / "a.md"
    page.write_text("![A](a.png) [gone](c.md#part) [web](https://b.png)", encoding="utf-8")
    assert unshown([page], tmp_path) == [tmp_path / "b.png"]
    assert [*linked(page)] == [tmp_path / "a.png", tmp_path / "c.md"]
