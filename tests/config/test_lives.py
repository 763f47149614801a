"""How long runs last and what is kept of them, as written on the command line."""

import pytest

from plateaus.config import lives
from plateaus.config.lives import Keep


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("8m", 480), (" 1H30m ", 5400), ("0.5m", 30), ("1d", 86_400)],
)
def test_a_duration(text, seconds):
    assert lives.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "8", "m", "8 m", "-8m", "8w", "1m8", "1e3s", "inf", "8mm"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match=r"must be a duration, as 90s, 8m or 1h30m"):
        lives.duration(text)


def test_a_duration_of_nothing():
    with pytest.raises(ValueError, match="must be longer than 0"):
        lives.duration("0s")


def test_events():
    assert [lives.event(name) for name in lives.EVENTS] == ["escaped", "completed"]
    with pytest.raises(ValueError, match=r"must be escaped or completed; did you mean escaped\?"):
        lives.event("escape")


@pytest.mark.parametrize(
    ("texts", "keep"),
    [
        ([], Keep()),
        (["state"], Keep(state=True)),
        (["weights"], Keep(weights=True)),
        (["weights=0,1e3"], Keep(weights=True, steps=(0, 1000))),
        (["weights=1:100:3log", "state"], Keep(True, True, (1, 10, 100), rounded=True)),
    ],
)
def test_what_is_kept(texts, keep):
    assert lives.joined(texts) == keep


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["all"], "must be state, weights or weights=STEPS"),
        (["state=3"], "must be state, weights or weights=STEPS"),
        (["weights="], "must be state, weights or weights=STEPS"),
        (["weights=last"], "must be state, weights or weights=STEPS"),
        (["weights=1.5"], "whole numbers of at least 0"),
        (["weights=-1"], "whole numbers of at least 0"),
        (["weights=inf"], "whole numbers of at least 0"),
        (["weights=nan:3:4"], "both ends must be finite"),
        (["weights=0:10:3log"], "both ends must be above 0"),
        (["state", "state"], "given twice"),
        (["weights=1", "weights=2"], "given twice"),
    ],
)
def test_what_cannot_be_kept(texts, said):
    with pytest.raises(ValueError, match=said):
        lives.joined(texts)


def test_steps_near_evaluations_are_kept_once():
    keep = Keep(weights=True, steps=(1, 2, 26, 30, 999), rounded=True)
    assert lives.evaluations(keep, 120, 50) == (0, 50, 100)
    assert lives.evaluations(Keep(state=True), 100, 50) == ()
