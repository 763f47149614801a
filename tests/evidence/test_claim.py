"""The schema of a claim: what is refused, in a line each, and what its rule is a digest of."""

import dataclasses
from pathlib import Path

import pytest

from plateaus.config.schema import ConfigError
from plateaus.evidence import claim as claim_file

CONTENT = {
    "id": "1.17",
    "paper": 1,
    "place": "figure 5",
    "sentence": "Zipf helps.",
    "config": "configs/sparse_parity.py:zipf",
    "horizon": 20_000,
    "statistic": "escape",
    "smallest_effect": 0.8,
    "contrast": {
        "treated": {"data.zipf_exponent": 1.0},
        "baseline": {"data.zipf_exponent": 0.0},
    },
}
CHANGES = [
    ({"statistic": None}, "statistic: is missing"),
    ({"horizon": None}, "horizon: is missing"),
    ({"smallest_effect": None}, "smallest_effect: is missing"),
    ({"contrast": None}, "treated: is missing"),
    ({"sentence": None}, "sentence: is missing"),
    ({"horizn": 20_000}, "horizn: no such field; did you mean horizon?"),
    ({"statistic": "escpe"}, "did you mean escape?"),
    ({"contrst": {}}, "did you mean contrast?"),
    ({"smallest_effect": 1.25}, "must be below 1: direction is less"),
    ({"direction": "greater"}, "must be above 1"),
    ({"direction": "equal", "smallest_effect": 1}, "must differ from 1"),
    ({"smallest_effect": -0.8}, "a ratio is positive"),
    ({"statistic": "value", "metric": "loss_at_1.0"}, "must have the sign of the direction"),
    ({"statistic": "value"}, "metric: is missing"),
    ({"statistic": "loss_at"}, "at: is missing"),
    ({"statistic": "loss_at_every"}, "the margin of at least as good is above 1"),
    ({"statistic": "share", "metric": "escape"}, "of descriptive claims"),
    ({"kind": "descriptive"}, "of descriptive claims"),
    ({"contrast": {"treated": {"a": 1}, "baseline": {"a": 1}}}, "are the same"),
    ({"contrast": {"treated": {"a": 1}, "baseline": {"b": 1}}}, "the same fields, not a, b"),
    ({"contrast": {"treated": {"a": 1}, "basline": {"a": 2}}}, "basline"),
    ({"set": {"data.zipf_exponent": 1.0}}, "is a field of the contrast, too"),
    ({"looks": [16, 16]}, "looks"),
    ({"looks": [24, 16]}, "looks"),
    ({"looks": [4, 16]}, "looks"),
    ({"looks": []}, "looks"),
    ({"alpha": 0.7}, "alpha"),
    ({"horizon": 2.5}, "horizon"),
    ({"horizon": True}, "horizon"),
    ({"prompts": [8, 0]}, "prompts"),
    ({"kind": "all", "all": ["1.17a"]}, "two claims or more"),
    ({"kind": "exact", "check": "tests/test_all.py"}, "must be a test"),
    ({"untested": "too large"}, "there is a config"),
]


def changed(**changes):
    return {name: v for name, v in {**CONTENT, **changes}.items() if v is not None}


@pytest.mark.parametrize("change, said", CHANGES, ids=[said for _, said in CHANGES])
def test_a_wrong_claim_is_refused_in_one_line(change, said):
    with pytest.raises(ConfigError) as refused:
        claim_file.made(changed(**change), "mine.toml")
    lines = [line for line in refused.value.problems if said in line]
    assert len(lines) == 1 and lines[0].startswith("mine.toml: ") and "\n" not in lines[0]


def test_all_problems_are_said_at_once():
    with pytest.raises(ConfigError) as refused:
        claim_file.made(changed(statistic=None, horizon=None, smallest_effect=None))
    assert len(refused.value.problems) == 3
    with pytest.raises(ConfigError) as refused:
        claim_file.made(changed(horizn=1, looks=[3], place=None, alpha="high"))
    assert len(refused.value.problems) == 4


def test_a_file_is_refused_by_its_name(tmp_path):
    folder = tmp_path / "paper1"
    folder.mkdir()
    (folder / "a.toml").write_text("id = ", encoding="utf-8")
    (folder / "b.toml").write_text('id = "9.01"\nkind = "all"\nall = ["9.02"]', encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        claim_file.read_all(tmp_path)
    problems = refused.value.problems
    assert any("a.toml" in line for line in problems)
    assert sum("b.toml" in line and "is missing" in line for line in problems) == 3
    with pytest.raises(ConfigError, match="no_such"):
        claim_file.read(Path("no_such.toml"))


def test_ids_are_nobody_elses_and_parts_exist(tmp_path):
    text = 'id = "9.01"\npaper = 9\nplace = ""\nsentence = ""\nkind = "all"\nall = ["9.1", "9.01"]'
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        claim_file.read_all(tmp_path)
    assert [line for line in refused.value.problems if "is another claim's" in line]
    assert [line for line in refused.value.problems if "no claim 9.1" in line]


def test_the_rule_is_what_decides_and_not_its_words():
    one = claim_file.made(CONTENT)
    for words in ({"sentence": "It helps."}, {"place": ""}, {"before": {"seeds": 5}}):
        assert claim_file.made(changed(**words)).rule == one.rule
    for rule in ({"horizon": 10_000}, {"looks": [16, 32]}, {"smallest_effect": 0.9}):
        assert claim_file.made(changed(**rule)).rule != one.rule
    assert claim_file.made(changed(set={"steps": 1})).rule != one.rule


def test_a_field_that_is_added_with_a_neutral_default_orphans_no_rule(monkeypatch):
    one = claim_file.made(changed())

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Later(claim_file.Claim):
        further: float = 0.0

    monkeypatch.setattr(claim_file, "Claim", Later)
    assert claim_file.made(changed()).rule == one.rule
    assert claim_file.made(changed(further=1.0)).rule != one.rule


def test_a_rule_that_is_changed_after_its_pilot_passed_is_refused_and_after_a_failed_one_is_not():
    one = claim_file.made(changed())
    for passed in (True, False):
        pilot = {"rule": one.rule, "passed": passed, "why": ""}
        assert claim_file.made(changed(pilot=pilot)).pilot == pilot
        assert claim_file.made(changed(pilot=pilot, sentence="In other words.")).pilot == pilot
    passed = {"rule": one.rule, "passed": True, "why": ""}
    with pytest.raises(ConfigError, match="passed for another rule"):
        claim_file.made(changed(pilot=passed, smallest_effect=0.9))
    assert claim_file.made(changed(pilot=pilot, smallest_effect=0.9)).pilot == {}  # one to come
    for wrong in ({"passed": True}, {"rule": one.rule}, {"rule": one.rule, "passed": "yes"}):
        with pytest.raises(ConfigError, match="pilot: says no rule, or not whether it passed"):
            claim_file.made(changed(pilot=wrong))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"statistic": "level", "metric": "m", "smallest_effect": 0.1}, "sign of the direction"),
        ({"statistic": "share", "metric": "escape", "smallest_effect": 20}, "between 0 and 1"),
        ({"statistic": "share", "metric": "escape", "direction": "equal"}, "less or greater"),
        (
            {"statistic": "share", "metric": "escape", "smallest_effect": 0.2, "role": "primary"},
            "role: a share has no p-value",
        ),
    ],
)
def test_effects_of_descriptive_claims_are_checked_too(fields, said):
    contrast = {"treated": {"data.zipf_exponent": 1.0}}
    with pytest.raises(ConfigError, match=said):
        claim_file.made(changed(kind="descriptive", contrast=contrast, **fields))


@pytest.mark.parametrize(
    ("fields", "direction"),
    [
        ({"statistic": "loss_at_every", "smallest_effect": 1.05}, "less"),
        ({"statistic": "value_at_every", "metric": "m", "smallest_effect": 0.05}, "greater"),
    ],
)
def test_at_least_as_good_has_one_direction(fields, direction):
    assert claim_file.made(changed(**fields, direction=direction)).direction == direction
    said = f"direction: of {fields['statistic']} it is {direction}"
    for other in {"less", "greater", "equal"} - {direction}:
        with pytest.raises(ConfigError, match=said):
            claim_file.made(changed(**fields, direction=other))
    for effect in (-0.05, 0.0 if direction == "greater" else 1.0):
        with pytest.raises(ConfigError, match="smallest_effect"):
            changes = {**fields, "direction": direction, "smallest_effect": effect}
            claim_file.made(changed(**changes))
