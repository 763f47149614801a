"""How the documentation is made from docstrings and declarations, and that its links are held."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import plateaus
from plateaus.build.reference import tables

pytest.importorskip("furo")
pytest.importorskip("myst_parser")
pytest.importorskip("latex2mathml")

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))
from building import markers  # noqa: E402 # it stands beside conf.py, as Sphinx wants it
from building.docstrings import restructured  # noqa: E402
from building.mathml import drawn  # noqa: E402
from sphinx.errors import ExtensionError  # noqa: E402

ROOMS = ["plateaus", *(f"plateaus.{n}" for n in plateaus._ROOMS if n != "train")]
BROKEN = """# A page

[no page](gone.md), [no heading](other.md#gone), [no heading here](#gone),
![no picture](gone.png)

```{eval-rst}
.. py:function:: f

   Some *emphasis that does not end.
```
"""


@pytest.mark.parametrize(
    "text, expected",
    [
        ("`a` and `b_c`.", "``a`` and ``b_c``."),
        ("code `over\n    lines`", "code ``over lines``"),
        (r"$\gamma_b$, *so*", r":math:`\gamma_b`, *so*"),
        ("(a, *, b=1) and [B, *shape]", r"(a, \*, b=1) and [B, \*shape]"),
        ("|x| of a_ run_1", r"\|x| of a\_ run_1"),
        ("FILE:PRESET, profile:x", r"FILE\:PRESET, profile:x"),
        ("* one\n* two", "* one\n* two"),
        ("Text.\n\n>>> a * b\n`c`", "Text.\n\n>>> a * b\n`c`"),
        ("    Then\n    $$a\n    b$$", "    Then\n\n    .. math:: a b\n\n"),
        ("Then $$a$$ so", "Then\n\n.. math:: a\n\nso"),
    ],
)
def test_a_docstring_becomes_restructured_text(text, expected):
    assert restructured(text) == expected


def test_a_formula_is_drawn_whole_or_refused():
    assert re.search(r"<mo>arg</mo>.*min", drawn(r"w = \arg\min_v v^2", "block"))
    assert "\\" not in drawn(r"\lVert g \rVert \leftarrow \tfrac12", "inline")
    with pytest.raises(ExtensionError, match=r"\\unheard is not known"):
        drawn(r"\unheard + 1", "inline")


def test_there_is_a_page_for_every_room():
    pages = [page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md")]
    found = [name for page in pages for name in re.findall("<!--exports (.*)-->", page)]
    assert sorted(found) == sorted(ROOMS)
    assert sum("automodule:: plateaus.train" in page for page in pages) == 1


def test_everything_that_is_exported_has_an_entry():
    text = markers.exports(plateaus.optim)
    entries = set(re.findall(r"^\.\. (?:auto|py:)(?:function|class|module):: ([\w.]+)", text, re.M))
    assert entries == {f"plateaus.optim.{name}" for name in plateaus.optim.__all__}
    assert f"**learning_rate** = ``{plateaus.optim.Knobs().learning_rate}``" in text


def test_every_field_is_on_the_page_of_fields():
    titled = tables()
    text = markers.field_sections(titled)
    named = re.findall(r"^\.\. confval:: (\S+)$", text, re.M)
    names = [row.name for rows in titled.values() for row in rows]
    assert named == [name for name in names if name not in ("task.name", "model.name")]
    indexed = re.findall(r"^\.\. confval:: (\S+)\n(?!   :no-index:)", text, re.M)
    assert sorted(indexed) == sorted(set(named))


def test_a_pattern_of_the_contents_without_a_page_is_left_out(tmp_path):
    (tmp_path / "how").mkdir()
    (tmp_path / "how" / "one.md").touch()
    text = "```{toctree}\n:glob:\n\nhow/*\nadd/*\nstart\n```\n"
    assert markers.expand(text, tmp_path / "index.md", tmp_path) == text.replace("add/*\n", "")


def test_a_markdown_file_that_is_no_page_is_offered_as_a_file(tmp_path):
    docs = tmp_path / "docs"
    (docs / "how").mkdir(parents=True)
    for path in (tmp_path / "NOTES.md", docs / "start.md"):
        path.touch()
    text = "[a](../../NOTES.md#b), [c](../start.md#d), [e](../../gone.md)"
    found = markers.expand(text, docs / "how" / "one.md", docs)
    assert found == text.replace("../../NOTES.md#b", "path:../../NOTES.md")


@pytest.mark.thorough  # Sphinx starts, and imports the package
def test_links_that_lead_nowhere_end_the_build(tmp_path):
    for name in ("building", "_static"):
        shutil.copytree(DOCS / name, tmp_path / "docs" / name)
    docs = tmp_path / "docs"
    path = f"sys.path.append({str(DOCS.parent)!r})\n"
    config = (DOCS / "conf.py").read_text(encoding="utf-8")
    (docs / "conf.py").write_text(f"import sys\n{path}{config}", encoding="utf-8")
    (docs / "other.md").write_text("# Another\n\n[fine](index.md#a-page)\n", encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", docs, tmp_path / "out"]
    outcomes = []
    for text in ("# A page\n\n[fine](other.md#another)\n", BROKEN):
        contents = "\n```{toctree}\nother\n```\n"
        (docs / "index.md").write_text(text + contents, encoding="utf-8")
        outcomes.append(subprocess.run(command, capture_output=True, text=True, timeout=120))
    fine, broken = outcomes
    assert fine.returncode == 0, fine.stderr
    assert broken.returncode != 0
    warnings = [line for line in broken.stderr.splitlines() if "WARNING" in line]
    assert len(warnings) == 5, broken.stderr
