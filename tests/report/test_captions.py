"""Captions: every registered figure has one, and it says of which runs."""

import numpy as np
import pytest

from plateaus.measures.figures import FIGURES
from plateaus.report import captions, statistics


@pytest.mark.parametrize("stem", FIGURES)
def test_every_figure_says_what_it_shows(stem):
    text = captions.described(FIGURES[stem].draw)
    assert len(text) > 60 and text.endswith(".") and text[0].isupper()
    assert "Args" not in text and "None" not in text and "Return" not in text


def test_a_caption_says_of_which_runs(zipf_results):
    results = zipf_results.copy(deep=True)
    results["status"][0, :3] = 2
    results["device"] = (results["status"].dims, np.ones(results["status"].shape, np.int16))
    results["device"].attrs["flag_meanings"] = "not_run AMD_EPYC"
    rows = statistics.summarise(results)
    text = captions.caption(FIGURES["plateau"].draw, results, rows, ["abcdef0+"])
    lines = text.splitlines()
    assert "- Runs: 96, n = 16 seeds a setting (0 to 15), 50,000 steps each, 3 diverged" in lines
    assert "- Settings: data.zipf_exponent = 0, 0.5, 0.75, 1, 1.25, 1.5" in lines
    assert "- Device: AMD EPYC" in lines and "- Commit: abcdef0+" in lines
    assert lines[0].startswith("The main figure") and "Kaplan" in lines[0]


def test_what_is_not_known_is_left_out(zipf_results):
    rows = statistics.summarise(zipf_results)
    text = captions.caption(FIGURES["plateau"].draw, zipf_results, rows, [])
    assert "Device" not in text and "Commit" not in text
