"""Pilots come before fresh runs, and each can be computed again from the runs that are kept."""

import csv
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from plateaus.config.schema import ConfigError
from plateaus.evidence import claim, kept, observed, pilot, rows, settings

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
MACHINE = {"commit", "device"}


def unpiloted(claims, results):
    """Fresh runs in kept folders that are of no claim whose pilot passed, as the claim stands."""
    found = []
    for name in sorted({kept.name(one) for one in claims if one.is_run and one.config}):
        own = [one for one in claims if one.is_run and one.config and kept.name(one) == name]
        ready = [c for c in own if c.pilot.get("passed") and c.pilot["rule"] == c.rule]
        arms = [one.treated for one in ready]
        arms += [one.baseline_setting for one in ready if one.kind == "paired"]
        for row in rows.of_folder(own[0], results / name).rows:
            fresh = int(row["seed"]) >= claim.FIRST_SEED and not row["task"]
            if fresh and not any(settings.matches(row, arm) for arm in arms):
                found.append(f"{name}: seed {row['seed']}")
    return found


def again(one, results):
    """The table of a claim's pilot, from the runs that are kept."""
    try:
        read = rows.of_folder(one, results / kept.name(one))
        found = observed.observed(one, read.rows, pilot.SEEDS.__contains__)
    except ConfigError as error:
        return {"rule": one.rule, "passed": False, "why": error.problems[0]}
    return pilot.of(one, found, read.grid)


def unlike(claims, results):
    """What pilots' tables say, and the runs do not, a line each."""
    found = []
    for one in claims:
        if one.pilot:
            told, table = {**one.pilot}, again(one, results)
            wrong = {name for name in {*told, *table} - MACHINE if not _same(name, told, table)}
            found += [f"{one.id}: {name}" for name in sorted(wrong)]
    return found


def _same(name, told, table):
    ours, theirs = told.get(name), table.get(name)
    if isinstance(ours, float) and isinstance(theirs, float):
        return ours == theirs or (math.isnan(ours) and math.isnan(theirs))
    return ours == theirs


@pytest.fixture(scope="module")
def claims():
    return [*claim.read_all(EXPERIMENTS / "claims").values()]


def test_no_fresh_run_without_a_passed_pilot(claims):
    assert unpiloted(claims, EXPERIMENTS / "results") == []


def test_every_pilot_is_computed_again_from_the_runs(claims):
    assert unlike(claims, EXPERIMENTS / "results") == []


# The two, where they fail


RATE = "optim.learning_rate"
MADE = claim.Claim(
    id="1.1",
    paper=1,
    place="",
    sentence="",
    config="configs/sparse_parity.py",
    statistic="escape",
    horizon=1000,
    smallest_effect=0.8,
    treated={RATE: 0.1},
    baseline_setting={RATE: 0.05},
)
OTHER = dataclasses.replace(MADE, id="1.2", treated={RATE: 0.2})


def keep(results, seeds):
    """A kept folder of three rates: runs.csv and what is read beside it."""
    folder = results / kept.name(MADE)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with (folder / "runs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([RATE, "seed", "task", "last_step", "escape", "seconds"])
        for rate in (0.05, 0.1, 0.2):
            for seed in seeds:
                writer.writerow([rate, seed, "", 1000, round(20 / rate * rng.uniform(0.9, 1.1)), 3])
    config = {"config": {"eval_every": 5, "log_every": 5}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "provenance.json").write_text(json.dumps({"sessions": []}), encoding="utf-8")


def test_fresh_runs_of_a_claim_that_was_not_piloted_are_found(tmp_path):
    keep(tmp_path, [*range(8), 1000, 1001])
    both = [dataclasses.replace(c, pilot=again(c, tmp_path)) for c in (MADE, OTHER)]
    assert all(one.pilot["passed"] for one in both)
    assert unpiloted(both, tmp_path) == [] == unlike(both, tmp_path)
    folder = kept.name(MADE)
    lines = [f"{folder}: seed 1000", f"{folder}: seed 1001"]
    assert unpiloted([both[0], OTHER], tmp_path) == lines  # the rate .2 is OTHER's alone
    changed = dataclasses.replace(both[1], smallest_effect=0.5)
    assert unpiloted([both[0], changed], tmp_path) == lines
    failed = dataclasses.replace(OTHER, pilot={**both[1].pilot, "passed": False})
    assert unpiloted([both[0], failed], tmp_path) == lines
    keep(tmp_path, range(8))
    assert unpiloted([both[0], OTHER], tmp_path) == []


def test_a_pilot_that_is_not_of_the_runs_is_found(tmp_path):
    keep(tmp_path, range(8))
    table = {**again(MADE, tmp_path), "commit": "abc", "device": "a CPU"}
    for name in table.keys() - MACHINE:
        other = {**table, name: "x" if isinstance(table[name], str) else table[name] + 1}
        one = dataclasses.replace(MADE, pilot=other)
        assert unlike([one], tmp_path) == [f"1.1: {name}"]
        assert unlike([dataclasses.replace(MADE, pilot=table)], tmp_path) == []
