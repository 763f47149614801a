"""The page of claims, and the figures on it."""

import dataclasses
import itertools
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from markdown_it import MarkdownIt

from plateaus.evidence import forest, page
from plateaus.evidence.claim import Claim
from plateaus.evidence.observed import Arm, Observed
from plateaus.evidence.page_head import MEANINGS
from plateaus.evidence.verdict import WORDS, Verdict
from plateaus.evidence.wording import cell, estimate, rule
from plateaus.report.survival import Interval

LONG = "Wide MMMMM letters and a task_name of 60 characters, more or less, WWWWWWWWWW then end"


def made(name, **fields):
    """A claim about the escape of something."""
    ours = {"id": name, "paper": int(name.split(".")[0]), "place": "section 1", "sentence": "So."}
    ours |= {"config": "configs/a.py:b", "statistic": "escape", "horizon": 100}
    return Claim(**(ours | {"smallest_effect": 0.8} | fields))


def found(value, low=math.nan, high=math.nan, **fields):
    return Verdict(
        **({"word": "supported", "pairs": 64} | fields), estimate=Interval(value, low, high)
    )


def cases():
    """One claim of every verdict and form, with its verdict."""
    claims = [
        made("1.1", role="primary", sentence="A | b, with `x|y` and *stars*.\nTwo lines."),
        made("1.2", kind="all", all=("1.2a", "1.2b"), config="", statistic=""),
        made("1.2a", statistic="value", metric="accuracy", smallest_effect=0.1),
        made("1.2b", direction="greater", smallest_effect=1.25),
        made("1.3", untested="Nothing here records it.", config="", statistic=""),
        made("2.1", before={"verdict": "no", "seeds": 5, "effect": ".9 [.8, 1](2)", "folder": "x"}),
        made("2.2", kind="exact", check="tests/a.py::b", config="", statistic=""),
        made("2.3", kind="descriptive", statistic="share", metric="escape", smallest_effect=0.1),
        made("2.4"),
        made("2.5"),
    ]
    verdicts = [
        found(0.481, 0.392, 0.649, folders=("kept-1",), censored=2, sooner=0.828, minutes=12.34),
        Verdict(word="not tested"),
        found(0.1234, 0.0812, 0.1601, word="supported"),
        found(2.19, 1.9, math.inf, word="contradicted", bound=">"),
        Verdict(word="not tested", why="Nothing here records it."),
        Verdict(word="not yet rerun", why="no pilot yet"),
        Verdict(word="supported", why="exact"),
        found(0.02, 0.0, 0.05),
        found(0.9, 0.7, 1.2, word="inconclusive", detectable=0.713, why="the cap was reached"),
        Verdict(word="not evaluable", why="pilot: 25% of the baselines escape"),
    ]
    names = [claim.id for claim in claims]
    return dict(zip(names, claims, strict=True)), dict(zip(names, verdicts, strict=True))


def rows_of(text):
    """The cells of all tables of a Markdown text, by GitHub's rule, a list of them a row."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[part.strip() for part in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_every_claim_has_a_row_with_its_verdict_alone_in_a_cell():
    claims, verdicts = cases()
    text = page.text(claims, verdicts)
    rows = [row for row in rows_of(text) if len(row) == len(page.COLUMNS)]
    by_id = {row[0].strip("*"): dict(zip(page.COLUMNS, row, strict=True)) for row in rows}
    assert [name for name in by_id if name in claims] == [*claims]
    assert all(by_id[name]["verdict"] == verdicts[name].word for name in claims)
    assert [row[0] for row in rows if row[0].startswith("**")] == ["**1.1**"]
    first = by_id["1.1"]
    assert first["ratio [95% interval]"] == "0.48 [0.39, 0.65]"
    assert first["n"] == "[64](kept-1/) + 2 left out"
    assert (first["P(sooner)"], first["minutes"]) == ("0.83", "12")
    assert by_id["1.2a"]["ratio [95% interval]"] == "+0.12 [+0.08, +0.16]"
    assert by_id["1.2b"]["ratio [95% interval]"] == "> 2.1"
    assert by_id["2.3"]["ratio [95% interval]"] == "share 0.02 [0.00, 0.05]"
    assert not by_id["1.2"]["ratio [95% interval]"] and "holds if 1.2a and 1.2b" in text


def test_an_estimate_leads_to_its_figure_and_a_claim_of_parts_to_theirs():
    claims, verdicts = cases()
    none = np.zeros(0)
    used = Observed(none, Arm(none, none, none), Arm(none, none, none), none, none, none)
    for name in ("1.1", "1.2b", "2.5"):
        verdicts[name] = dataclasses.replace(verdicts[name], folders=("kept-1",), used=used)
    text = page.text(claims, verdicts)
    rows = {row[0].strip("*"): row for row in rows_of(text) if len(row) == len(page.COLUMNS)}
    assert rows["1.1"][3] == "[0.48 [0.39, 0.65]](figures/1.1.md)"
    assert rows["1.2"][3] == "[1.2b](figures/1.2b.md)" and "figures" not in rows["2.3"][3]
    assert rows["2.5"][3] == "[figure](figures/2.5.md)"
    shown = MarkdownIt("commonmark").enable("table").render(text)
    assert '<a href="figures/1.1.md">0.48 [0.39, 0.65]</a>' in shown
    assert '<a href="figures/1.2b.md">&gt; 2.1</a>' in shown


def test_a_claim_that_can_be_run_has_its_command():
    text = page.text(*cases())
    rows = {row[0].strip("*"): row for row in rows_of(text) if len(row) == len(page.COLUMNS)}
    line = "<br>`python experiments/reproduce.py --claim 1.1`</sub>"
    assert rows["1.1"][1].endswith(line) and rows["1.1"][1].count("<sub>") == 1
    without = {name for name, row in rows.items() if "--claim" not in row[1]}
    assert without - {"id", "---"} == {"1.3", "2.2"}


def test_tables_hold_whatever_a_sentence_says():
    """A reader of Markdown, which drops cells beyond a table's head, finds all that was said."""
    text = page.text(*cases())
    for part in re.split(r"\n\n", text):
        assert len({len(row) for row in rows_of(part)}) <= 1
    shown = MarkdownIt("commonmark").enable("table").render(text)
    assert shown.count("<table>") == 5 and shown.count("</tr>") == len(rows_of(text)) - 5
    assert "<td>A | b, with <code>x|y</code> and *stars*. Two lines.<br>" in shown
    assert '<a href="kept-1/">64</a> + 2 left out' in shown
    assert ".9 [.8, 1](2)</td>" in shown and "<td>&gt; 2.1</td>" in shown


def test_the_page_says_what_is_open_and_why():
    text = page.text(*cases())
    (open_,) = re.findall(r"## Open, and why\n(.*?)\n## ", text, re.DOTALL)
    assert "the cap was reached; the smallest ratio that could have been seen is 0.71." in open_
    assert "**2.5** So. *Why:* pilot: 25% of the baselines escape." in open_
    assert "**1.3** So. *Why:* Nothing here records it." in open_
    assert "**1.1**" not in open_ and "**1.2**" not in open_
    before = text.partition("## Not yet rerun")[2]
    assert rows_of(before)[2:] == [["2.1", "So.", "no", "5", r".9 [.8, 1]\(2)", "[x](before/x/)"]]


def test_counts_are_of_claims_not_of_their_parts():
    claims, verdicts = cases()
    text = page.text(claims, verdicts)
    counted = {row[0]: row[-1] for row in rows_of(text.split("## Paper")[0])}
    assert (counted["supported"], counted["not tested"]) == ("3", "2")
    assert "contradicted" in counted and counted["contradicted"] == MEANINGS["contradicted"][1]
    assert "## 8 claims" in text and page.text(claims, verdicts) == text


def test_every_word_of_a_verdict_is_explained():
    assert [*MEANINGS] == [*WORDS]
    with pytest.raises(ValueError, match="no verdict"):
        Verdict(word="reproduced")


@pytest.mark.parametrize("bound", [">", "<"])
def test_a_printed_bound_is_still_one(bound):
    for value in np.geomspace(0.013, 900, 97):
        text = estimate(made("1.1"), found(value, bound=bound))
        printed = float(text.removeprefix(bound))
        assert printed <= value * (1 + 1e-9) if bound == ">" else printed >= value * (1 - 1e-9)
        assert abs(printed / value - 1) < 0.1 + 1e-9


def test_digits_tell_the_ends_of_an_interval_apart():
    for width in np.geomspace(0.002, 3, 20):
        text = estimate(made("1.1"), found(1 + width / 2, 1.0, 1 + width))
        value, low, high = map(float, re.findall(r"[\d.]+", text))
        assert low < value < high


def test_an_interval_that_leaves_no_effect_out_does_so_in_print():
    ratio, difference = made("1.1"), made("1.1", statistic="value", metric="accuracy")
    assert estimate(ratio, found(0.8, 0.64, 0.998)) == "0.800 [0.640, 0.998]"
    assert estimate(ratio, found(0.8, 0.64, 1.0)) == "0.80 [0.64, 1.00]"
    assert estimate(difference, found(0.3, 0.003, 0.6)) == "+0.300 [+0.003, +0.600]"


def test_what_rounding_leaves_of_equal_runs_is_nothing():
    difference = made("1.1", statistic="value", metric="accuracy")
    assert estimate(difference, found(-1e-18, -1.8e-18, 1.8e-18)) == "+0.00 [+0.00, +0.00]"


def test_an_interval_that_leaves_the_limit_of_a_share_out_does_so_in_print():
    share = made("1.1", statistic="share", metric="escape", smallest_effect=0.1)
    assert estimate(share, found(0.0, 0.0, 0.0961)) == "0.000 [0.000, 0.096]"


def test_a_rule_in_words():
    assert rule(made("1.1")) == "steps to escape: ratio of 0.8 or less"
    equal = made("1.1", direction="equal", smallest_effect=1.05, statistic="loss_at", at=6_000)
    assert rule(equal) == "loss at step 6,000: ratio between 0.952 and 1.05"
    assert cell("a_b _c_ $1 <b>") == r"a_b \_c\_ \$1 \<b>"


def drawn(number):
    """Claims with long sentences, of all forms, with verdicts of all forms."""
    kinds = itertools.cycle(
        [
            {},
            {"direction": "greater", "smallest_effect": 1.25},
            {"role": "primary"},
            {"direction": "equal", "smallest_effect": 1.1},
        ]
    )
    claims = {
        f"1.{i:02}": made(f"1.{i:02}", sentence=LONG * 3, **next(kinds)) for i in range(number)
    }
    values = itertools.cycle([(0.48, 0.39, 0.65), (123.4, 90.1, 149.9), (0.004, 0.001, 0.02)])
    bounds = itertools.cycle(["", "", ">", "", "<"])
    options = {"pairs": 128, "censored": 16}
    verdicts = {
        name: found(*next(values), bound=next(bounds), word=WORDS[i % 5], **options)
        for i, name in enumerate(claims)
    }
    return claims, verdicts


@pytest.mark.parametrize("number", [1, 24])
def test_no_text_of_a_figure_overlaps_another_or_leaves_it(number):
    figure = forest.figure(forest.rows(*drawn(number), 1))
    renderer = figure.canvas.get_renderer()
    figure.draw(renderer)
    axes = figure.axes[0]
    texts = [*axes.texts, *figure.texts, *axes.get_xticklabels(), axes.xaxis.label]
    texts = [text for text in texts if text.get_text() and text.get_visible()]
    assert len(texts) >= 3 * number + 4
    boxes = [text.get_window_extent(renderer) for text in texts]
    for box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0
        assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
    frame = axes.get_window_extent(renderer)
    for text, box in zip(texts, boxes, strict=True):
        assert not box.overlaps(frame) or text in axes.get_xticklabels(), text
    for (one, box), (other, box_too) in itertools.combinations(zip(texts, boxes, strict=True), 2):
        assert not box.overlaps(box_too), (one, other)


def test_a_figure_is_small_and_the_same_twice(tmp_path):
    claims, verdicts = drawn(24)
    path = tmp_path / "paper1.svg"
    assert forest.draw(claims, verdicts, 1, path)
    first = path.read_bytes()
    assert len(first) < 60_000 and not forest.draw(claims, verdicts, 1, path)
    words = "".join(ElementTree.fromstring(first).itertext())
    assert all(name in words for name in claims) and "matplotlib" not in words.lower()
    path.unlink()
    assert forest.draw(claims, verdicts, 1, path) and path.read_bytes() == first


def test_only_ratios_are_drawn(tmp_path):
    claims, verdicts = cases()
    assert [claim.id for claim, _ in forest.rows(claims, verdicts, 1)] == ["1.1", "1.2b"]
    no_ratio = {name: Verdict(word="open") for name in claims}
    assert not forest.draw(claims, no_ratio, 1, tmp_path / "a.svg") and not [*tmp_path.iterdir()]
    assert "](paper" not in page.text(claims, no_ratio)
    assert "](paper1.svg)" in page.text(claims, verdicts)


def test_what_counts_is_shaded_and_a_bound_is_an_arrow():
    less = made("1.1"), found(0.5, 0.4, 0.6)
    greater = made("1.2", direction="greater", smallest_effect=1.25), found(2.1, bound=">")
    axes = forest.figure([less, greater]).axes[0]
    low, high = axes.get_xlim()
    edges = [(band.get_x(), band.get_x() + band.get_width()) for band in axes.patches]
    np.testing.assert_allclose(edges, [(low, 0.8), (1.25, high)])
    (arrow,) = [text for text in axes.texts if not text.get_text()]
    assert high >= arrow.xy[0] > 2.1 and arrow.xy[1] == 1


def test_what_lies_beyond_the_axis_is_an_arrow_at_its_edge():
    """The ratio itself: a head in place of the circle; an end of its interval: an arrow there."""
    far, near = found(500.0, 300.0, 900.0), found(30.0, 0.5, math.inf)
    axes = forest.figure([(made("1.1"), far), (made("1.2"), near)]).axes[0]
    low, high = axes.get_xlim()
    marks = {line.get_ydata()[0]: line for line in axes.lines if line.get_marker() != "None"}
    assert [marks[place].get_marker() for place in (0, 1)] == [">", "o"]
    assert all(low < mark.get_xdata()[0] < high for mark in marks.values())
    (arrow,) = [text for text in axes.texts if not text.get_text()]
    assert arrow.xy[1] == 1 and 30 < arrow.xy[0] < high


def test_files_are_written_once(tmp_path):
    claims, verdicts = cases()
    root = tmp_path / "experiments"
    for folder in (root / "results", root / "configs", tmp_path / "docs"):
        folder.mkdir(parents=True)
    (tmp_path / "README.md").write_text("<!--claim 1.1-->?<!--/-->\n", encoding="utf-8")
    (root / "configs" / "a.py").write_text('"""Claim 1.2b: ?"""\n', encoding="utf-8")
    written = {path.name for path in page.write(root, claims, verdicts)}
    assert written == {"README.md", "paper1.svg", "paper2.svg"}
    assert "0.48" in (tmp_path / "README.md").read_text(encoding="utf-8")
    text = (root / "results" / "README.md").read_text(encoding="utf-8")
    assert text == page.text(claims, verdicts)
    assert page.write(root, claims, verdicts) == []
