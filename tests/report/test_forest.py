"""The figure of many settings."""

import numpy as np
import pytest

from plateaus.report import forest, statistics


def test_a_line_for_each_of_many_settings(make_results):
    names = [f"method {i}" for i in range(9)]
    centres = np.linspace(9_000, 30_000, 9)
    results = make_results({"variant": names}, centres, seeds=6, baseline={"variant": names[0]})
    rows = statistics.summarise(results)
    (axes,) = forest.forest(results, rows).axes
    assert [t.get_text() for t in axes.get_yticklabels()] == [f"variant={n}" for n in names]
    drawn = {
        line.get_ydata()[0]: line.get_xdata()[0]
        for line in axes.lines
        if len(line.get_xdata()) == 1
    }
    assert [drawn[i] for i in range(9)] == pytest.approx([row.plateau.value for row in rows])
    assert [t.get_text() for t in axes.texts] == [f"{row.escaped}/6" for row in rows]


def test_few_settings_have_no_forest(zipf_results):
    assert forest.forest(zipf_results, statistics.summarise(zipf_results)) is None
