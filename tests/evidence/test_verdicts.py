"""Verdicts from kept rows: the gates of the pilot, complete pairs, words, bounds, Holm, parts."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from plateaus.config.schema import ConfigError
from plateaus.evidence import claim, kept, observed, pilot, queue, verdicts

HORIZON = 10_000
LOOKS = [16, 24, 32]
PASSED = {"passed": True, "why": "", "minutes_to_cap": 1.0}


def made(name="1.1", **fields):
    content = {
        "id": name,
        "paper": 1,
        "place": "p",
        "sentence": "s",
        "config": "configs/sparse_parity.py:zipf",
        "statistic": "escape",
        "horizon": HORIZON,
        "smallest_effect": 0.8,
        "looks": LOOKS,
        "contrast": {
            "treated": {"data.zipf_exponent": 1.0},
            "baseline": {"data.zipf_exponent": 0.0},
        },
        "pilot": PASSED,
    }
    content |= fields
    if content["pilot"]:  # of the rule as it is
        plain = claim.made({**content, "pilot": {}})
        content["pilot"] = {"rule": plain.rule, **content["pilot"]}
    return claim.made(content)


def keep(results, one, treated, baseline, seeds=None):
    """Write a kept folder in which each setting has these times by seed; NaN is never."""
    folder = results / kept.name(one)
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(1000, 1000 + len(treated)) if seeds is None else seeds
    with (folder / "runs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["data.zipf_exponent", "seed", "task", "last_step", "escape", "seconds"])
        for value, times in (("1.0", treated), ("0.0", baseline)):
            for seed, time in zip(seeds, times, strict=True):
                escape = "" if np.isnan(time) else time
                writer.writerow([value, seed, "", HORIZON, escape, 30])
    config = {"config": {"eval_every": 100, "log_every": 100}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    sessions = {"sessions": [{"commit": "abcdef0123", "dirty": False}]}
    (folder / "provenance.json").write_text(json.dumps(sessions), encoding="utf-8")


def times(ratio, number, spread=0.1, seed=0):
    rng = np.random.default_rng(seed)
    base = 4000 * np.exp(rng.normal(0, 0.2, number))
    return base * ratio * np.exp(rng.normal(0, spread, number)), base


def judged(tmp_path, one, *arms, **more):
    keep(tmp_path, one, *arms, **more)
    return verdicts.judge({one.id: one}, tmp_path)[one.id]


def test_an_effect_that_is_there_is_supported_with_its_numbers(tmp_path):
    found = judged(tmp_path, made(), *times(0.5, 16))
    assert found.word == "supported"
    assert found.estimate.low < 0.5 < found.estimate.high < 0.6
    assert (found.pairs, found.seeds, found.commit, found.minutes) == (16, 16, "abcdef0", 16.0)
    assert found.sooner == 1.0


@pytest.mark.parametrize(
    ("ratio", "spread", "word"),
    [
        (1.0, 0.05, "not supported"),
        (0.95, 0.02, "not supported"),  # an effect, but not one that counts
        (1.5, 0.05, "contradicted"),
        (0.85, 0.15, "supported, small"),  # it may be as large as .8
    ],
)
def test_what_excludes_the_effect_that_counts_is_no_support(tmp_path, ratio, spread, word):
    assert judged(tmp_path, made(), *times(ratio, 16, spread)).word == word


def test_a_lengthening_is_supported_as_a_ratio_above_1(tmp_path):
    one = made(direction="greater", smallest_effect=1.25)
    found = judged(tmp_path, one, *times(2.0, 16))
    assert found.word == "supported" and 1.8 < found.estimate.value < 2.2
    assert found.estimate.low < found.estimate.value < found.estimate.high


def test_only_seeds_without_a_gap_count_and_only_looks_that_are_reached(tmp_path):
    treated, baseline = times(0.5, 24)
    seeds = [*range(1000, 1010), *range(1011, 1025)]
    found = judged(tmp_path, made(), treated, baseline, seeds=seeds)
    assert (found.word, found.seeds, found.pairs) == ("open", 10, 0)


def test_what_comes_after_the_look_that_decided_changes_nothing(tmp_path):
    treated, baseline = times(0.5, 32)
    first = judged(tmp_path, made(), treated[:16], baseline[:16])
    worse = np.where(np.arange(32) < 16, treated, 9000)
    later = judged(tmp_path, made(), worse, baseline)
    rest = {"seeds": 0, "minutes": 0.0, "detectable": 0.0}
    assert dataclasses.replace(later, **rest) == dataclasses.replace(first, **rest)


def test_a_bad_regime_is_never_an_answer(tmp_path):
    treated, baseline = times(1.0, 32)
    never = np.where(np.arange(32) % 3 == 0, baseline, np.nan)
    assert judged(tmp_path, made(), treated, never).word == "not evaluable"
    found = judged(tmp_path, made(), np.full(32, np.nan), np.full(32, np.nan))
    assert found.word == "not evaluable"
    found = judged(tmp_path, made(), np.full(32, 300.0), baseline)  # three evaluations
    assert found.word == "not evaluable" and "3 evaluations" in found.why


def test_a_claim_of_a_baseline_that_is_stuck_prints_a_bound(tmp_path):
    treated, _ = times(0.5, 16)
    never = np.full(16, np.nan)
    one = made(baseline="stuck")
    found = judged(tmp_path, one, treated, never)
    assert (found.word, found.bound) == ("supported", "<")
    assert judged(tmp_path, one, treated, treated).word == "not evaluable"
    found = judged(tmp_path, made(direction="greater", smallest_effect=1.25), never, treated)
    assert (found.word, found.bound) == ("supported", ">")


def test_a_claim_needs_its_pilot(tmp_path):
    assert judged(tmp_path, made(pilot={}), *times(0.5, 16)).word == "open"
    assert judged(tmp_path, made(pilot={}, before={"verdict": "no"}), *times(0.5, 16)).word == (
        "not yet rerun"
    )
    failed = made(pilot={**PASSED, "passed": False, "why": "floor"})
    found = judged(tmp_path, failed, *times(0.5, 16))
    assert (found.word, found.why) == ("not evaluable", "pilot: floor")


def test_a_primary_claim_waits_for_the_level_that_holm_asks(tmp_path):
    treated, baseline = times(0.84, 16, spread=0.2, seed=3)
    alone = made(role="primary")
    keep(tmp_path, alone, treated, baseline)
    others = {
        f"1.{k}": made(f"1.{k}", role="primary", statistic="half", pilot={}) for k in range(2, 13)
    }
    single = verdicts.judge({alone.id: alone}, tmp_path)["1.1"]
    among = verdicts.judge({alone.id: alone, **others}, tmp_path)["1.1"]
    assert single.p_value == among.p_value
    level = 0.025
    assert level / 12 < single.p_value <= level  # so that the correction is what differs
    assert single.word.startswith("supported") and among.word == "open"


def test_a_compound_claim_is_as_weak_as_its_weakest_part(tmp_path):
    parts = {"1.1": made(), "1.2": made("1.2", statistic="half", pilot={})}
    whole = claim.made(
        {"id": "1.0", "paper": 1, "place": "", "sentence": "", "kind": "all", "all": [*parts]}
    )
    keep(tmp_path, parts["1.1"], *times(0.5, 16))
    assert verdicts.judge({**parts, "1.0": whole}, tmp_path)["1.0"].word == "open"
    before = {**parts, "1.2": dataclasses.replace(parts["1.2"], before={"verdict": "no"})}
    assert verdicts.judge({**before, "1.0": whole}, tmp_path)["1.0"].word == "open"
    keep(tmp_path, parts["1.1"], *times(1.0, 16))
    assert verdicts.judge({**parts, "1.0": whole}, tmp_path)["1.0"].word == "not supported"


def test_a_share_is_judged_at_the_first_look_that_decides(tmp_path):
    one = made(
        kind="descriptive",
        statistic="share",
        metric="escape",
        smallest_effect=0.2,
        contrast={"treated": {"data.zipf_exponent": 1.0}},
    )
    never = np.full(32, np.nan)
    found = judged(tmp_path, one, never, never)
    assert (found.word, found.estimate.value, found.pairs) == ("supported", 0.0, 24)
    spent = 0.025 * (24**2 - 16**2) / 32**2  # of the level, at the second of three looks
    assert found.estimate.high == pytest.approx(1 - spent ** (1 / 24))  # Clopper and Pearson's
    assert judged(tmp_path, one, never[:16], never[:16]).word == "open"
    always = np.full(32, 500.0)
    early = judged(tmp_path, one, always[:16], never[:16])
    assert (early.word, early.pairs) == ("not supported", 16)
    assert judged(tmp_path, one, always, never).pairs == 16
    some = np.where(np.arange(32) % 5 == 0, 500.0, np.nan)
    assert judged(tmp_path, one, some, never).word == "inconclusive"


def test_the_gate_of_a_pilot():
    def table(treated, control, **fields):
        one = made(**fields)
        every = [
            {"data.zipf_exponent": value, "seed": str(seed), "task": "", "last_step": str(HORIZON)}
            | {"escape": "" if np.isnan(time) else str(time), "seconds": "30"}
            for value, arm in (("1", treated), ("0", control))
            for seed, time in enumerate(arm)
        ]
        return pilot.of(one, observed.observed(one, every), 100)

    treated, baseline = times(0.5, 8)
    seen = table(treated, baseline)
    assert seen["passed"] and seen["rule"] == made().rule
    assert seen["minutes_to_cap"] == pytest.approx(2 * 32 * 30 / 60)
    assert seen["sd_of_difference"] == pytest.approx(
        np.std(np.log(treated / baseline), ddof=1), 1e-3
    )
    assert "evaluations" in table(treated / 10, baseline)["why"]
    rarely = np.where(np.arange(8) < 6, baseline, np.nan)
    assert "of the baselines get there" in table(treated, rarely)["why"]
    never = np.full(8, np.nan)
    assert table(treated, never, baseline="stuck")["passed"]
    assert not table(treated, baseline, baseline="stuck")["passed"]
    assert "twice" in table(np.full(8, 6000.0), never, baseline="stuck")["why"]
    # In prompts: 1,500 steps are 3,000 of its own, and 15 evaluations, not 30.
    apart = table(np.full(8, 1500.0), baseline, prompts=[24, 12])
    assert apart["evaluations"] == 15 and apart["passed"]
    longer = table(np.full(8, 3000.0), never, baseline="stuck", prompts=[24, 12])
    assert "twice" in longer["why"]  # 6,000 of the 10,000 to which both are followed
    zero = table(np.where(np.arange(8) == 1, 0.0, treated), baseline)
    assert "1 of the pairs have a run without a value" in zero["why"]
    with pytest.raises(ConfigError, match="no complete pair of seed 7"):
        table(treated[:7], baseline[:7])


def test_a_pilot_is_written_into_its_file_and_fixes_the_rule(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(
        'id = "t"\npaper = 1\nplace = "p"\nsentence = "s"\nstatistic = "escape"\n'
        "horizon = 10\nsmallest_effect = 0.8\n[contrast]\ntreated = {a = 1}\nbaseline = {a = 0}\n",
        encoding="utf-8",
    )
    before = claim.read(path)
    for why in ("first", 'a "second" time'):
        pilot.write(path, {"rule": before.rule, "passed": False, "why": why, "evaluations": 1.5})
    after = claim.read(path)
    assert after.pilot["why"] == 'a "second" time' and after.pilot["rule"] == after.rule
    assert dataclasses.replace(after, pilot={}) == before
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "\n[set]\nsteps = 3\n", encoding="utf-8")  # behind the pilot
    changed = claim.read(path)
    assert changed.pilot == {} and changed.set == {"steps": 3}
    pilot.write(path, {"rule": changed.rule, "passed": True, "why": ""})
    assert claim.read(path).set == {"steps": 3} and claim.read(path).pilot["passed"]
    text = path.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="another rule"):  # the file was changed meanwhile
        pilot.write(path, {"rule": before.rule, "passed": True, "why": ""})
    assert path.read_text(encoding="utf-8") == text


def test_looks_come_before_pilots_and_cheap_ones_of_primary_claims_first(tmp_path):
    def at(name, **fields):
        return made(name, **fields)

    claims = {
        "1.1": at("1.1", pilot={}, horizon=500),
        "1.2": at("1.2", pilot={}, horizon=6000, role="primary"),
        "1.3": at("1.3", pilot={**PASSED, "minutes_to_cap": 50.0}, horizon=7000),
        "1.4": at("1.4", horizon=8000),
        "1.5": at("1.5", horizon=8000, statistic="half"),
        "1.6": at("1.6", horizon=9000, pilot={**PASSED, "passed": False, "why": "floor"}),
    }
    judged = verdicts.judge(claims, tmp_path)
    jobs = queue.jobs(claims.values(), judged)
    assert [[c.id for c in job.claims] for job in jobs] == [
        ["1.4", "1.5"],
        ["1.3"],
        ["1.2"],
        ["1.1"],
    ]
    assert [job.seeds for job in jobs] == [range(1000, 1016)] * 2 + [range(8)] * 2
    assert [job.priced for job in jobs] == [True, True, False, False]
    two = 2 * 16  # settings, seeds
    assert jobs[0].seconds == pytest.approx(two * PASSED["minutes_to_cap"] * 60 / (2 * LOOKS[-1]))
    only = queue.jobs(claims.values(), judged, pilots_only=True)
    assert [job.claims[0].id for job in only] == ["1.2", "1.1"]


def test_the_next_look_goes_on_from_the_seeds_that_there_are(tmp_path):
    one = made()
    keep(tmp_path, one, *times(0.85, 20, spread=0.5))  # a look, and four seeds more
    (job,) = queue.jobs([one], verdicts.judge({one.id: one}, tmp_path))
    assert job.seeds == range(1020, 1024)
