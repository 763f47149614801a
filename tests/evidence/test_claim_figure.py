"""The figure of a claim: its numbers are those of the page, its marks mean what is said."""

import csv
import dataclasses
import importlib.util
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from plateaus.evidence import (
    claim,
    claim_caption,
    claim_figure,
    claim_files,
    claim_runs,
    kept,
    observed,
    units,
    verdicts,
)
from plateaus.report.survival import NOTHING

SEEDS = 12
LONG = "sparse_parity_2 + conjunction + linear + relu, rate per lay"
NAMES = [f"{LONG}{end}" for end in "AB"]  # of 60 letters
SENTENCE = "Wide MMMMM letters and a task_name of 60 characters, more or less, WWWWWWWWWW. " * 2
OTHERS = {
    "escape": {},
    "half, greater": {"statistic": "half", "direction": "greater", "smallest_effect": 1.25},
    "escape, equal": {"direction": "equal", "smallest_effect": 1.25},
    "first_step": {"statistic": "first_step", "metric": "test_accuracy", "value": 0.9},
    "prompts": {"prompts": [32, 128]},
    "loss_at": {"statistic": "loss_at", "at": 1000},
    "loss_at_every": {"statistic": "loss_at_every", "smallest_effect": 1.5},
    "value_at_every": {
        **{"statistic": "value_at_every", "metric": "test_accuracy"},
        **{"direction": "greater", "smallest_effect": 0.05},
    },
    "value": {"statistic": "value", "metric": "loss_at_1.0", "smallest_effect": -0.01},
    "value of a curve": {
        **{"statistic": "value", "metric": "test_accuracy", "at": 400},
        **{"direction": "equal", "smallest_effect": 0.02},
    },
    "share": {
        **{"kind": "descriptive", "statistic": "share", "metric": "escape"},
        **{"smallest_effect": 0.2, "contrast": {"treated": {"variant": NAMES[1]}}},
    },
    "level": {
        **{"kind": "descriptive", "statistic": "level", "metric": "area_at_0.1", "value": 0.9},
        **{"direction": "greater", "smallest_effect": 0.05},
        "contrast": {"treated": {"variant": NAMES[1]}},
    },
}


def made(**fields):
    """A claim about two settings with long names, with a pilot that passed."""
    content = {
        **{"id": "1.1", "paper": 1, "place": "section 1", "sentence": SENTENCE},
        **{"config": "configs/a.py:b", "statistic": "escape", "horizon": 2000},
        **{"smallest_effect": 0.8, "looks": [8, SEEDS]},
        "contrast": {"treated": {"variant": NAMES[1]}, "baseline": {"variant": NAMES[0]}},
    } | fields
    rule = claim.made(content).rule
    return claim.made({**content, "pilot": {"rule": rule, "passed": True, "why": ""}})


def renamed(dataset):
    """The settings as variants with long names, losses above 0."""
    dataset["test_loss"] = abs(dataset["test_loss"]) + 0.01
    dataset = dataset.rename({"data.zipf_exponent": "variant"}).assign_coords(variant=NAMES)
    names = {"swept": json.dumps(["variant"]), "baseline": json.dumps({"variant": NAMES[0]})}
    return dataset.assign_attrs(names)


@pytest.fixture(scope="module")
def results(run_folder, tmp_path_factory):
    """A folder of results in which one kept folder has both settings, on twelve seeds."""
    folder = tmp_path_factory.mktemp("results")
    run_folder(folder / kept.name(made()), [0.0, 1.0], range(SEEDS), change=renamed)
    return folder


@pytest.fixture(scope="module")
def problems():
    """What a machine can see that is wrong with a figure."""
    path = Path(__file__).parents[1] / "report" / "test_every_figure.py"
    spec = importlib.util.spec_from_file_location("every_figure", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.problems


def drawn(one, results, **changed):
    """The verdict on a claim, and its figure."""
    found = dataclasses.replace(verdicts.judge({one.id: one}, results)[one.id], **changed)
    curves = claim_runs.of_folder(one, found.used, results / found.folders[0])
    return found, claim_figure.figure(one, found, *curves)


def dots(figure):
    """The marks of the pairs, by their shape: the numbers that they stand at."""
    found = {}
    for line in figure.axes[2].lines:
        if line.get_alpha() == 0.45:
            found[line.get_marker()] = line.get_xdata()
    return found


@pytest.mark.parametrize("fields", OTHERS.values(), ids=[*OTHERS])
def test_every_kind_of_claim_has_a_figure_that_holds(fields, results, problems):
    found, figure = drawn(made(**fields), results)
    assert found.pairs and problems(figure) == {}


def test_variants_at_rates_of_their_own_are_read_and_drawn(run_folder, tmp_path, problems):
    """Their rows have one column for both; the same runs, so the same numbers."""
    rates, field = (0.009, 0.001), "optim.learning_rate"
    labels = [f"{name} + learning_rate={rate}" for name, rate in zip(NAMES, rates, strict=True)]
    arms = [{"variant": name, field: rate} for name, rate in zip(NAMES, rates, strict=True)]
    one = made(contrast={"treated": arms[1], "baseline": arms[0]})

    def at_rates(dataset):
        dataset = renamed(dataset).assign_coords(variant=labels)
        return dataset.assign_attrs(baseline=json.dumps({"variant": labels[0]}))

    for claimed, change in ((made(), renamed), (one, at_rates)):
        run_folder(tmp_path / kept.name(claimed), [0.0, 1.0], range(SEEDS), change=change)
    (plain, _), (found, figure) = drawn(made(), tmp_path), drawn(one, tmp_path)
    assert found.estimate == plain.estimate and problems(figure) == {}
    names = " ".join(claim_figure.arm_names(one))
    assert f"{field}=0.009" in names and f"variant={NAMES[1]}" in names


def test_a_figure_without_an_estimate_holds(results, problems):
    none = {"word": "not evaluable", "estimate": NOTHING, "why": "25% of the baselines get there"}
    _, figure = drawn(made(looks=[8]), results, **none)
    assert problems(figure) == {}
    assert not [line for line in figure.axes[2].lines if line.get_marker() == "D"]


def test_the_estimate_is_the_mean_of_the_dots_and_the_verdict_s(results):
    one = made(looks=[8])
    found, figure = drawn(one, results)
    with (results / found.folders[0] / "runs.csv").open(encoding="utf-8") as file:
        lines = [*csv.DictReader(file)]
    steps = {(line["variant"], int(line["seed"])): float(line["escape"] or 2000) for line in lines}
    ratios = [steps[NAMES[1], seed] / steps[NAMES[0], seed] for seed in range(1000, 1008)]
    there = np.concatenate([*dots(figure).values()])
    np.testing.assert_allclose(np.sort(there), np.sort(ratios))
    mean = np.exp(np.mean(np.log(ratios)))
    assert found.estimate.value == pytest.approx(mean)
    lines = figure.axes[2].lines
    (diamond,) = [line for line in lines if line.get_marker() == "D"]
    assert diamond.get_xdata()[0] == pytest.approx(mean)
    ends = [line.get_xdata()[1] for line in lines if line.get_linewidth() == 2]
    assert ends == [found.estimate.low, found.estimate.high]


def test_curves_are_of_the_seeds_that_the_verdict_rests_on(results):
    """Of twelve, at a first look of eight that decides."""
    one = made()
    found, _ = drawn(one, results)
    assert found.pairs == 8 and found.seeds == SEEDS
    curves, settings = claim_runs.of_folder(one, found.used, results / found.folders[0])
    assert curves["seed"].values.tolist() == [*range(1000, 1008)]
    assert [row.setting["variant"] for row in settings] == NAMES


def test_who_never_got_there_is_an_arrow(results):
    one = made(looks=[8])
    judged = verdicts.judge({one.id: one}, results)[one.id]
    there = judged.used.baseline.there.copy()
    there[:3] = False
    used = judged.used._replace(baseline=judged.used.baseline._replace(there=there))
    _, figure = drawn(one, results, used=used)
    assert {marker: len(x) for marker, x in dots(figure).items()} == {">": 0, "<": 3, "o": 5}


def test_a_bound_is_an_arrow_without_an_interval(results):
    _, figure = drawn(made(looks=[8]), results, bound="<")
    axes = figure.axes[2]
    (arrow,) = [text for text in axes.texts if not text.get_text()]
    (diamond,) = [line for line in axes.lines if line.get_marker() == "D"]
    assert axes.get_xlim()[0] < arrow.xy[0] < diamond.get_xdata()[0]
    assert not [line for line in axes.lines if line.get_linewidth() == 2]


@pytest.mark.parametrize(
    ("fields", "edges"),
    [
        ({}, (-np.inf, 0.8)),
        (OTHERS["half, greater"], (1.25, np.inf)),
        (OTHERS["escape, equal"], (0.8, 1.25)),
        (OTHERS["loss_at_every"], (-np.inf, 1.5)),
        (OTHERS["value_at_every"], (-0.05, np.inf)),
        (OTHERS["value"], (-np.inf, -0.01)),
        (OTHERS["value of a curve"], (-0.02, 0.02)),
        (OTHERS["share"], (-np.inf, 0.2)),
        (OTHERS["level"], (0.05, np.inf)),
    ],
)
def test_what_counts_is_shaded(fields, edges, results):
    assert units.counted(made(**fields)) == edges
    axes = drawn(made(**fields), results)[1].axes[2]
    (band,) = axes.patches
    shown = band.get_x(), band.get_x() + band.get_width()
    np.testing.assert_allclose(shown, np.clip(edges, *axes.get_xlim()))


@pytest.mark.parametrize("statistic", ["loss_at_every", "value_at_every"])
def test_of_every_tenth_the_worst_has_the_ring(results, statistic):
    found, figure = drawn(made(**OTHERS[statistic]), results)
    (ring,) = [line for line in figure.axes[1].lines if line.get_markersize() == 10]
    assert ring.get_xdata()[0] == 200 * (found.series + 1)
    assert ring.get_ydata()[0] == pytest.approx(found.estimate.value)


def test_runs_are_counted_under_their_steps(results):
    one = made(looks=[8])
    found, figure = drawn(one, results)
    numbers = [text for axes in figure.axes for text in axes.texts]
    for arm in (found.used.baseline, found.used.treated):
        assert f"{arm.there.sum()}/8" in [text.get_text() for text in numbers]
    marks = [tick for tick in figure.axes[1].get_xticks() if tick < 2000]
    step = float(marks[len(marks) // 2])
    left = sorted(text.get_text() for text in numbers if text.get_position()[0] == step)
    arms = found.used.baseline.values, found.used.treated.values
    assert left == sorted(str((values >= step).sum()) for values in arms)


def test_a_figure_is_small_has_words_and_is_the_same_twice(results):
    one = made()
    found = verdicts.judge({one.id: one}, results)[one.id]
    folder = results / found.folders[0]
    data = claim_files.draw(one, found, folder)
    assert data == claim_files.draw(one, found, folder) and len(data) < 60_000
    root = ElementTree.fromstring(data)
    space = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{space}title").text == claim_caption.title(one, found)
    assert root.find(f"{space}desc").text.startswith("Baseline: black")
    shown = " ".join(text for part in root.iter(f"{space}text") for text in part.itertext())
    assert "1.1: Wide" in shown and "seeds 1000 to 1007; 2,000 steps" in shown
    assert matplotlib.__version__.encode() not in data
    assert b"<dc:date>" not in data and not re.search(rb"\d{4}-\d\d-\d\d", data)


def test_files_are_written_where_what_they_show_has_changed(run_folder, tmp_path):
    one = made(looks=[8])
    place = tmp_path / kept.name(one)
    run_folder(place, [0.0, 1.0], range(SEEDS), change=renamed)
    claims = {one.id: one}
    judged = verdicts.judge(claims, tmp_path)
    written = claim_files.write(claims, judged, tmp_path)
    assert [path.name for path in written] == ["1.1.svg", "1.1.md"]
    assert claim_files.write(claims, judged, tmp_path) == []
    assert claim_files.write(claims, {one.id: dataclasses.replace(judged["1.1"], word="open")},
                             tmp_path) == written  # fmt: skip
    text = (tmp_path / "figures" / "1.1.md").read_text(encoding="utf-8")
    assert "](1.1.svg)" in text and f"](../{place.name}/)" in text
    assert "`python experiments/reproduce.py --claim 1.1`" in text
    for name in ("curves.csv.gz", "runs.csv"):
        before = claim_files.digest(one, judged["1.1"], place)
        path = place / name
        path.write_bytes(path.read_bytes() + b"\n")
        assert claim_files.digest(one, judged["1.1"], place) != before


def test_without_curves_there_is_no_figure(results, tmp_path):
    one = made()
    judged = verdicts.judge({one.id: one}, results)
    assert claim_files.write({one.id: one}, judged, tmp_path) == []
    assert [*tmp_path.iterdir()] == []


def test_ratios_by_seed_are_treated_to_baseline_whatever_is_claimed():
    lines = [
        {"variant": name, "seed": str(seed), "escape": str(step), "last_step": "2000"}
        for name, steps in zip(NAMES, ([400, 1000], [200, 500]), strict=True)
        for seed, step in enumerate(steps)
    ]
    for fields in ({}, {"direction": "greater", "smallest_effect": 1.25}):
        one = made(**fields)
        found = observed.observed(one, lines)
        np.testing.assert_allclose(units.by_seed(one, found), [0.5, 0.5])
