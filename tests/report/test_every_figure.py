"""Every registered figure, drawn of 1 to 24 settings with long names: what a machine can see."""

import collections
import itertools
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from plateaus.measures.by_task import figures as task_figures
from plateaus.measures.figures import FIGURES, drawn, summaries
from plateaus.report import facets, figures, statistics

COUNTS = (1, 5, 24)
NUMBER = re.compile(r"[−-]?[\d.,]+(e[−+-]?\d+)?[kM%]?")
LEFT = {}  # known problems that are left: (figure, settings) -> kinds, with the reason; to shrink
THOROUGH = pytest.mark.thorough
WORLDS = ("regression", "learners", "points", "facts", "mixture")


def long_names(count):
    """Names of 60 letters that differ in their ends, as people give them."""
    stem = "sparse_parity_2 + conjunction + linear + relu, rate per layer"
    return [stem[: 60 - len(end)] + end for end in (f" x{i:02d}" for i in range(count))]


def texts_of(figure):
    """The texts that are drawn, and where, by drawing the figure."""
    found = []
    draw = Text.draw

    def keep(self, renderer, *args, **options):
        if self.get_visible() and self.get_text().strip():
            found.append(self)
        return draw(self, renderer, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", keep)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    renderer = canvas.get_renderer()
    return [(text, text.get_window_extent(renderer)) for text in dict.fromkeys(found)]


def overlap(one, box, other, its, renderer):
    """Whether two texts cover one another by more than a pixel; turned alike, along their lines."""
    angle = one.get_rotation()
    if angle % 90 == 0 or angle != other.get_rotation():
        wide = min(box.x1, its.x1) - max(box.x0, its.x0)
        high = min(box.y1, its.y1) - max(box.y0, its.y0)
        return wide > 1 and high > 1
    sizes = []
    for text in (one, other):
        text.set_rotation(0)
        extent = text.get_window_extent(renderer)
        sizes.append((extent.width, extent.height))
        text.set_rotation(angle)
    right, up = (box.x0 + box.x1 - its.x0 - its.x1) / 2, (box.y0 + box.y1 - its.y0 - its.y1) / 2
    turn = np.deg2rad(angle)
    along = abs(right * np.cos(turn) + up * np.sin(turn))
    across = abs(up * np.cos(turn) - right * np.sin(turn))
    wide, high = np.mean(sizes, axis=0)
    return along < wide - 1 and across < high - 1


def problems(figure):
    """What is wrong with a figure that a machine can see: kind -> what."""
    found = collections.defaultdict(list)
    texts = texts_of(figure)
    renderer = figure.canvas.get_renderer()
    for (one, box), (other, its) in itertools.combinations(texts, 2):
        if box.overlaps(its) and overlap(one, box, other, its, renderer):
            found["overlap"].append(f"{one.get_text()!r} on {other.get_text()!r}")
    page = figure.bbox
    for text, box in texts:
        if box.x0 < -1 or box.y0 < -1 or box.x1 > page.x1 + 1 or box.y1 > page.y1 + 1:
            found["cut off"].append(repr(text.get_text()))
    shown = {id(text) for text, _ in texts}
    axes = [a for a in figure.axes if a.get_visible() and a.axison]
    for a, name in itertools.product(axes, "xy"):
        if not labelled(a, name, axes, shown, figure):
            found["no label"].append(f"{name} axis of {a.get_title('left')!r}")
    for a in axes:
        for line in a.lines:
            outside(a, line, found)
    return dict(found)


def labelled(axes, name, others, shown, figure):
    """Whether numbers beside an axis have a label there, or further out in its line or column."""
    axis = getattr(axes, f"{name}axis")
    ticks = [t.get_text() for t in axis.get_ticklabels(which="both") if id(t) in shown]
    if not any(NUMBER.fullmatch(text.strip()) for text in ticks):
        return True
    side = ("x0", "x1") if name == "x" else ("y0", "y1")
    place = axes.get_position()
    alike = [
        other
        for other in others
        if all(abs(getattr(other.get_position(), s) - getattr(place, s)) < 0.02 for s in side)
    ]
    return any(getattr(other, f"{name}axis").label.get_text().strip() for other in alike)


def outside(axes, line, found):
    """Add a line that leaves its axes unclipped, or is nowhere to be seen in them."""
    if line.get_transform() != axes.transData:
        return
    x, y = (np.asarray(line.get_data(orig=False)[i], float) for i in (0, 1))
    there = np.isfinite(x) & np.isfinite(y)
    if not there.any():
        return
    inside = there.copy()
    for values, (low, high) in ((x, axes.get_xlim()), (y, axes.get_ylim())):
        low, high = sorted((low, high))
        room = 1e-6 * (high - low)
        inside &= (values >= low - room) & (values <= high + room)
    if not inside.any() and there.sum() == 1:
        found["outside"].append(f"a mark at {x[there][0]}, {y[there][0]}")
    if not line.get_clip_on() and (there & ~inside).any():
        found["outside"].append("an unclipped line")


@pytest.mark.parametrize("count", COUNTS)
def test_the_main_figure_holds(make_results, count):
    names = long_names(count)
    centres = [*np.geomspace(3_000, 60_000, max(count - 1, 1)), np.inf][:count]
    results = make_results({"variant": names}, centres, seeds=8, baseline={"variant": names[0]})
    results["status"][-1, :3] = 2
    rows = statistics.summarise(results)
    assert problems(figures.plateau(results, rows)) == {}


@pytest.mark.parametrize("count", COUNTS)
def test_the_main_figure_holds_in_facets(make_results, count):
    swept = {
        "a.field_with_a_long_name": long_names(2),
        "optim.learning_rate": [*range(1, count + 1)],
    }
    centres = np.geomspace(2_000, 90_000, 2 * count).reshape(2, count)
    results = make_results(swept, centres, seeds=5, baseline={"optim.learning_rate": 1})
    assert problems(figures.plateau(results, statistics.summarise(results))) == {}


def made_of(everything, world, count):
    """The figures of a world's settings, which are of several sizes; of 0: nothing is swept."""
    dataset = everything.results(world, names=long_names(count) or None)
    if count:
        dataset["parameters"][:] = 100 * (1 + np.arange(count))[:, None]
    rows = statistics.summarise(dataset)
    return drawn(dataset, rows, summaries(dataset, rows))


def test_a_setting_looks_the_same_in_the_main_figure_and_by_task(everything):
    dataset = everything.results("points", names=("one", "two", "three"))
    rows = statistics.summarise(dataset)
    (legend,) = task_figures.losses(dataset, rows).legends
    shown = [(line.get_color(), line.get_linewidth()) for line in legend.get_lines()]
    assert shown == [(look.color, look.width) for look in facets.styles_of(rows)]


@pytest.mark.thorough
def test_no_figure_is_left_out(everything):
    many = {"mixture": 24}  # as many sets of tasks as there are figures of them
    made = {stem for world in WORLDS for stem in made_of(everything, world, many.get(world, 2))}
    # Where batches are swept (tests/measures/by_task), or there is a curriculum (test_curves.py):
    elsewhere = {"task_batches", "loss_ratios"}
    assert made | elsewhere == set(FIGURES)


@pytest.mark.parametrize("world", ["points", "mixture"])
def test_every_figure_is_drawn_where_nothing_is_swept(everything, world):
    made = made_of(everything, world, 0)
    assert {"plateau", "task_losses"} <= set(made)


@pytest.mark.parametrize(
    "world",
    ["learners", *(pytest.param(world, marks=THOROUGH) for world in ("regression", "mixture"))],
)
def test_every_figure_is_drawn_where_all_runs_of_a_setting_diverge(everything, world):
    ends = {(1, seed): ("diverged", 24) for seed in range(2)}
    dataset = everything.ended(everything.results(world), ends)
    rows = statistics.summarise(dataset)
    for figure in drawn(dataset, rows, summaries(dataset, rows)).values():
        texts_of(figure)


@pytest.mark.thorough
@pytest.mark.parametrize("count", (0, *COUNTS))
@pytest.mark.parametrize("world", WORLDS)
def test_every_figure_holds(everything, world, count):
    made = made_of(everything, world, count)
    found = {(stem, count): problems(figure) for stem, figure in made.items()}
    worse = {key: kinds for key, kinds in found.items() if set(kinds) != set(LEFT.get(key, ()))}
    assert not worse
