"""report.html: what it says, that it stands alone, and what its command refuses."""

import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip("altair", reason="the page needs the extra `html`")
pytest.importorskip("vl_convert", reason="the page needs the extra `html`")

from plateaus.report import table
from plateaus.report.__main__ import main
from plateaus.report.page import claims, folders, series, writing
from plateaus.report.statistics import summarise

MOST_BYTES = 5_000_000
SESSION = {
    "command": "/home/me/experiments/run.py --config=configs/a.py --workdir /home/me/x --seeds 16",
    "runs": 96,
    "wall_seconds": 12.3,
    "exactness": [{"device": "made-up device"}],
    "devices": 2,
    "commit": "0123456789abcdef",
    "dirty": True,
    "versions": {"jax": "9.8.7"},
    "machine": "name-of-a-machine",
}
NASTY = "</script><b onclick='x'>&amp;{{ 7 }}"


class Page(HTMLParser):
    """The elements of a page, with their attributes and the text that each holds itself."""

    VOID = ("wbr", "meta", "input", "line", "br", "link", "img")

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        self.close()
        assert not self._open, self._open  # every element is closed

    def handle_starttag(self, tag, attrs):
        element = [tag, dict(attrs), ""]
        self.elements.append(element)
        if tag not in self.VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for element in self._open:
            element[2] += data

    def of(self, tag, **attributes):
        found = [e for e in self.elements if e[0] == tag]
        return [e for e in found if all(e[1].get(k) == v for k, v in attributes.items())]

    def texts(self, tag, **attributes):
        return [" ".join(element[2].split()) for element in self.of(tag, **attributes)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, zipf_results, make_run_folder):
    """A run folder of 6 settings with 16 seeds."""
    place = tmp_path_factory.mktemp("page") / "zipf"
    return make_run_folder(place, zipf_results, sessions=[SESSION])


@pytest.fixture(scope="module")
def text(folder):
    return writing.page([folders.read(folder)])


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_every_setting_and_seed_can_be_chosen(page, zipf_results):
    for name, count in (("settings", 6), ("seeds", 16)):
        boxes = page.of("input", type="checkbox", name=name)
        assert len({box[1]["value"] for box in boxes}) == count
    labels = " ".join(page.texts("label"))
    for row in summarise(zipf_results):
        assert f"{table.label(row.setting)} " in labels
        assert f"{row.escaped} of {row.runs} escaped" in labels


def test_its_table_is_the_one_that_is_printed(page, folder):
    rows = folders.read(folder).rows
    printed = table.table(rows)
    lines = zip(*(column.cells for column in printed.columns), strict=True)
    wanted = [str(cell) for line in lines for cell in line]
    start = next(i for i, e in enumerate(page.elements) if e[1].get("id", "").endswith("-table"))
    cells = []
    for tag, attributes, text in page.elements[start:]:
        if tag == "h3" and attributes["id"].endswith("-config"):
            break
        if tag == "td" or attributes.get("scope") == "row":
            cells.append(text)
    assert cells == wanted and len(cells) >= 6 * 8
    assert set(table.remarks(rows)) <= set(page.texts("li"))


def test_it_says_what_ran_and_how_to_run_it_again(page, text):
    words = " ".join(page.texts("section"))
    for wanted in ("0123456789abcdef with changes", "jax 9.8.7", "2 x made-up device", "12 s"):
        assert wanted in words
    assert "python experiments/run.py --config=configs/a.py --seeds 16" in page.texts("code")
    assert "50,000" in page.texts("dd") and "16: 0 to 15" in page.texts("dd")
    assert {"steps", "eval_every", "task.name", "data.zipf_exponent"} <= set(page.texts("th"))
    assert "/home/me" not in text and "name-of-a-machine" not in text


def test_it_loads_nothing(page, text):
    places = [v for e in page.elements for k, v in e[1].items() if k in ("src", "href", "action")]
    assert places and all(place.startswith("#") for place in places)
    ids = [e[1]["id"] for e in page.elements if "id" in e[1]]
    assert {place[1:] for place in places} <= set(ids) and len(ids) == len(set(ids))
    policy = next(e[1]["content"] for e in page.of("meta") if "http-equiv" in e[1])
    assert policy.startswith("default-src 'none'") and "http" not in policy
    style = page.of("style")[0][2]
    assert "url(" not in style and "@import" not in style
    assert not page.of("link") and not page.of("img") and not page.of("iframe")


def test_ninety_six_runs_are_below_the_limit(text):
    data = re.search(r'<script type="application/json" id="run1-curves-vega">(.*?)</script>', text)
    values = next(d for d in json.loads(data[1])["data"] if d["name"] == "curves")["values"]
    assert len({(record["s"], record["r"]) for record in values}) == 96
    assert 500_000 < len(text.encode()) < MOST_BYTES


def test_names_are_only_text(tmp_path, make_results, make_run_folder):
    dataset = make_results({"variant": ["plain", NASTY]}, [9000, 5000], 8, 20_000, 500)
    dataset.attrs["baseline"] = json.dumps({"variant": "plain"})
    session = SESSION | {"command": f"--sweep 'variant={NASTY}'", "commit": NASTY}
    variants = {"plain": {}, NASTY: {"task.name": NASTY}}
    place = make_run_folder(tmp_path / "a<b>", dataset, NASTY, [session], variants)
    page = Page(writing.page([folders.read(place)]))
    assert len(page.of("script")) == 5 and not page.of("b")
    assert not [e for e in page.elements if any(name.startswith("on") for name in e[1])]
    assert NASTY in page.texts("p", **{"class": "title"}) and "a<b>" in page.texts("h2")
    specs = [json.loads(e[2]) for e in page.of("script", type="application/json")]
    assert len(specs) == 3 and f"variant={NASTY}" in json.dumps(specs, ensure_ascii=False)


def test_several_runs_have_a_section_each(
    tmp_path, folder, make_results, make_run_folder, monkeypatch, capsys
):
    alone = make_results({}, np.array(9000.0), 4, 20_000, 500)
    other = make_run_folder(tmp_path / "alone", alone, "one setting")
    monkeypatch.chdir(tmp_path)
    assert main([str(folder), str(other)]) == 0
    assert capsys.readouterr().out == "written: report.html\n"
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert [e[1]["id"] for e in page.of("section")] == ["run1", "run2"]
    contents = [text for text in page.texts("li") if text.startswith(("zipf: ", "alone: "))]
    assert contents == ["zipf: sparse_parity: zipf", "alone: one setting"]
    ids = [e[1]["id"] for e in page.elements if "id" in e[1]]
    assert len(ids) == len(set(ids))
    kinds = [e[1]["data-chart"] for e in page.of("div") if "data-chart" in e[1]]
    assert "run1-ratios-vega" in kinds and "run2-ratios-vega" not in kinds  # nothing to compare
    assert "No command is on record." in page.texts("p")


def test_the_file_is_in_the_run_folder_and_whole(folder, text, capsys):
    before = {path.name for path in folder.iterdir()}
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out == f"written: {folder / 'report.html'}\n"
    assert {path.name for path in folder.iterdir()} == before | {"report.html"}
    assert (folder / "report.html").read_text(encoding="utf-8") == text  # the same again
    (folder / "report.html").unlink()


def refused(capsys, *arguments):
    """What a refused command prints: one line."""
    assert main(list(map(str, arguments))) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("error: ") and err.count("\n") == 1
    return err


def test_wrong_folders_and_options_are_refused(tmp_path, folder, capsys):
    assert "nothing: no such folder" in refused(capsys, tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    assert "file: not a folder" in refused(capsys, tmp_path / "file")
    assert "it has no runs.csv, no curves.csv.gz" in refused(capsys, tmp_path)
    assert "--ouput: no such option; did you mean --output?" in refused(capsys, folder, "--ouput=x")
    assert "did you mean --output?" in refused(capsys, folder, "--ouput", "x")
    assert "a folder; --output names a file" in refused(capsys, folder, "--output", tmp_path)
    assert "RUN" in refused(capsys)
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize("file", ["runs.csv", "curves.csv.gz", "config.json", "provenance.json"])
def test_damaged_files_are_refused(tmp_path, make_results, make_run_folder, file, capsys):
    dataset = make_results({}, np.array(9000.0), 2, 20_000, 500)
    place = make_run_folder(tmp_path / "run", dataset)
    for content in (b"\x00\xff{", b"", (place / file).read_bytes()[:12]):
        (place / file).write_bytes(content)
        assert file in refused(capsys, place)


def test_without_the_extra_one_line_says_what_to_install(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert "pip install" in refused(capsys, folder)


def test_the_charts_show_the_numbers_of_the_table(zipf_results):
    rows = summarise(zipf_results)
    records = series.ratios(zipf_results, rows)
    assert [record["s"] for record in records] == [
        i for i, row in enumerate(rows) if row.pairs and not row.is_baseline
    ]
    for record in records:
        row = rows[record["s"]]
        assert record["x"] == pytest.approx(row.ratio.value, rel=1e-3)
        assert np.exp(np.mean(np.log(record["d"]))) == pytest.approx(row.ratio.value, rel=1e-3)
        assert len(record["d"]) == len(record["r"]) == row.pairs and record["b"] == row.bound
    times = series.times(zipf_results, rows, 500)
    for s, row in enumerate(rows):
        runs = [record for record in times if record["s"] == s and record["w"]]
        assert len(runs) == row.runs and sum(run["e"] for run in runs) == row.escaped


def test_a_dot_of_a_pair_of_which_one_run_stays_is_a_bound(make_results):
    centres = np.array([8000.0, np.inf])
    dataset = make_results({"variant": ["plain", "stuck"]}, centres, 4, 20_000, 500)
    for baseline, bound in (("plain", ">"), ("stuck", "<")):
        dataset.attrs["baseline"] = json.dumps({"variant": baseline})
        (record,) = series.ratios(dataset, summarise(dataset))
        assert record["c"] == [bound] * 4 and record["b"] == bound
        assert record["r"] == dataset["seed"].values.tolist()


def test_folders_of_one_name_are_told_apart(tmp_path, make_results, make_run_folder):
    dataset = make_results({}, np.array(9000.0), 2, 20_000, 500)
    places = []
    for above in ("first", "second", "deep/first"):
        (tmp_path / above).mkdir(parents=True)
        places.append(make_run_folder(tmp_path / above / "zipf", dataset))
    places.append(make_run_folder(tmp_path / "other", dataset))
    found = [folders.read(place) for place in places]
    assert writing.names(found) == ["first/zipf (1)", "second/zipf", "first/zipf (2)", "other"]
    output = tmp_path / "report.html"
    again = tmp_path / "first" / ".." / "other"
    assert main([str(places[3]), str(again), str(places[1]), "--output", str(output)]) == 0
    page = Page(output.read_text(encoding="utf-8"))
    assert [e[1]["aria-labelledby"] for e in page.of("section")] == ["run1-name", "run2-name"]
    assert page.texts("h2")[1:] == ["other", "zipf"]


MEANINGS = {"supported": "it is so", "open": "not yet", "not tested": "never"}


def test_the_page_of_claims_has_them_all_and_counts_them(claim_entries):
    page = Page(claims.page(claim_entries, MEANINGS, ["supported"]))
    shown = [e[1] for e in page.of("details") if "claim" in e[1].get("class", "")]
    assert [e["id"] for e in shown] == ["claim-1.1", "claim-1.2", "claim-1.2a", "claim-2.1"]
    assert [e["data-word"] for e in shown] == [entry.word for entry in claim_entries]
    values = [(e[1]["name"], e[1]["value"]) for e in page.of("input", type="checkbox")]
    assert values[:2] == [("papers", "1"), ("papers", "2")]
    assert [value for name, value in values[2:]] == ["supported", "open", "not tested"]
    cells = page.texts("td")  # the part, 1.2a, is not counted
    assert cells == ["1", "", "1", "1", "", "1", "", "1", "1"]
    places = [e[1]["href"] for e in page.of("a")]
    ids = [e[1]["id"] for e in page.elements if "id" in e[1]]
    assert places == ["#main", "#claim-1.2a"] and len(ids) == len(set(ids))
    assert {place[1:] for place in places} <= set(ids)
    assert "python experiments/x.py --claim 1.1" in page.texts("code")
    assert not page.of("b") and NASTY in page.texts("span", **{"class": "sentence"})
    kinds = [e[1]["id"] for e in page.of("script", type="application/json")]
    assert kinds == [f"claim-1.1-{k}" for k in ("ratios", "curves", "survival")] + [
        "claim-1.2a-ratios"
    ]


def test_a_comparison_shades_the_effect_that_counts_and_holds_its_numbers(claim_entries):
    text = claims.page(claim_entries[:1], MEANINGS, ["supported"])
    found = re.search(r'id="claim-1.1-ratios">(.*?)</script>', text)
    spec = json.loads(found[1])
    marks = [mark["name"] for mark in spec["marks"]]
    order = ["shade_marks", "nothing_marks", "paper_marks", "seeds_marks", "means_marks"]
    assert [name for name in marks if name in order] == order  # words stand on the paper
    (domain,) = (scale["domain"] for scale in spec["scales"] if scale["name"] == "x")
    values = next(d for d in spec["data"] if d["name"] == "comparisons")["values"][0]
    drawn = [values["x"], values["low"], values["high"], *values["d"], 0.05, 1]
    assert domain[0] < min(drawn) and max(drawn) < domain[1]


def test_settings_of_other_tasks_are_not_compared(tmp_path, make_results, make_run_folder):
    results = make_results({"a": [0, 1]}, np.array([9e3, 5e3]), 8, baseline={"a": 0})
    start = np.zeros((2, 8, 2))
    start[0, :, 1] = np.nan
    results["start_step_by_task"] = (("a", "seed", "task"), start)
    results = results.assign_coords(task=["x", "y"])
    folder = folders.read(make_run_folder(tmp_path / "runs", results))
    section = writing.section(folder, "runs", "run1")
    cells = [line["cells"] for line in section["tables"][-1]["lines"]]
    assert "baseline" in cells[0] and "other tasks" in cells[1]
    assert not section["has_ratios"]


def test_each_task_stands_beside_itself_alone(tmp_path, make_results, make_run_folder):
    results = make_results({"a": [0, 1]}, np.array([9e3, 5e3]), 8, baseline={"a": 0})
    place = make_run_folder(tmp_path / "runs", results)
    assert [t["id"] for t in writing.section(folders.read(place), "x", "run1")["tables"]] == [
        "table"
    ]
    names = "a,task,tasks,runs,escaped,escape,ratio,ratio_low,ratio_high,bound,own_ratio"
    lines = [
        names + ",p_adjusted,floor,final_loss",
        "1,x,x y,8,7,500,0.25,0.2,0.3125,,0.125,0.0078125,0,0.5",
        "1,y,x y,8,7,500,,,,,,,0,0.5",  # trained alone by no setting
        "0,x,x,8,0,inf,,,,,,,0,0.75",
    ]
    (place / "tasks.csv").write_text("\n".join(lines), encoding="utf-8")
    tables = writing.section(folders.read(place), "x", "run1")["tables"]
    assert [t["id"] for t in tables] == ["tasks", "table"]
    assert [line["cells"] for line in tables[0]["lines"]] == [
        ["x", "0", "0/8", "not reached", "alone", "", "", "0.75"],
        ["x", "1", "7/8", "500", "0.25 [0.20, 0.31]", "0.12", "0.0078", "0.5"],
    ]
    shown = Page(writing.page([folders.read(place)]))
    assert "Each task beside itself alone" in shown.texts("h3")
    assert "0.25 [0.20, 0.31]" in shown.texts("td")
