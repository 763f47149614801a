"""The figure in a notebook while runs train: the losses of the results, and never in the way."""

import sys
from types import SimpleNamespace

import numpy as np

from plateaus.interactive import notebook
from plateaus.jobs.pace import Piece
from plateaus.jobs.progress import Progress
from plateaus.jobs.sweep import Member


def test_the_last_picture_is_of_all_losses(made):
    assert made.pictures and all(picture.startswith(b"\x89PNG") for picture in made.pictures)
    curves, title = made.drawn[-1]
    assert {(run.values, run.seed) for run in curves} == {
        ((value,), seed) for value in (0.0, 1.5) for seed in (0, 1)
    }
    for run, (phase, losses) in curves.items():
        one = {"data.zipf_exponent": run.values[0], "seed": run.seed}
        there = made.result.data.test_loss.sel(one)
        assert np.array_equal(losses, there.values)
        assert np.array_equal(phase * np.arange(losses.size), there.eval_step.values)
    assert title.startswith("100%") and "escaped 4/4" in title


def test_each_setting_has_a_colour_and_a_name():
    runs = {Member((value,), seed): (10, np.ones(4)) for value in (1, 2) for seed in (0, 1)}
    (axes,) = notebook.losses_so_far({**runs, Member((3,), 0): (10, np.ones(1))}, "50%").axes
    assert axes.get_title(loc="left") == "50%" and len(axes.lines) == 4
    assert len({line.get_color() for line in axes.lines}) == 2
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["1", "2"]
    assert axes.lines[0].get_xdata().tolist() == [10, 20, 30]


def test_a_picture_that_cannot_be_shown_stops_nothing(monkeypatch):
    calls = []

    def display(*_, **__):
        calls.append(1)
        raise RuntimeError("no front end")

    module = SimpleNamespace(display=display, Image=lambda data: data)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    piece = Piece("a", 1, 20, 10, (Member((), 0),))
    with notebook.Live([piece], 1) as live:
        live.begin(0, piece)
        live.update(0, 10, losses=np.ones((1, 1)))
        live.show()
        live.update(0, 10)
    assert len(calls) == 1


def test_lines_where_there_is_no_notebook(monkeypatch):
    assert notebook.shell() is None and notebook.shown(True) is None
    terminal = SimpleNamespace(get_ipython=lambda: SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", terminal)
    assert notebook.shown(True) is None
    assert isinstance(notebook.shown(False)([], 1), Progress)
