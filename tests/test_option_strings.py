"""Every grammar of options: what is wrong is told by its part, and by what it must be."""

import pytest

from plateaus.option_strings import (
    breakpoints,
    known_names,
    name_problems,
    parts,
    shares,
    whole_numbers,
)

NAMES = ("linear", "relu")


def mixtures(text):
    return shares(text, 2)


def schedule(text):
    return breakpoints(text, NAMES)


def names(text):
    for problem in name_problems(text, NAMES, kind="task"):
        raise ValueError(problem)


@pytest.mark.parametrize(
    ("read", "text", "problem"),
    [
        (names, " , ", "must name at least one task (known: linear, relu)"),
        (names, "relu,liner", "no task 'liner'; did you mean linear? (known: linear, relu)"),
        (names, "relu, relu", "'relu': given twice"),
        (whole_numbers, "x", "must be a whole number, or several with commas"),
        (whole_numbers, "4, ,6", "'': must be a whole number, or several with commas"),
        (whole_numbers, "4,-6", "'-6': must be a whole number, or several with commas"),
        (whole_numbers, "4,²", "'²': must be a whole number, or several with commas"),
        (whole_numbers, "4,04", "4: given twice"),
        (mixtures, "", "must be numbers with colons, as 1:9"),
        (mixtures, "1:9 1:x", "'1:x': must be numbers with colons, as 1:9"),
        (mixtures, " 1 ", "must be 2 shares, one for each task"),
        (mixtures, "1:9,1:2:3", "'1:2:3': must be 2 shares, one for each task"),
        (mixtures, "1:1 0:0", "'0:0': must be finite, at least 0, and not all 0"),
        (mixtures, "nan:1", "must be finite, at least 0, and not all 0"),
        (mixtures, "inf:1", "must be finite, at least 0, and not all 0"),
        (mixtures, "1:1 1:9 1:1", "'1:1': given twice"),
        (schedule, "", "must have its first breakpoint at step 0"),
        (schedule, "7: relu=1", "must have its first breakpoint at step 0"),
        (schedule, "0: relu=1; 5", "'5': must read STEP: group=weight, group=weight"),
        (schedule, "-1: relu=1", "must read STEP: group=weight, group=weight"),
        (schedule, "0: rely=1", "no task 'rely'; did you mean relu? (known: linear, relu)"),
        (schedule, "0: relu=", "'relu=': must read group=weight"),
        (schedule, "0: relu=inf", "'relu=inf': must have a weight in [0, inf)"),
        (schedule, "0: relu=1; 5: relu=0", "'5: relu=0': must have a weight above 0"),
        (schedule, "0: relu=1; 9: relu=1; 5: relu=1", "5: must be a later step than 9"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_kind_of_line(read, text, problem):
    with pytest.raises(ValueError) as refusal:
        read(text)
    assert str(refusal.value) == problem


def test_blanks_and_commas_between():
    assert parts(" a ,, b,") == ("a", "b") and parts("") == ()
    assert whole_numbers(" 4 ,6") == (4, 6)
    assert shares("1:9, 5:5  .5:0", 2) == {"1:9": (1, 9), "5:5": (5, 5), ".5:0": (0.5, 0)}
    steps, weights = schedule(" 0 : relu = 1 ;20:linear=.5,relu=2; ")
    assert steps.tolist() == [0, 20] and weights.tolist() == [[0, 1], [0.5, 2]]


def test_names_may_be_at_fault_for_another_reason():
    """Where a fault is given, it decides, also on names that are there."""
    faults = {"relu": "too large"}
    text = "relu,new,linear,linear"
    problems = name_problems(text, NAMES, lambda name: faults.get(name, ""))
    assert list(problems) == ["too large", "'linear': given twice"]
    assert known_names(text, NAMES) == ("relu", "linear")
