"""The options for claims are those of a command that makes their settings, and no others."""

import dataclasses
import itertools
import math

import pytest

from plateaus.config.arguments import parse
from plateaus.config.schema import ConfigError
from plateaus.evidence import kept, settings
from plateaus.evidence.claim import Claim
from plateaus.jobs.cli import planned
from plateaus.report.kept_runs import value_text

PARITY = "configs/sparse_parity.py"
RATE, ZIPF = "optim.learning_rate", "data.zipf_exponent"


def claim(treated, baseline=None, config=f"{PARITY}:zipf", **others):
    given = {"id": "1.1", "paper": 1, "place": "", "sentence": "", "horizon": 4000, **others}
    return Claim(config=config, treated=treated, baseline_setting=baseline or {}, **given)


def plan(*claims):
    arguments = parse(kept.options(claims))
    assert not arguments.problems and not arguments.unknown
    return planned(arguments)[0]


def rows(made):
    """The rows that runs.csv would have of a plan, as far as they say the setting."""
    for values in itertools.product(*made.sweep.values()):
        yield dict(zip(made.sweep, map(value_text, values), strict=True))


@pytest.mark.parametrize(
    ("config", "treated", "baseline", "others"),
    [
        ("zipf", {ZIPF: 1}, {ZIPF: 0.0}, {}),
        ("zipf", {ZIPF: 0.75}, {ZIPF: 0.0}, {"set": {"eval_every": 100, RATE: 3e-05}}),
        ("pcgrad", {"variant": "pcgrad"}, {"variant": "mean"}, {}),
        ("pcgrad", {RATE: 1.0}, {RATE: 0.1}, {"set": {"variant": "pcgrad always"}}),
        ("pcgrad", {RATE: 1.0, ZIPF: 0}, {RATE: 0.1, ZIPF: 1}, {"set": {"variant": "pcgrad"}}),
        ("pcgrad", {"variant": "pcgrad", RATE: 1.0}, {"variant": "mean", RATE: 0.1}, {}),
        ("pcgrad", {"variant": "pcgrad", RATE: 1.0}, {"variant": "pcgrad", RATE: 0.1}, {}),
        ("zipf", {RATE: 1e-4, ZIPF: 1.0}, {RATE: 0.1, ZIPF: 0}, {}),
        ("subset", {"data.subset": 0.0005}, {"data.subset": 1.0}, {"scale": "paper"}),
        ("zipf", {"data.items": 32}, {"data.items": math.inf}, {"set": {ZIPF: 0.0}}),
        ("zipf", {"data.items": 1e6, ZIPF: 0.1}, {"data.items": "inf", ZIPF: 1.5}, {}),
        ("zipf", {ZIPF: 0.5}, {}, {"kind": "descriptive"}),
        ("zipf", {}, {}, {"set": {ZIPF: 0.5}}),
        ("zipf", {}, {}, {"set": {ZIPF: 0.5, "weight_norms": True}}),
    ],
    ids=str,
)
def test_each_setting_is_one_of_the_command(config, treated, baseline, others):
    """One of the settings that the command would run matches, and no two of them."""
    made = plan(one := claim(treated, baseline, f"{PARITY}:{config}", **others))
    assert made.config["steps"] == 4000
    fields = {n: v for n, v in one.set.items() if n != "variant"}
    assert {name: made.config[name] for name in fields} == fields
    found = [*rows(made)]
    assert len(found) == (2 if baseline else 1)
    for arm in (treated, baseline) if baseline else (treated,):
        assert len([row for row in found if settings.matches(row, arm)]) == 1


def test_claims_of_a_folder_are_run_together_whatever_their_order():
    pairs = [(0.5, 0.0), (1.0, 0.0), (1.0, 0.5)]
    claims = [claim({ZIPF: a}, {ZIPF: b}, id=f"1.{i}") for i, (a, b) in enumerate(pairs)]
    for several in itertools.permutations(claims):
        assert kept.options(several) == kept.options(claims)
        assert len({kept.name(one) for one in several}) == 1
    assert plan(*claims).sweep == {ZIPF: (0.0, 0.5, 1.0)}


def test_a_name_is_of_what_the_runs_have_in_common():
    one = claim({ZIPF: 1.0}, {ZIPF: 0.0}, set={"eval_every": 50})
    same = [
        {"id": "2.7", "sentence": "Another.", "alpha": 0.01, "statistic": "area", "at": 100},
        {"treated": {ZIPF: 0.5}},
        {"set": {"eval_every": 50.0}},
    ]
    others = [
        {"config": f"{PARITY}:subset"},
        {"scale": "paper"},
        {"horizon": 4001},
        {"set": {"eval_every": 100}},
        {"set": {"eval_every": 50, RATE: 0.1}},
        {"treated": {RATE: 1.0}, "baseline_setting": {RATE: 0.1}},
    ]
    assert {kept.name(dataclasses.replace(one, **change)) for change in same} == {kept.name(one)}
    names = [kept.name(dataclasses.replace(one, **change)) for change in others]
    assert len({kept.name(one), *names}) == 1 + len(others)
    assert kept.name(one).startswith("sparse_parity-zipf-")
    assert kept.name(claim({}, config=PARITY)).startswith("sparse_parity-default-")
    with pytest.raises(ConfigError, match="have runs of their own"):
        kept.options([one, claim({RATE: 0.2}, {RATE: 0.1})])


@pytest.mark.parametrize(
    ("treated", "baseline", "said"),
    [
        ({"data.schedule": "a,b"}, {"data.schedule": ""}, "cannot hold the values"),
        ({"data.schedule": "1:2:3"}, {"data.schedule": "x"}, "cannot hold the values"),
        ({RATE: 0.1, "data.schedule": "1:2"}, {RATE: 0.1, "data.schedule": "a"}, "must be v:v"),
        ({RATE: 0.1, "variant": "a:b"}, {RATE: 0.1, "variant": "b"}, "must be v:v"),
    ],
)
def test_what_no_option_can_hold_is_refused_in_one_line(treated, baseline, said):
    with pytest.raises(ConfigError, match=said) as refused:
        kept.options([claim(treated, baseline)])
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize(
    ("row", "setting", "wanted"),
    [
        ({ZIPF: "0.75"}, {ZIPF: 0.75}, True),
        ({ZIPF: "0.75"}, {ZIPF: 0.7}, False),
        ({ZIPF: "0.75"}, {RATE: 0.75}, False),
        ({"data.items": "inf"}, {"data.items": "inf"}, True),
        ({"data.items": "inf"}, {"data.items": math.inf}, True),
        ({"data.items": "32"}, {"data.items": math.inf}, False),
        ({"variant": "labels 500 on 1k"}, {"variant": "labels 500 on 1k"}, True),
        ({"variant": "labels 500 on 1k"}, {"variant": "labels 500"}, False),
        ({"variant": "1"}, {"variant": "1"}, True),
        ({"a.flag": "True"}, {"a.flag": True}, True),
        ({"a.flag": "False"}, {"a.flag": True}, False),
        ({"a.flag": "1"}, {"a.flag": True}, False),
        ({"variant": "x=1 y=a b"}, {"b.y": "a b", "a.x": 1.0}, True),
        ({"variant": "x=1 y=a b"}, {"b.y": "a", "a.x": 1.0}, False),
        ({"variant": "x=1 y=a b z=2"}, {"b.y": "a b", "a.x": 1.0}, False),
        ({"variant": "a.x=1 b.x=1e-05"}, {"b.x": 0.00001, "a.x": 1}, True),
        ({"variant": "plain"}, {"b.x": 0.1, "a.x": 1}, False),
        ({"variant": "a + b + x=0.1"}, {"b.x": 0.1, "variant": "a + b"}, True),
        ({"variant": "a + b + x=0.1"}, {"b.x": 0.1, "variant": "b"}, False),
        ({"variant": "a + b + x=0.1"}, {"b.x": 0.2, "variant": "a + b"}, False),
        ({"variant": "x=0.1"}, {"b.x": 0.1, "variant": ""}, False),
        ({"variant": "a + b", "b.x": "0.1"}, {"b.x": 0.1, "variant": "a + b"}, True),
        ({ZIPF: "0.5"}, {}, True),
    ],
)
def test_rows_are_matched_by_value(row, setting, wanted):
    assert settings.matches({**row, "seed": "1000"}, setting) is wanted
