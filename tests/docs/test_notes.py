"""The notes: every link of the log and the index leads to a heading, and decisions are numbered."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTES = ROOT / "docs" / "notes"
PAGES = [ROOT / "BUILD_NOTES.md", *sorted(NOTES.rglob("*.md"))]
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
DECISION = re.compile(r"^## D(\d+)\. ", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+\.md)?(?:#([\w-]+))?\)")


def anchor(heading):
    """The anchor that GitHub and MyST give to a heading."""
    kept = (c for c in heading.lower() if c.isalnum() or c in " -_")
    return "".join(kept).strip().replace(" ", "-")


def dead(page):
    """The links of a page within the repository that lead to no file, or to no heading of one."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for path, part in LINK.findall(text):
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield path
        elif part:
            headings = HEADING.findall(file.read_text(encoding="utf-8"))
            if part not in map(anchor, headings):
                yield f"{path}#{part}"


def numbers(folder):
    """The numbers of the decisions, file by file."""
    files = sorted(folder.glob("*.md"))
    return {f: [int(n) for n in DECISION.findall(f.read_text(encoding="utf-8"))] for f in files}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_headings(page):
    assert [*dead(page)] == []


def test_a_dead_link_is_found(tmp_path):
    page = tmp_path / "a.md"
    page.write_text("# One\n[a](#one) [b](#two) [c](b.md) [d](a.md#one)\n", encoding="utf-8")
    assert [*dead(page)] == ["#two", "b.md"]


def test_decisions_have_a_number_each():
    """The next decision has the number after the last; within a file they increase."""
    found = numbers(NOTES / "decisions")
    every = sorted(n for file in found.values() for n in file)
    assert every == [*range(1, len(every) + 1)], f"the next one is D{len(set(every)) + 1}"
    assert all(file == sorted(file) for file in found.values())


def test_the_index_names_every_decision():
    text = (NOTES / "index.md").read_text(encoding="utf-8")
    named = [int(n) for n in re.findall(r"\[D(\d+)\. ", text)]
    assert sorted(named) == [*range(1, len(named) + 1)]
    assert len(named) == sum(map(len, numbers(NOTES / "decisions").values()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_can_be_read_in_one_go(page):
    assert page.read_text(encoding="utf-8").count("\n") < 400
