"""The schema: what is accepted, what is refused, and in which words."""

import dataclasses
from typing import Annotated, NamedTuple

import pytest

from plateaus.config.schema import Component, ConfigError, entries, resolve
from plateaus.config.values import convert, nearest, shown
from plateaus.fields import INFINITE, Field


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSpec:
    steps: Annotated[int, Field(help="steps", low=1, sweepable=False)] = 100
    seeds: Annotated[int, Field(help="seeds", low=1, sweepable=False)] = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskSpec:
    dimension: Annotated[int, Field(help="d", low=1, high=64)] = 20
    relevant_bits: Annotated[int, Field(help="k", low=1)] = 6
    order: Annotated[str, Field(help="order", choices=("replacement", "epochs"))] = "replacement"
    noisy: Annotated[bool, Field(help="noise")] = False


class DataKnobs(NamedTuple):
    subset: Annotated[float, Field(help="rho", low=0.0, low_open=True, high=1.0, neutral=1.0)] = 1.0
    zipf_exponent: Annotated[float, Field(help="alpha", low=0, high=3, neutral=0.0)] = 0.0
    shift: Annotated[float, Field(help="unbounded")] = 0.0
    count: Annotated[int, Field(help="unbounded")] = 0


class NoKnobs(NamedTuple):
    pass


@dataclasses.dataclass(frozen=True)
class NoSpec:
    pass


def check_task(values):
    if values["relevant_bits"] > values["dimension"]:
        yield "relevant_bits", f"must be at most task.dimension ({values['dimension']})"
    if values["data.subset"] * values["steps"] < 1:
        yield "data.subset", "leaves no point"


SECTIONS = {
    "": Component(RunSpec, NoKnobs, dict),
    "task": Component(TaskSpec, NoKnobs, dict, check_task),
    "data": Component(NoSpec, DataKnobs, dict),
}
SCHEMA = entries(SECTIONS)
NAME = {"task.name": "toy"}


def settle(given, sweep=()):
    return resolve(SCHEMA, SECTIONS, {**NAME, **given}, dict(sweep))[0].config


def problems(given, sweep=()):
    with pytest.raises(ConfigError) as caught:
        settle(given, sweep)
    return caught.value.problems


def test_entries_are_dotted_typed_and_ordered():
    assert list(SCHEMA)[:4] == ["steps", "seeds", "task.name", "task.dimension"]
    assert SCHEMA["task.noisy"].kind is bool and SCHEMA["task.dimension"].kind is int
    assert SCHEMA["data.subset"].knob and not SCHEMA["task.dimension"].knob
    assert SCHEMA["data.subset"].field.neutral == 1.0


def test_defaults_are_filled_in():
    config = settle({"steps": "1e3"})
    assert list(config) == list(SCHEMA)
    assert config["steps"] == 1000 and config["task.dimension"] == 20
    assert config["task.name"] == "toy"


@pytest.mark.parametrize(
    ("name", "value", "typed"),
    [
        ("steps", "1000", 1000),
        ("steps", "1e6", 1_000_000),
        ("steps", "1_000", 1000),
        ("steps", 3.0, 3),
        ("data.zipf_exponent", 1, 1.0),
        ("data.zipf_exponent", ".5", 0.5),
        ("data.zipf_exponent", "-0", 0.0),
        ("task.noisy", "true", True),
        ("task.noisy", "False", False),
        ("task.order", "epochs", "epochs"),
    ],
)
def test_accepted_values_get_the_declared_type(name, value, typed):
    got = settle({name: value})[name]
    assert repr(got) == repr(typed)  # 1 and 1.0, or 0.0 and -0.0, are not the same text


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("data.subset", 1.5, "data.subset = 1.5: must be in (0.0, 1.0]"),
        ("data.subset", "0", "data.subset = 0.0: must be in (0.0, 1.0]"),
        ("data.subset", "nan", "data.subset = nan: must be in (0.0, 1.0]"),
        ("data.subset", "fast", "data.subset = 'fast': must be a number in (0.0, 1.0]"),
        ("data.subset", True, "data.subset = True: must be a number in (0.0, 1.0]"),
        ("data.subset", None, "data.subset = None: must be a number in (0.0, 1.0]"),
        ("data.subset", "", "data.subset = '': must be a number in (0.0, 1.0]"),
        ("data.subset", "1e-40", "data.subset = 1e-40: must be 0 or from 1.2e-38"),
        ("data.shift", "inf", "data.shift = inf: must be finite"),
        ("data.shift", "nan", "data.shift = nan: must be finite"),
        ("data.shift", 1e39, "data.shift = 1e+39: must be 0 or from 1.2e-38"),
        ("data.shift", [1.0], "data.shift = [1.0]: must be a number"),
        ("data.shift", 10**400, "must be a number"),
        ("data.count", 2**31, "data.count = 2147483648: must be at most 2147483647"),
        ("steps", 3.5, "steps = 3.5: must be an integer in [1, inf)"),
        ("steps", "3.5", "steps = 3.5: must be an integer in [1, inf)"),
        ("steps", True, "steps = True: must be an integer"),
        ("steps", "true", "steps = 'true': must be an integer"),
        ("steps", "inf", "steps = inf: must be an integer"),
        ("steps", "nan", "steps = nan: must be an integer"),
        ("steps", -5, "steps = -5: must be in [1, inf)"),
        ("task.noisy", 1, "task.noisy = 1: must be true or false"),
        ("task.noisy", "yes", "task.noisy = 'yes': must be true or false"),
        ("task.order", "epoch", "must be replacement | epochs; did you mean epochs?"),
        ("task.order", 3, "task.order = 3: must be replacement | epochs"),
        ("task.name", 3, "task.name = 3: must be text"),
        (
            "data.zipf_exponet",
            1,
            "data.zipf_exponet = 1: no such field; did you mean data.zipf_exponent?",
        ),
        ("zipf_exponent", 1, "zipf_exponent = 1: no such field; did you mean data.zipf_exponent?"),
        ("task.subset", 1, "task.subset = 1: no such field; did you mean data.subset?"),
        ("data", 1, "data = 1: a group of fields; set one of data.subset"),
        ("data.qqqqq", 1, "data.qqqqq = 1: no such field; there are data.subset, data.zipf"),
        ("task.relevant_bits", 30, "task.relevant_bits = 30: must be at most task.dimension (20)"),
    ],
)
def test_refused_values(name, value, line):
    (problem,) = problems({name: value})
    assert line in problem
    assert "\n" not in problem and len(problem) < 250


def test_all_problems_at_once_and_cross_checks_only_after():
    lines = problems(
        {"steps": -1, "task.relevant_bits": 30, "data.subset": 2, "optim.x": 1},
        {"data.zipf_exponent": ["a", 4], "seeds": [1, 2]},
    )
    assert [line.split(" ")[0].rstrip(":") for line in lines] == [
        "steps", "data.subset", "optim.x", "data.zipf_exponent", "data.zipf_exponent", "seeds",
    ]  # fmt: skip


def test_cross_checks_see_every_setting_and_speak_once():
    lines = problems({}, {"task.relevant_bits": [6, 30], "data.zipf_exponent": [0, 1, 2]})
    assert lines == ["task.relevant_bits = 30: must be at most task.dimension (20)"]
    assert problems({}, {"data.subset": [0.5, 0.001]}) == ["data.subset = 0.001: leaves no point"]
    assert settle({"task.dimension": 40}, {"task.relevant_bits": [6, 30]})


@pytest.mark.parametrize(
    ("sweep", "line"),
    [
        ({"data.subset": []}, "data.subset: the sweep is empty"),
        ({"data.subset": 0.5}, "data.subset = 0.5: a sweep must be a list of values"),
        ({"data.subset": "0.5"}, "a sweep must be a list of values"),
        ({"data.subset": ["1", 1.0]}, "data.subset = 1.0: given twice in the sweep"),
        ({"data.zipf_exponent": ["0", "-0.0"]}, "data.zipf_exponent = 0.0: given twice"),
        ({"data.subset": [0.5, "x"]}, "data.subset = 'x': must be a number"),
        ({"data.subst": [0.5]}, "data.subst: no such field; did you mean data.subset?"),
        ({"seeds": [1, 2]}, "seeds: cannot be swept; use --seeds N"),
        ({"steps": [1, 2]}, "steps: cannot be swept; use --config.steps=VALUE"),
        ({"task.name": ["a"]}, "task.name: cannot be swept"),
    ],
)
def test_refused_sweeps(sweep, line):
    (problem,) = problems({}, sweep)
    assert line in problem


def test_swept_values_keep_order_and_type():
    _, values, _ = resolve(
        SCHEMA, SECTIONS, NAME, {"data.zipf_exponent": ("1", 0), "task.dimension": ["1e1"]}
    )
    assert list(values) == ["data.zipf_exponent", "task.dimension"]
    assert repr(values["data.zipf_exponent"]) == "(1.0, 0.0)" and values["task.dimension"] == (10,)


def test_a_name_without_default_must_be_given():
    with pytest.raises(ConfigError, match=r"task\.name: must be given"):
        resolve(SCHEMA, SECTIONS, {}, {})


def test_a_component_that_does_not_declare_itself_is_a_programming_error():
    class Bare(NamedTuple):
        rate: float = 0.1

    class Missing(NamedTuple):
        rate: Annotated[float, Field(help="rate")]

    class Again(NamedTuple):
        steps: Annotated[int, Field(help="steps")] = 1

    for knobs, spec in ((Bare, NoSpec), (Missing, NoSpec), (Again, RunSpec)):
        with pytest.raises(TypeError):
            entries({"": Component(spec, knobs, dict)})


def test_exact_integers_where_a_float_would_round():
    wide = Field(help="wide", low=0, high=2**31 - 1)
    assert convert(int, wide, "2147483647") == 2**31 - 1
    with pytest.raises(ValueError, match=r"must be in \[0, 2147483647\]"):
        convert(int, wide, "9007199254740993")
    assert shown("9007199254740993", int) == "9007199254740993"


def test_shown_stays_on_one_short_line():
    assert len(shown("x" * 1000)) == 60 and "\n" not in shown("a\nb")


def test_nearest_gives_up_on_what_is_far():
    assert nearest("wibble", SCHEMA) is None
    assert nearest("optim.dimension", SCHEMA) == "task.dimension"
    assert nearest("preprocessing.zipf_exponet", SCHEMA) == "data.zipf_exponent"


class Unspeakable:
    def __repr__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "text"), [(10**5000, "<int>"), (Unspeakable(), "<Unspeakable>")], ids=["int", "other"]
)
def test_what_has_no_text_is_told_by_its_type(value, text):
    """Python writes no integer of more than 4300 digits."""
    (line,) = problems({"steps": value})
    assert line.startswith(f"steps = {text}: must be ")
    (line,) = problems({}, {"task.dimension": [value]})
    assert line.startswith(f"task.dimension = {text}: must be ")
    with pytest.raises(ValueError, match=r"^must be "):
        convert(int, Field(help="lazy", low=1, high=INFINITE), value)
