"""The figures of mixed prompts, from made-up results whose answers are known."""

import numpy as np
import pytest

from plateaus.measures.superposition import figure as superposition_figures
from plateaus.measures.superposition import figure_dynamics as superposition_dynamics
from plateaus.measures.superposition import figure_sizes as superposition_sizes
from plateaus.measures.superposition import majority
from plateaus.measures.superposition import panels as superposition_panels
from plateaus.report import facets, statistics
from plateaus.report.style import save

KINDS, SEEDS, EXAMPLES = ("superposer", "counter", "last", "majority"), 4, 20
SINGLE = ["1:0:0", "0:1:0", "0:0:1", "1:1:1"]


@pytest.fixture(scope="module")
def rows(mixed_results):
    return statistics.summarise(mixed_results)


@pytest.fixture(scope="module")
def lines(mixed_results, rows):
    """The panels of each setting: setting -> [mean, single prompts, between, effect]."""
    figure = superposition_figures.mixed_prompts(mixed_results, rows)
    grid = np.array(figure.axes[:16]).reshape(4, 4)
    return dict(zip(KINDS, grid, strict=True))


@pytest.fixture(scope="module")
def three(make_mixed):
    dataset = make_mixed(("a", "b", "c"), SINGLE, ("counter", "last"), 3)
    return dataset, statistics.summarise(dataset)


def drawn(axes, marker):
    return next(line for line in axes.lines if line.get_marker() == marker)


def test_the_mean_is_beside_all_that_it_may_come_from(lines, mixed_results):
    axes = lines["last"][0]
    p = mixed_results["mixed_probability"].sel(variant="last", answer="ret2")[:, -1]
    share = mixed_results["mixed_share"].sel(variant="last", answer="ret2")[:, -1]
    middle = drawn(axes, "o")
    np.testing.assert_allclose(middle.get_ydata(), p.median("seed"))
    np.testing.assert_allclose(middle.get_xdata(), share.median("seed"))
    cross = drawn(axes, "x")
    assert list(cross.get_xdata()) == [0.1, 0.3, 0.5, 0.7, 0.9]
    assert list(cross.get_ydata()) == [0.009, 0.133, 0.489, 0.844, 0.990]
    assert [0, 1] in [list(line.get_xdata()) for line in axes.lines]
    fine = superposition_panels.FINE
    curves = [line.get_ydata() for line in axes.lines if np.size(line.get_xdata()) == fine.size]
    for m, curve in zip((3, 5, 9), curves, strict=True):
        np.testing.assert_allclose(curve, majority.majority(fine, m))
    seeds = [line.get_ydata() for line in axes.lines if line.get_alpha()]
    np.testing.assert_allclose(seeds, p.values)


def test_single_prompts_are_on_the_diagonal_or_on_the_edges(lines):
    shares = np.arange(11) / 10
    for kind in ("superposer", "last"):
        (mesh,) = lines[kind][1].collections
        edges = mesh.get_coordinates()[0, :, 0]
        np.testing.assert_allclose(edges, np.linspace(-0.05, 1.05, 12), atol=1e-12)
        spread = np.asarray(mesh.get_array()).reshape(20, 11)  # [bin, mixture]
        np.testing.assert_allclose(spread.sum(axis=0), 1)
        if kind == "superposer":
            place = np.minimum(20 * shares + 1e-9, 19).astype(int)
            np.testing.assert_allclose(spread[place, np.arange(11)], 1)
        else:
            np.testing.assert_allclose(spread[1:19], 0)
            assert np.abs(spread[19] - shares).max() < 5 * 0.5 / np.sqrt(400 * SEEDS)
        own = drawn(lines[kind][1], "_")
        np.testing.assert_allclose(own.get_ydata(), shares)
        np.testing.assert_allclose(own.get_xdata(), shares)


def test_between_prompts_only_where_there_are_two_tasks(lines):
    for kind, level in (("superposer", 0.0), ("last", 1.0), ("majority", 1.0)):
        axes = lines[kind][2]
        for marker in "os":
            assert np.size(drawn(axes, marker).get_ydata()) == 9
            np.testing.assert_allclose(drawn(axes, marker).get_ydata(), level, atol=1e-9)
        (band,) = axes.patches
        assert (band.get_y(), band.get_y() + band.get_height()) == (0.96, pytest.approx(0.999))


def test_the_effect_of_an_example_by_its_place(lines):
    for kind, first in (("superposer", 0.0), ("counter", 1 / EXAMPLES), ("last", 1.0)):
        axes = lines[kind][3]
        effect = drawn(axes, "o")
        assert list(effect.get_xdata()) == list(range(1, 11))
        assert effect.get_ydata()[0] == pytest.approx(first, abs=0.02)
        levels = [line.get_ydata()[0] for line in axes.lines if len(line.get_ydata()) == 2]
        assert levels == [0, 1 / EXAMPLES]  # nothing, and an even superposer's
        low, high = axes.get_ylim()
        assert low < min(effect.get_ydata()) and max(effect.get_ydata()) < high
    assert np.abs(drawn(lines["last"][3], "o").get_ydata()[1:]).max() < 0.15


def test_axes_and_the_legend_say_what_is_what(mixed_results, rows, lines, tmp_path):
    figure = superposition_figures.mixed_prompts(mixed_results, rows)
    assert [axes.get_title("left") for axes in lines["superposer"]] == list(
        superposition_figures.TITLES
    )
    assert lines["last"][0].get_ylabel() == "variant=last\nmean P(ret2)"
    assert lines["majority"][0].get_xlabel() == "share d of ret2 in the prompt"
    assert lines["majority"][3].get_xlabel() == "examples back, mixture 5:5"
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    for told in (
        "released models",
        "saturation, released models",
        "no data: majority of the last 3, 5, 9",
        "switching",
    ):
        assert told in entries
    assert figure.axes[16].get_ylabel() == "share of prompts"
    assert all(path.stat().st_size for path in save(figure, tmp_path, "mixed"))


def test_what_is_not_like_the_paper_s_has_no_crosses(make_mixed):
    other = make_mixed(("plus3", "ret4"), kinds=("last",), seeds=2)
    other.attrs["config"] = '{"mixed_examples": 4, "mixed_order": "exact"}'
    figure = superposition_figures.mixed_prompts(other, statistics.summarise(other))
    assert not np.size(drawn(figure.axes[0], "x").get_xdata())
    sizes = [np.size(line.get_xdata()) for line in figure.axes[0].lines]
    assert superposition_panels.FINE.size not in sizes  # exact counts are not drawn one by one
    levels = [line.get_ydata()[0] for line in figure.axes[3].lines if len(line.get_ydata()) == 2]
    assert levels == [0, 0]
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert not any("released models" in told for told in entries)
    assert not figure.axes[2].patches  # no saturation of theirs, either


def test_of_a_short_prompt_only_majorities_that_it_has(make_mixed):
    short = make_mixed(kinds=("last",), seeds=2)
    short.attrs["config"] = '{"mixed_examples": 4}'
    figure = superposition_figures.mixed_prompts(short, statistics.summarise(short))
    sizes = [np.size(line.get_xdata()) for line in figure.axes[0].lines]
    assert sizes.count(superposition_panels.FINE.size) == 1


def test_of_three_tasks_every_answer_is_shown(three):
    dataset, rows = three
    figure = superposition_figures.mixed_prompts(dataset, rows)
    means, single, between, _ = figure.axes[:4]
    assert [text.get_text() for text in means.get_xticklabels()] == ["a", "b", "c", "1:1:1"]
    heights = np.array([bar.get_height() for bar in means.patches]).reshape(3, 4)
    p = dataset["mixed_probability"][0, :, -1].median("seed")  # [mixture, answer]
    np.testing.assert_allclose(heights, p.values.T)
    np.testing.assert_allclose(heights[:, :3], np.eye(3))
    own = [path for c in means.collections for path in c.get_segments() if path[0, 1] == path[1, 1]]
    assert len(own) >= 12  # a share over each bar
    assert [text.get_text() for text in single.get_xticklabels()] == ["a", "b", "c"]
    (mesh,) = figure.axes[5].collections  # who follows the last
    spread = np.asarray(mesh.get_array()).reshape(20, 3)
    np.testing.assert_allclose(spread[[0, 19]].sum(axis=0), 1)
    assert single.get_xlabel() == "" and figure.axes[5].get_xlabel() == "answer, mixture 1:1:1"
    saturation = dataset["mixed_saturation"][0, :, -1, 3]
    marks = [line for line in between.lines if line.get_marker() == "o"]
    medians = [float(line.get_ydata()[0]) for line in marks if line.get_markersize() > 4]
    np.testing.assert_allclose(medians, saturation.median("seed"))
    seeds = [line.get_ydata() for line in marks if line.get_markersize() < 4]
    np.testing.assert_allclose(seeds, saturation.values.T)
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries[:3] == ["a", "b", "c"] and "one seed" not in entries


def test_of_many_settings_six_are_shown(make_mixed):
    kinds = (*KINDS, *KINDS)
    many = make_mixed(labels=["1:9", "5:5"], kinds=kinds, seeds=2)
    many = many.assign_coords(variant=[f"v{i}" for i in range(8)])
    many.attrs["baseline"] = '{"variant": "v0"}'
    rows = statistics.summarise(many)
    assert len(superposition_figures.mixed_prompts(many, rows).axes) == 4 * facets.MOST + 1
    assert len(superposition_dynamics.dynamics(many, rows).axes) == 3 * facets.MOST


def test_settings_without_a_finished_run_are_left_out(mixed_results):
    lost = mixed_results.copy(deep=True)
    lost["status"][0], lost["status"][1, :3] = 2, 0
    rows = statistics.summarise(lost)
    for draw, panels in ((superposition_figures.mixed_prompts, 13),
                         (superposition_dynamics.dynamics, 9)):  # fmt: skip
        figure = draw(lost, rows)
        figure.draw_without_rendering()
        assert len(figure.axes) == panels
    sizes = superposition_sizes.sizes(lost, rows)
    assert list(sizes.axes[0].lines[-1].get_xdata()) == [200, 300, 400]
