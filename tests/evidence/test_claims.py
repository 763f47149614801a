"""The claims in `experiments/claims`: all rows are there, and each could be run as it stands.

What they are checked against are the numbers of rows of the review (evidence.md, section 3), the
config files, the tests and the folders of results that they name.
"""

import ast
import dataclasses
import math
import re

import pytest

from plateaus.config import presets
from plateaus.config.arguments import parse
from plateaus.config.presets import REPOSITORY
from plateaus.config.schema import ConfigError
from plateaus.config.variants import AXIS
from plateaus.evidence import claim as claim_file
from plateaus.evidence.claim import Claim
from plateaus.evidence.fields import EVERY
from plateaus.jobs.cli import planned

CLAIMS = REPOSITORY / "experiments" / "claims"
RESULTS = REPOSITORY / "experiments" / "results"
ROWS = {1: 52, 2: 24, 3: 14, 4: 12, 5: 13}  # of each paper, 115 in all
PRIMARY = 12  # at most, in a paper


@pytest.fixture(scope="module")
def claims() -> dict[str, Claim]:
    return claim_file.read_all(CLAIMS)


def of_paper(claims, paper):
    return [one for one in claims.values() if one.paper == paper]


@pytest.mark.parametrize("paper", ROWS)
def test_every_row_of_the_review_is_a_claim(claims, paper):
    rows = {f"{paper}.{row:02}" for row in range(1, ROWS[paper] + 1)}
    ids = {one.id for one in of_paper(claims, paper)}
    assert not rows - ids
    parts = ids - rows
    assert not [part for part in parts if not re.fullmatch(r"\d\.\d\d[a-z]\d?", part)]
    assert not [part for part in parts if part[:4] not in rows]


def test_a_claim_is_in_the_folder_of_its_paper(claims):
    assert {one.paper for one in claims.values()} == {*ROWS}
    for path in CLAIMS.glob("*/*.toml"):
        one = claim_file.read(path)
        assert path.parent.name == f"paper{one.paper}" and one.id.startswith(f"{one.paper}."), path


@pytest.mark.parametrize("paper", ROWS)
def test_few_claims_of_a_paper_are_primary(claims, paper):
    ours = of_paper(claims, paper)
    named = {part for one in ours if one.role == "primary" for part in one.all}
    primary = [one.id for one in ours if one.kind != "all"]
    primary = [name for name in primary if name in named or claims[name].role == "primary"]
    assert 1 <= len(primary) <= PRIMARY, primary


def test_parts_are_decided_by_themselves(claims):
    for one in claims.values():
        for part in one.all:
            assert claims[part].kind != "all" and claims[part].paper == one.paper, (one.id, part)


# Each claim that runs, resolved as `run.py --dry-run` does


def options(one: Claim) -> list[str]:
    """Return the options of run.py that make the settings of a claim."""
    arms = [arm for arm in (one.treated, one.baseline_setting) if arm]
    words = [f"--config={one.config}", "--scale", one.scale, f"--config.steps={one.horizon}"]
    for field, value in one.set.items():
        words += ["--sweep", f"{AXIS}={value}"] if field == AXIS else [f"--config.{field}={value}"]
    if arms:
        settings = ",".join(":".join(str(value) for value in arm.values()) for arm in arms)
        words += ["--sweep", f"{','.join(one.treated)}={settings}"]
    return [*words, "--seeds", "1000:1016"]


def unresolved(one: Claim) -> list[str]:
    """Return why a claim cannot be run as it stands, a line each."""
    assert [*one.treated] == [*one.baseline_setting] or not one.baseline_setting
    try:
        plan, _ = planned(parse(options(one)))
    except ConfigError as error:
        return [*error.problems]
    found = []
    settings = math.prod(len(values) for values in plan.sweep.values())
    if settings != 1 + (one.kind == "paired"):
        found.append(f"{settings} settings: {dict(plan.sweep)}")
    grid, at = plan.config["eval_every"], one.at
    if part := re.fullmatch(r"(?:loss|area)_at_(\d\.\d)", one.metric):
        at = round(float(part[1]) * one.horizon)
    if at and (10 * at % one.horizon or at > one.horizon):
        found.append(f"{at} is no tenth of {one.horizon} steps")
    if at % grid or (one.statistic in EVERY and 10 * grid > one.horizon):
        found.append(f"{at or 'a tenth'} is between two evaluations, {grid} steps apart")
    return found


@pytest.mark.parametrize("paper", ROWS)
def test_each_claim_that_runs_is_a_plan_of_its_settings(claims, paper, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours = [one for one in of_paper(claims, paper) if one.is_run]
    found = {one.id: unresolved(one) for one in ours}
    assert not {name: problems for name, problems in found.items() if problems}
    assert not [*tmp_path.iterdir()]


def test_a_setting_that_no_config_has_is_found(claims):
    one = claims["1.17"]
    bad = dataclasses.replace(one, treated={"data.zipf": 1.0}, baseline_setting={"data.zipf": 0.0})
    lines = unresolved(bad)
    assert len(lines) == 1 and "data.zipf" in lines[0], lines
    between = dataclasses.replace(one, statistic="loss_at", at=2_000, set={"eval_every": 800})
    assert "between" in unresolved(between)[0]


def test_claims_of_parity_share_a_grid(claims):
    """Else their baselines would be run once each, and their plateaus measured differently."""
    grids = {
        one.set.get("eval_every", page_of(one).fields["eval_every"])
        for one in claims.values()
        if "sparse_parity.py" in one.config
    }
    assert grids == {100}


def page_of(one):
    path, preset = presets.find(one.config)
    return presets.load(path, preset, one.scale, False)


# What claims refer to


def test_the_tests_that_decide_claims_are_there(claims):
    for one in claims.values():
        if one.kind in ("exact", "deterministic") and not one.untested:
            file, *names = one.check.split("[")[0].split("::")
            tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
            defined = {getattr(node, "name", "") for node in ast.walk(tree)}
            assert {*names} <= defined, (one.id, one.check)


def test_the_folders_of_what_was_said_before_are_there(claims):
    for one in claims.values():
        if folder := one.before.get("folder"):
            places = [RESULTS / "before" / folder, RESULTS / folder]
            assert any(place.is_dir() for place in places), (one.id, folder)


def test_what_was_said_before_is_said_in_known_fields(claims):
    for one in claims.values():
        assert {*one.before} <= {"verdict", "effect", "seeds", "folder", "grade"}, one.id


# Pilots. That no fresh run (seed 1000 on) exists without a passed pilot, and that the pilots are
# those of the kept runs, is in test_committed_pilots.py.


def test_a_pilot_is_of_the_rule_as_it_stands(claims):
    for one in claims.values():
        if one.pilot:
            assert one.pilot["rule"] == one.rule, f"{one.id}: its rule changed after its pilot"
