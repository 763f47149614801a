"""The table and the figure of mixed prompts, from made-up scores whose measures are known."""

import io

import numpy as np
import pytest
from rich.console import Console

from plateaus.real_models import report
from plateaus.report import style
from plateaus.report.table import as_csv

TASKS = ("left", "right")


def mixture(name, p):
    p = np.asarray(p)
    share = np.array([float(x) for x in name.split(":")])
    measured = {
        "probability": p.mean(axis=0),
        "share": share / share.sum(),
        "saturation": np.array([0.25, np.nan]),
        "entropy": np.float32(0.5),
        "entropy_of_mean": np.float32(0.75),
        "kl": np.float32(0.125),
        "completed": np.float32(1.5),
        "recency_same": np.array([[0.9, 0.0001], [0.5, 0.5]]),
        "recency_other": np.array([[0.1, np.nan], [0.5, 0.5]]),
        "histogram": np.stack([np.histogram(x, 20, (0, 1))[0] / len(x) for x in p.T]),
    }
    return report.Mixture(name, np.log(p), {f"mixed_{k}": v for k, v in measured.items()})


@pytest.fixture
def mixtures():
    rng = np.random.default_rng(0)
    return [mixture(name, rng.uniform(0.01, 0.5, (50, 2))) for name in ("1:1", "1:3", "3:1")]


def test_records(mixtures):
    rows = report.records(TASKS, mixtures)
    assert [row["mixture"] for row in rows] == ["1:1", "1:3", "3:1"]
    row = rows[1]
    assert row["prompts"] == 50 and row["share.right"] == "0.75" and row["kl"] == "0.125"
    assert float(row["probability.left"]) == pytest.approx(
        np.exp(mixtures[1].log_p[:, 0]).mean(), rel=1e-5
    )
    assert row["saturation.right"] == "" and row["recency_other.right"] == ""
    assert row["recency_same.left"] == "0.9" and row["recency_same.right"] == "0.0001"
    assert as_csv(rows).count("\n") == 4


def test_table(mixtures):
    buffer = io.StringIO()
    Console(file=buffer, width=100).print(report.table(TASKS, mixtures))
    lines = [line.split() for line in buffer.getvalue().splitlines()]
    own = next(words for words in lines if words[:1] == ["1:3"])
    assert own[1:3] == ["left", "0.250"] and own[-4:] == ["0.500", "0.750", "0.125", "1.500"]
    right = lines[lines.index(own) + 1]
    assert right[0] == "right" and right[3:] == ["-", "1e-04", "-"]


def test_figure(mixtures, tmp_path):
    """A point for each task and mixture; a histogram and a bar each; the same bytes every time."""
    figure = report.figure(TASKS, mixtures, "tiny, pair")
    first, *others = figure.axes
    assert len(others) == 3 and [axes.get_title(loc="left") for axes in others] == [
        f"shares {one.name}" for one in mixtures
    ]
    points = [line for line in first.lines if len(line.get_xdata()) == 3]
    assert len(points) == 2
    np.testing.assert_array_equal(points[0].get_xdata(), [0.5, 0.25, 0.75])  # not moved aside
    means = [one.measured["mixed_probability"][0] for one in mixtures]
    np.testing.assert_allclose(points[0].get_ydata(), means)
    bar = others[0].lines[0].get_xdata()
    np.testing.assert_allclose(bar, np.quantile(np.exp(mixtures[0].log_p[:, 0]), (0.1, 0.9)))
    assert list(others[1].lines[2].get_xdata()) == [0.25, 0.25]  # the share, dashed
    highest = max(one.measured["mixed_histogram"].max() for one in mixtures)
    for k, foot in enumerate((1.0, 0.0)):  # a line a task, on one scale
        heights = others[0].patches[k].get_data().values - foot
        wanted = 0.75 * mixtures[0].measured["mixed_histogram"][k] / highest
        np.testing.assert_allclose(heights, wanted, atol=1e-12)
    style.save(figure, tmp_path / "a", "x")
    style.save(report.figure(TASKS, mixtures, "tiny, pair"), tmp_path / "b", "x")
    for name in ("x.png", "x.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("many", (1, 2, 11))
def test_any_number_of_mixtures(many):
    some = [mixture(f"{i + 1}:{many - i}", np.full((3, 2), 0.4)) for i in range(many)]
    assert len(report.figure(TASKS, some, "x").axes) == 1 + many
