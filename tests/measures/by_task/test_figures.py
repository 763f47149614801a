"""What the curves of tasks have beside them."""

import numpy as np

from plateaus.measures.by_task import figures
from plateaus.report import statistics

BEST = f"{figures.BY_PREFIX}_of_in_context"


def levels(axes):
    """The heights of the dashed horizontal lines."""
    dashed = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
    return [line.get_ydata()[0] for line in dashed if len({*line.get_ydata()}) == 1]


def test_the_least_loss_of_who_is_told_the_family_stands_under_its_curves(everything):
    """Made by hand: the mean over four prefixes of the median over two seeds."""
    dataset = everything.results("points", names=("alone", "other", "third"))
    by_prefix, apart = np.array([1.0, 0.6, 0.3, 0.1]), np.array([[-0.05], [0.05]])
    values = dataset[BEST].copy(deep=True)
    values.loc[{"task": "linear"}] = by_prefix + apart  # [seed, prefix] of every setting
    known = dataset[f"{figures.BY_PREFIX}_of_known"]
    told = dataset.assign({BEST: values, known.name: known * 0})
    figure = figures.losses(told, statistics.summarise(told))
    (axes,) = [axes for axes in figure.axes if axes.get_title(loc="left").startswith("linear")]
    assert levels(axes) and np.allclose(levels(axes), 0.5)


def test_where_no_predictor_is_known_there_is_no_such_line(everything):
    """Then what stands for it is the predictor that knows the function, whose loss is 0."""
    dataset = everything.results("points", names=("alone", "other", "third"))
    known = dataset[f"{figures.BY_PREFIX}_of_known"]
    same = dataset.assign({BEST: known.rename(BEST)})
    figure = figures.losses(same, statistics.summarise(same))
    assert [level for axes in figure.axes for level in levels(axes)] == []
