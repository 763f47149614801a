"""What may stand in one folder: runs of one kind, observed alike or not at all."""

import shutil
from typing import get_args

import numpy as np
import pytest

from plateaus.build.recipes import sections
from plateaus.config.plan import Options, checked_plan
from plateaus.config.schema import ConfigError
from plateaus.jobs import observations, run
from plateaus.measures import registry as instruments
from plateaus.measures.registry import FIELDS
from plateaus.report import store

pytestmark = pytest.mark.versions

TINY = {
    "steps": 40,
    "batch": 4,
    "seeds": 1,
    "eval_every": 10,
    "log_every": 10,
    "eval_points": 16,
    "task.name": "sparse_parity",
    "task.dimension": 4,
    "task.relevant_bits": 1,
    "task.dataset_size": 100,
    "model.name": "mlp",
    "model.width": 4,
}
SWEEP = {"data.zipf_exponent": (0.0, 1.0)}


def plan_of(base=TINY, swept=SWEEP, **given):
    return checked_plan("tiny", sections(base), {**base, **given}, swept)


def execute(plan, place, **options):
    return run.execute(plan, Options(workdir=place, command="test", **options))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    place = tmp_path_factory.mktemp("plain") / "run"
    assert execute(plan_of(), place) == 0
    return place


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    place = tmp_path_factory.mktemp("observed") / "run"
    assert execute(plan_of(gradient_batches=2), place) == 0
    return place


def test_runs_that_are_looked_at_otherwise_are_refused_before_training(observed):
    before = {p: p.read_bytes() for p in observed.rglob("*.json")}
    with pytest.raises(ConfigError) as refused:
        execute(plan_of(gradient_batches=3, seeds=2), observed)
    (line,) = refused.value.problems
    assert "observed otherwise: gradient_batches is 2 there, 3 here. Use another --w" in line
    assert {p: p.read_bytes() for p in observed.rglob("*.json")} == before
    assert execute(plan_of(gradient_batches=3), observed, dry_run=True) == 0  # nothing to add


def test_runs_that_are_not_looked_at_stand_beside_those_that_are(observed, tmp_path):
    place = tmp_path / "run"
    shutil.copytree(observed, place)
    assert execute(plan_of(seeds=2), place) == 0
    found = store.load(place / "results.nc")["gradient_cosine"]
    assert np.isfinite(found.sel(seed=0)).any() and np.isnan(found.sel(seed=1)).all()


@pytest.mark.parametrize("way", ["on", "off"])
def test_an_observation_does_not_hide_another_width(way, plain, observed):
    place, looked = (plain, 2) if way == "on" else (observed, 0)
    with pytest.raises(ConfigError, match="would not match bit for bit: width was 16, is 3"):
        execute(plan_of(gradient_batches=looked, seeds=2), place, runs_per_batch=3, dry_run=True)
    assert execute(plan_of(gradient_batches=looked, seeds=2), place, dry_run=True) == 0


LETTERS = {
    **TINY,
    "task.name": "characters",
    "task.families": "ret1,ret2,ret3",
    "task.alphabet": "abcdef",
    "task.length": 3,
    "task.examples": 7,
    "model.name": "transformer",
    "model.width": 8,
    "model.heads": 2,
    "model.max_positions": 60,
}
for name in ("dimension", "relevant_bits", "dataset_size"):
    del LETTERS[f"task.{name}"]


@pytest.mark.parametrize(
    ("there", "here", "expected"),
    [
        ({}, {"mixed_prompts": 4}, []),
        ({"mixed_prompts": 4, "mixed_tasks": "ret1,ret2"}, {}, []),
        ({"mixed_prompts": 4}, {"mixed_prompts": 4}, []),
        ({"mixed_prompts": 4}, {"mixed_prompts": 5}, [("mixed_prompts", 4, 5)]),
        (
            {"mixed_prompts": 4},
            {"mixed_prompts": 4, "mixed_tasks": "ret2,ret3"},
            [("mixed_tasks", "", "ret2,ret3")],
        ),
        ({"mixed_tasks": "ret1,ret2"}, {"mixed_prompts": 4}, []),  # of an instrument that is off
    ],
)
def test_two_ways_of_looking_are_told_from_looking_or_not(there, here, expected):
    of_there = observations.of(plan_of(LETTERS, {}, **there))
    assert list(observations.conflicts(plan_of(LETTERS, {}, **here), of_there)) == expected


def test_names_along_dimensions_are_those_of_the_runs():
    """Also where the command that reports them does not observe, or asks for others."""
    made = plan_of(LETTERS, {}, mixed_prompts=4, mixed_tasks="ret1,ret3")
    for here in ({}, {"mixed_prompts": 4, "mixed_tasks": "ret2,ret3"}):
        plan = plan_of(LETTERS, {}, **here)
        config = observations.joined(plan, [None, {}, observations.of(made)])
        labels = instruments.labels(config, ("ret1", "ret2", "ret3"))
        assert labels["answer"] == ["ret1", "ret3"]
    assert observations.joined(made, [None, {}]) == made.config


def test_every_field_of_an_instrument_has_a_switch():
    found = {name: (get_args(hint)[1], default) for name, (hint, default) in FIELDS.items()}
    for name, (field, default) in found.items():
        switch = field.switch or name
        assert not found[switch][0].switch and found[switch][1] in (0, False), name
        assert default in (0, False) or field.switch  # off by itself
