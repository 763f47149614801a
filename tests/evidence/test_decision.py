"""Verdicts of data whose verdict is plain, and Holm beside statsmodels."""

import math

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from plateaus.evidence import decision, sequential

LOOKS = (16, 24, 32, 48, 64)
EFFECT = math.log(0.8)
FEW = 2**12


def drawn(mean, spread=0.3, seeds=64, seed=0):
    """Differences with just this mean at every look."""
    values = np.random.default_rng(seed).normal(0, 1, seeds // 8 * 8).reshape(-1, 8)
    values -= values.mean(axis=1, keepdims=True)
    return mean + spread * (values / values.std()).ravel()


def said(differences, effect=EFFECT, **options):
    found = decision.decide(differences, effect, LOOKS, flips=FEW, **options)
    assert (found.word, found.seeds) == decision.outcome(
        differences, effect, LOOKS, flips=FEW, **options
    )
    return found


@pytest.mark.parametrize(
    ("mean", "word"),
    [
        (-0.6, "supported"),
        (-0.2, "supported, small"),
        (0.0, "not supported"),
        (0.5, "contradicted"),
    ],
)
def test_a_plain_case_has_its_verdict(mean, word):
    found = said(drawn(mean))
    assert found.word == word
    assert found.estimate.value == pytest.approx(mean)
    assert found.estimate.low < mean < found.estimate.high
    assert math.isnan(found.detectable)
    if word.startswith("supported"):
        assert found.estimate.high < 0 and found.p_value <= 0.025
    else:
        assert found.estimate.low > EFFECT and found.p_value > 0.025
        assert (found.estimate.low > 0) == (word == "contradicted")


def test_open_before_the_cap_and_inconclusive_at_it():
    values = drawn(EFFECT / 2, spread=1.5)
    early = said(values[:20])
    assert (early.word, early.seeds) == ("open", 16) and math.isnan(early.detectable)
    late = said(values)
    assert (late.word, late.seeds) == ("inconclusive", 64)
    assert -1 < late.detectable < EFFECT  # more than counts: why nothing was decided
    none = said(values[:10])
    assert (none.word, none.seeds, none.p_value) == ("open", 0, 1)
    silent = said(np.full(64, math.nan))
    assert silent.word == "inconclusive" and all(math.isnan(x) for x in silent.estimate)


def test_what_comes_later_changes_no_verdict():
    found = said(drawn(-0.3))
    assert found.seeds < 64
    after = np.concatenate([drawn(-0.3)[: found.seeds], np.full(64 - found.seeds, 5.0)])
    assert said(after) == found


def test_both_shown_at_one_look_is_not_supported():
    values = drawn(EFFECT / 2, spread=0.02)
    for side in (values, EFFECT - values):
        assert sequential.crossed(side, LOOKS, 0.025, flips=FEW) == 16
    assert said(values).word == "not supported"
    assert said(drawn(EFFECT / 2, spread=0.02), effect=-0.02).word == "supported"


def test_holm_s_level_delays_support_alone():
    values = drawn(-0.25, spread=0.5)
    alone, asked = said(values), said(values, holm_level=0.025 / 12)
    assert alone.word == asked.word == "supported" and alone.seeds < asked.seeds
    assert asked.p_value <= 0.025 / 12 < alone.p_value
    null = drawn(0.1)
    assert said(null, holm_level=0.001) == said(null)


@pytest.mark.parametrize(
    ("mean", "spread", "word"),
    [
        (0.0, 0.2, "supported"),
        (0.0, 1.5, "inconclusive"),
        (0.5, 0.2, "not supported"),
        (-0.5, 0.2, "not supported"),
        (0.2, 0.3, "inconclusive"),
    ],
)
def test_equivalence_is_two_tests(mean, spread, word):
    values = drawn(mean, spread)
    found = said(values, effect=0.2, kind="equal")
    assert found.word == word
    assert said(-values, effect=0.2, kind="equal").word == word
    low, high = found.estimate[1:]
    if word == "supported":
        assert -0.2 < low < high < 0.2
    elif word == "not supported":
        assert low > 0.2 or high < -0.2
    else:
        assert low < 0.2 < high or low < -0.2 < high


def test_at_least_as_good_holds_of_every_series_or_not():
    good, bad, unclear = drawn(0.0, 0.2), drawn(0.4, 0.2, seed=1), drawn(0.1, 0.4, seed=2)
    options = {"effect": 0.1, "kind": "at least as good"}
    assert said(good, **options).word == "supported"
    assert said([good, drawn(-1.0, 0.2)], **options).word == "supported"
    assert said([good, bad], **options).word == "not supported"
    both = said([good, unclear], **options)
    assert both.word == "inconclusive" and both.estimate.value == pytest.approx(0.1)
    assert both.detectable > 0.1
    worst = max(sequential.sequential_p(x - 0.1, LOOKS, flips=FEW) for x in (good, unclear))
    assert both.p_value == worst


@pytest.mark.parametrize(("effect", "kind"), [(0.1, "less"), (-0.1, "equal"), (0.0, "less")])
def test_an_effect_of_the_wrong_sign_is_refused(effect, kind):
    with pytest.raises(ValueError, match="sign"):
        decision.decide(drawn(0.0), effect, LOOKS, kind=kind)


@pytest.mark.parametrize("kind", ["less", "equal"])
def test_the_detectable_effect_is_seen_four_times_in_five(kind):
    rng = np.random.default_rng(4)
    nulls = rng.normal(0, 0.6, (20, 64))
    sizes = [decision.detectable_effect(x, LOOKS, 0.025, kind, flips=FEW) for x in nulls]
    size = float(np.mean(sizes))
    truth = size if kind == "less" else 0.0
    words = [
        decision.outcome(x, size, LOOKS, kind=kind, flips=2**11)[0]
        for x in rng.normal(truth, 0.6, (300, 64))
    ]
    power = np.mean([word.startswith("supported") for word in words])
    error = math.sqrt(0.8 * 0.2 / 300)
    assert 0.8 - 3 * error < power < 0.84 + 3 * error  # earlier looks see a little more


def test_holm_is_that_of_statsmodels(monkeypatch):
    monkeypatch.setattr("gc.collect", lambda: 0)  # which multipletests calls, each time
    rng = np.random.default_rng(5)
    rejected = 0
    for case in range(300):
        count = int(rng.integers(1, 13))
        p = rng.uniform(0, 1, count) ** rng.choice([1, 4, 8])
        if case % 3 == 0:
            p = p.round(2)
        names = [f"1.{k}" for k in range(count)]
        levels = decision.holm_levels(dict(zip(names, p, strict=True)), 0.025)
        want = multipletests(p, alpha=0.025, method="holm")[0]
        got = [x <= levels[name] for x, name in zip(p, names, strict=True)]
        assert got == [*want]
        rejected += sum(got)
    assert rejected > 300
    assert decision.holm_levels({"a": math.nan, "b": 0.001}, 0.02) == {"a": 0.02, "b": 0.01}
    assert decision.holm_levels({}) == {}
