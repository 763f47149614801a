import itertools
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from plateaus.report import figures, panels, trained_items
from plateaus.report.statistics import summarise
from plateaus.report.style import looks
from plateaus.report.terminal import ratio_text


@pytest.fixture(scope="module")
def wild_results(make_results):
    """Every trouble at once: diverged settings, a NaN and a huge loss in finished runs."""
    values = [0.05, 0.1, 0.4, 1.0, 1e6]
    results = make_results({"optim.learning_rate": values},
                           [40_000, 20_000, 9_000, 5_000, np.nan], seeds=6)  # fmt: skip
    results["status"][3, :2] = 2
    results["test_loss"][2, 1, 40:] = np.nan
    results["test_loss"][2, 2, 50:] = 1e30
    results["train_loss"][2, 2, 50:] = 3e38
    results["status"][0, 5] = 0
    return results


def assert_readable(figure):
    """Nothing smaller than 8 points, nothing cut off at the edge."""
    for text in figure.findobj(Text):
        if text.get_text().strip():
            assert text.get_fontsize() >= 8, text.get_text()
    figure.draw_without_rendering()
    inside, page = figure.get_tightbbox(), figure.bbox_inches
    assert inside.x0 > -0.02 and inside.y0 > -0.02, inside
    assert inside.x1 < page.width + 0.02 and inside.y1 < page.height + 0.02, inside


def panels_of(figure):
    """The panels of the main figure: loss, survival, names, ratios, columns, runs at risk."""
    return figure.axes[:6]


def test_items_that_are_not_trained_on_do_not_decide_what_the_trained_ones_show(zipf_results):
    never = zipf_results.copy(deep=True)  # over all items no run escapes but the baseline's
    never["escape_step"][1:] = np.nan
    for name in trained_items.PASSAGES:
        never[f"trained_{name}"] = zipf_results[name]
    facts = {**zipf_results["test_loss"].attrs, "items": "trained"}
    loss = never["test_loss"]
    never["test_loss_trained"] = (loss.dims, zipf_results["test_loss"].values, facts)
    assert trained_items.trained_plateau(zipf_results, summarise(zipf_results)) is None
    figure = trained_items.trained_plateau(never, summarise(never))
    loss, *_, risk = panels_of(figure)
    assert loss.get_title("left").startswith("(a) loss on trained items: ")
    escaped = [text.get_text() for text in risk.texts if "/" in text.get_text()]
    assert escaped == ["14/16", *["16/16"] * 4, "0/16"]
    alike = never.assign({name: never[f"trained_{name}"] for name in trained_items.PASSAGES})
    assert trained_items.trained_plateau(alike, summarise(alike)) is None


def test_main_figure_says_what_it_shows(zipf_results):
    figure = figures.plateau(zipf_results, summarise(zipf_results))
    loss, survival, key, ratio, beside, risk = panels_of(figure)
    assert loss.get_xlabel() == survival.get_xlabel() == "optimiser steps"
    assert loss.get_ylabel() == "normalised test loss\n(1: uninformed, 0: best)"
    assert loss.get_xscale() == survival.get_xscale() == ratio.get_xscale() == "log"
    assert "ratio to the\nbaseline's run of the same seed" in ratio.get_xlabel()
    assert "data.zipf_exponent" in [text.get_text() for text in figure.texts]
    assert [t.get_text() for t in key.texts] == ["0", "0.5", "0.75", "1", "1.25", "1.5"]
    escaped = [text.get_text() for text in risk.texts if "/" in text.get_text()]
    assert escaped == ["14/16", *["16/16"] * 4, "0/16"]
    rows = summarise(zipf_results)
    texts = [text.get_text() for text in beside.texts]
    assert texts[0] == "baseline" and texts[2::3] == [str(row.pairs) for row in rows[1:]]
    assert texts[1::3] == [ratio_text(row.ratio, row.bound) for row in rows[1:]]
    assert_readable(figure)


def test_main_figure_draws_the_median_the_survival_and_those_at_risk(zipf_results):
    figure = figures.plateau(zipf_results, summarise(zipf_results))
    loss, survival, _, _, _, risk = panels_of(figure)
    values = zipf_results["test_loss"].values[1].astype(float)[:, 1:]
    np.testing.assert_allclose(loss.lines[1].get_ydata(), np.median(values, axis=0))
    corners = loss.collections[1].get_paths()[0].vertices
    low, high = np.quantile(values, (0.25, 0.75), axis=0)
    assert (corners[:, 1].min(), corners[:, 1].max()) == pytest.approx((low.min(), high.max()))
    steps = np.sort(zipf_results["escape_step"].values[2])
    x, y = survival.lines[3].get_data()  # a curve and its ticks for 0, a curve for .5, for .75
    assert survival.lines[3].get_drawstyle() == "steps-post"
    for step in (steps[0] - 1, steps[0], steps[8], steps[15]):
        drawn = y[np.searchsorted(x, step, side="right") - 1]
        assert drawn == pytest.approx(np.mean(steps > step))
    counts = [text for text in risk.texts if text.get_position()[1] == 2][:-1]
    assert len(counts) > 2
    for text in counts:
        assert int(text.get_text()) == np.sum(steps >= text.get_position()[0])


def test_ratios_are_of_pairs_with_arrows_for_bounds_and_dots_alone_for_few(make_results):
    swept = {"data.subset": [1.0, 0.1, 0.02]}
    results = make_results(swept, [30_000, 9_000, np.inf], baseline={"data.subset": 1.0})
    rows = summarise(results)
    ratio = panels_of(figures.plateau(results, rows))[3]
    dots = {(line.get_marker(), line.get_ydata()[0].round()): line for line in ratio.lines
            if line.get_alpha()}  # fmt: skip
    escape = np.minimum(np.nan_to_num(results["escape_step"].values, nan=50_000), 50_000)
    both = np.isfinite(results["escape_step"].values[:2]).all(axis=0)
    expected = (escape[1] / escape[0])[both]
    np.testing.assert_allclose(dots["o", 1].get_xdata(), expected)
    assert (">", 2) in dots and ("o", 2) not in dots
    assert rows[2].bound == ">" and len(ratio.texts) == 1  # its arrow
    few = results.isel(seed=slice(0, 7))
    ratio = panels_of(figures.plateau(few, summarise(few)))[3]
    marks = [line for line in ratio.lines if line.get_ms() > 4.5 and len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in marks] == [1]  # the baseline's


def test_without_a_baseline_the_lengths_themselves(make_results):
    results = make_results({}, np.array(9_000.0))
    (row,) = rows = summarise(results)
    length = panels_of(figures.plateau(results, rows))[3]
    assert length.get_xlabel() == "optimiser steps to escape"
    (mean,) = [line.get_xdata()[0] for line in length.lines if line.get_markersize() == 6
               and len(line.get_xdata()) == 1]  # fmt: skip
    assert mean == row.plateau.value
    seeds = next(line for line in length.lines if line.get_alpha()).get_xdata()
    np.testing.assert_array_equal(np.sort(seeds), np.sort(results["escape_step"].values))


def test_where_nothing_normalises_the_loss_it_is_drawn_itself(zipf_results):
    bare = zipf_results.copy(deep=True)
    bare["uninformed_loss"][:] = np.nan
    loss = panels_of(figures.plateau(bare, summarise(bare)))[0]
    assert loss.get_ylabel() == "test loss (squared error)"
    values = zipf_results["test_loss"].values[0].astype(float)[:, 1:]
    np.testing.assert_allclose(loss.lines[0].get_ydata(), np.median(values, axis=0))


def lightness(look):
    return float(np.dot(to_rgb(look.color), [0.3, 0.6, 0.1]))


def test_no_two_of_24_settings_look_alike():
    styles = looks(24, baseline=3)
    assert len({(look.color, str(look.dash)) for look in styles}) == 24
    assert len({(look.color, look.marker) for look in styles}) == 24
    assert lightness(styles[3]) == 0 and max(map(lightness, styles)) < 0.75
    for one, other in itertools.pairwise(styles):  # in grey
        assert str(one.dash) != str(other.dash)


def test_values_in_an_order_go_from_dark_to_light_in_it():
    styles = looks(3, order=[0.4, 0.1, 1.0])
    assert sorted(range(3), key=lambda i: lightness(styles[i])) == [1, 0, 2]


def test_every_line_differs_in_dash_marker_and_lightness():
    styles = looks(6, baseline=0, order=range(6))
    for one, other in itertools.pairwise(styles):
        assert one.dash != other.dash and one.marker != other.marker
        assert np.dot(other.color[:3], [0.3, 0.6, 0.1]) > np.dot(one.color[:3], [0.3, 0.6, 0.1])
    assert np.dot(styles[-1].color[:3], [0.3, 0.6, 0.1]) < 0.7
    assert styles[0].width > styles[1].width


def medians(loss):
    """The lines of a panel that are of no single seed."""
    return [line for line in loss.lines if line.get_linewidth() != 0.5]


def test_trouble_in_the_data_is_drawn_without_a_warning(wild_results, tmp_path):
    rows = summarise(wild_results)
    figure = figures.plateau(wild_results, rows)
    loss, _, key, *_ = panels_of(figure)
    assert [t.get_text() for t in key.texts][3:] == ["1 (2 diverged)", "1e+06 (6 diverged)"]
    finished = wild_results["test_loss"].values[3, 2:, 1:].astype(float)
    np.testing.assert_allclose(medians(loss)[3].get_ydata(), np.median(finished, axis=0))
    low, high = loss.get_ylim()
    assert -1 < low < 0 < 1 < high < 4  # the plateau is still to be seen
    assert_readable(figure)
    figures.save(figure, tmp_path, "plateau")
    many = figures.learning_curves(wild_results, rows)
    assert "(2 diverged)" in many.axes[3].get_title("left")
    figures.save(many, tmp_path, "curves")


@pytest.mark.parametrize("seeds", [1, 2])
def test_nothing_swept_and_few_seeds(make_results, tmp_path, seeds):
    results = make_results({}, np.array(9_000), seeds=seeds)
    rows = summarise(results)
    for figure in (figures.plateau(results, rows), figures.learning_curves(results, rows)):
        assert_readable(figure)
        figures.save(figure, tmp_path, "any")


def test_facets_by_all_fields_but_the_last(make_results):
    swept = {"data.order": ["epochs", "replace"], "optim.learning_rate": [0.1, 1e6],
             "data.subset": [1.0, 0.1, 0.02]}  # fmt: skip
    centres = np.full((2, 2, 3), 9_000.0)
    centres[:, 1] = np.nan
    results = make_results(swept, centres, seeds=2, baseline={"data.subset": 1.0})
    figure = figures.plateau(results, summarise(results))
    assert [t.get_text() for t in figure.texts if t.get_weight() == "bold"] == [
        "data.order=epochs, optim.learning_rate=0.1",
        "data.order=epochs, optim.learning_rate=1e+06 (6 diverged)",
        "data.order=replace, optim.learning_rate=0.1",
        "data.order=replace, optim.learning_rate=1e+06 (6 diverged)",
    ]
    assert [t.get_text() for t in panels_of(figure)[2].texts] == ["1", "0.1", "0.02"]
    assert len(figures.learning_curves(results, summarise(results)).axes) == 12


def test_every_seed_is_a_line_of_the_learning_curves(zipf_results):
    figure = figures.learning_curves(zipf_results, summarise(zipf_results))
    assert [axes.get_title("left") for axes in figure.axes[:2]] == [
        "data.zipf_exponent=0", "data.zipf_exponent=0.5",
    ]  # fmt: skip
    steps = zipf_results.sizes["eval_step"]
    drawn = [line for line in figure.axes[1].lines if len(line.get_xdata()) == steps]
    np.testing.assert_array_equal(
        [line.get_ydata() for line in drawn], zipf_results["test_loss"].values[1]
    )


def test_each_run_is_normalised_by_its_own_levels(make_results):
    results = make_results({"task.noise": [0.0, 1.0]}, [9_000, 9_000], seeds=2)
    results["uninformed_loss"][1] = 2.0
    loss = panels_of(figures.plateau(results, summarise(results)))[0]
    values = results["test_loss"].values[1].astype(float)[:, 1:] / 2
    np.testing.assert_allclose(medians(loss)[1].get_ydata(), np.median(values, axis=0))
    results["status"][1] = 0  # and a setting not yet run leaves no trace, and no error
    for name in ("uninformed_loss", "test_loss", "escape_step"):
        results[name][1] = np.nan
    unfinished = figures.plateau(results, summarise(results))
    assert len(medians(panels_of(unfinished)[0])) == 3  # of one setting, and both levels


def test_xmax(zipf_results):
    figure = figures.plateau(zipf_results, summarise(zipf_results), xmax=20_000)
    assert [axes.get_xlim()[1] for axes in figure.axes[:2]] == [20_000] * 2


def test_loss_label_without_telling_units(zipf_results):
    assert panels.loss_label(zipf_results) == "test loss (squared error)"
    other = zipf_results.copy(deep=True)
    other["test_loss"].attrs["units"] = "loss"
    assert panels.loss_label(other) == "test loss"


def test_saved_files_are_the_same_bytes_each_time_and_settings_are_left_alone(
    make_results, tmp_path
):
    results = make_results({"data.subset": [1.0, 0.1]}, [9_000, 5_000], seeds=3)
    rows, before = summarise(results), dict(matplotlib.rcParams)
    content = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        paths = figures.save(figures.plateau(results, rows), folder, "plateau")
        assert sorted(folder.iterdir()) == sorted(paths) and len(paths) == 2
        content.append([path.read_bytes() for path in paths])
    assert content[0] == content[1]
    assert b"<dc:date>" not in content[0][1]
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.rcParams["svg.hashsalt"] is None  # nor had an earlier figure changed them


def test_rounding_in_a_layout_does_not_reach_the_file(tmp_path):
    """Solvers of layouts are off by a last bit, now and then; identifiers in an SVG hash it."""
    content = []
    for left in (0.1, np.nextafter(0.1, 1)):
        figure = Figure()
        axes = figure.add_axes((left, 0.2, 0.7, 0.6))
        axes.plot([0, 1], [0, 1])
        _, path = figures.save(figure, tmp_path, f"of_{left}")
        content.append(path.read_bytes())
    assert content[0] == content[1]


def test_a_file_that_cannot_be_drawn_leaves_the_earlier_one(zipf_results, tmp_path, monkeypatch):
    figure = figures.learning_curves(zipf_results, summarise(zipf_results))
    (tmp_path / "any.png").write_bytes(b"earlier")

    def fail(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OSError, match="No space"):
        figures.save(figure, tmp_path, "any")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"earlier"]


def test_reports_import_neither_jax_nor_pyplot():
    script = (
        "import sys; import plateaus.report.figures, plateaus.report.sinks, plateaus.report.table;"
        "import plateaus.measures.plateau;"
        "sys.exit(bool({'jax', 'matplotlib.pyplot', 'tensorboardX'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)


def test_plateaus_at_the_floor_of_the_instrument_are_marked(make_results):
    names = ["a", "b"]
    short, long = (
        make_results({"variant": names}, [centre] * 2, seeds=8, baseline={"variant": "a"})
        for centre in (1_200.0, 20_000.0)
    )
    figure = figures.plateau(short, summarise(short))
    _, survival, _, _, beside, _ = panels_of(figure)
    assert [text.get_text() for text in survival.texts] == ["floor"]
    (shade,) = survival.patches
    assert shade.get_x() + shade.get_width() == 4 * 500  # four evaluations
    said = [text.get_text() for text in beside.texts]
    assert said[0] == "baseline*" and said[1].endswith("]*")
    assert_readable(figure)
    _, survival, _, _, beside, _ = panels_of(figures.plateau(long, summarise(long)))
    assert not survival.patches and not any("*" in text.get_text() for text in beside.texts)


@pytest.mark.parametrize("seeds", [5, 8])
def test_few_seeds_are_drawn_one_by_one_without_bands(make_results, seeds):
    results = make_results({"a": [0, 1]}, np.array([9_000, 20_000]), seeds, baseline={"a": 0})
    loss, survival = figures.plateau(results, summarise(results)).axes[:2]
    few = seeds < 8
    assert len(loss.collections) == len(survival.collections) == (0 if few else 2)
    thin = [line for line in loss.lines if line.get_linewidth() == 0.5]
    assert len(thin) == (2 * seeds if few else 0)
    assert ("each seed thin" in loss.get_title("left")) == few
    assert ("middle half" in loss.get_title("left")) != few
    assert ("band" in survival.get_title("left")) != few
    one, own = (panel.get_ylim() for panel in (survival, loss))
    assert one == (-0.04, 1.04) and own[0] < 0 < 1 < own[1]


def test_settings_of_other_tasks_have_no_ratio(make_results):
    results = make_results({"a": [0, 1, 2]}, np.array([9e3, 5e3, 4e3]), 8, baseline={"a": 0})
    start = np.full((3, 8, 2), 0.0)
    start[:2, :, 1] = np.nan  # the last one trains on both tasks
    results["start_step_by_task"] = (("a", "seed", "task"), start)
    results = results.assign_coords(task=["x", "y"])
    rows = summarise(results)
    drawn = figures.plateau(results, rows)
    texts = [text.get_text() for axes in drawn.axes for text in axes.texts]
    assert texts.count("other tasks") == 1
    assert ratio_text(rows[1].ratio) in texts and ratio_text(rows[2].ratio) not in texts


def test_a_baseline_in_another_facet_is_told_from_settings_of_other_tasks(make_results):
    """Mixtures at several rates: a facet of one mixture has no baseline of its own."""
    escapes = np.array([[9e3, 8e3], [5e3, 4e3]])
    sweep = {"a": [0, 1], "rate": [0.1, 0.2]}
    results = make_results(sweep, escapes, 8, baseline={"a": 0, "rate": None})
    start = np.full((2, 2, 8, 2), 0.0)
    start[0, :, :, 1] = np.nan
    results["start_step_by_task"] = (("a", "rate", "seed", "task"), start)
    results = results.assign_coords(task=["x", "y"])
    drawn = figures.plateau(results, summarise(results))
    texts = [text.get_text() for axes in drawn.axes for text in axes.texts]
    assert texts.count("other tasks") == 2
