"""What rows say of a claim: times and values by seed, censoring, direction, prompts."""

import math

import numpy as np
import pytest

from plateaus.config.schema import ConfigError
from plateaus.evidence import claim, observed, units

HORIZON = 1000


def made(**fields):
    content = {
        "id": "t",
        "paper": 1,
        "place": "p",
        "sentence": "s",
        "statistic": "escape",
        "horizon": HORIZON,
        "smallest_effect": 0.8,
        "contrast": {"treated": {"rate": 0.1}, "baseline": {"rate": 0.0}},
    }
    return claim.made({**content, **fields})


def row(rate, seed, **values):
    texts = {name: str(value) for name, value in values.items()}
    return {"rate": str(rate), "seed": str(seed), "task": "", "last_step": str(HORIZON), **texts}


def pair(seed, treated, baseline):
    return [row("0.1", seed, **treated), row("0", seed, **baseline)]


def test_a_ratio_of_times_is_negative_where_the_treated_setting_is_sooner():
    rows = pair(3, {"escape": 250}, {"escape": 500})
    found = observed.observed(made(), rows)
    assert found.seeds.tolist() == [3]
    assert found.differences[0, 0] == pytest.approx(math.log(0.5))
    turned = observed.observed(made(direction="greater", smallest_effect=1.25), rows)
    assert turned.differences[0, 0] == pytest.approx(math.log(2))


def test_what_did_not_get_there_counts_to_the_horizon_and_pairs_without_either_are_left_out():
    rows = [
        *pair(0, {"escape": ""}, {"escape": 500}),  # censored at the horizon
        *pair(1, {"escape": ""}, {"escape": ""}),
        *pair(2, {"escape": 100, "last_step": 100}, {"escape": "", "last_step": 600}),  # stopped
        *pair(3, {"escape": 100}, {"escape": "", "status": "diverged", "last_step": 50}),
        *pair(4, {"escape": 1200}, {"escape": 500}),  # later than the horizon
    ]
    found = observed.observed(made(), rows)
    log = np.log
    wanted = [log(1000 / 500), np.nan, np.nan, log(100 / 1000), log(1000 / 500)]
    np.testing.assert_allclose(found.differences[0], wanted)
    assert found.counted.tolist() == [True, True, False, True, True]
    assert found.censored.tolist() == [False, True, False, False, False]
    assert found.baseline.diverged.tolist() == [False, False, False, True, False]


def test_prompts_count_in_place_of_steps_up_to_the_horizon_that_both_have():
    rows = [
        *pair(0, {"escape": 400}, {"escape": 300}),
        *pair(1, {"escape": 400}, {"escape": 800}),  # 1,600 prompts are beyond the 1,000 of treated
    ]
    found = observed.observed(made(prompts=[18, 36]), rows)
    np.testing.assert_allclose(found.differences[0], np.log([400 / 600, 400 / 1000]))


def test_values_are_compared_as_ratios_or_differences_and_a_diverged_run_is_the_worst():
    rows = [
        *pair(0, {"loss_at_0.5": 0.2}, {"loss_at_0.5": 0.4}),
        *pair(1, {"loss_at_0.5": "", "status": "diverged"}, {"loss_at_0.5": 0.1}),
        *pair(2, {"loss_at_0.5": "", "last_step": 100}, {"loss_at_0.5": 0.1}),
    ]
    found = observed.observed(made(statistic="loss_at", at=500), rows)
    np.testing.assert_allclose(found.differences[0], [np.log(0.5), np.log(4), np.nan])
    assert found.counted.tolist() == [True, True, False]
    named = made(statistic="value", metric="loss_at_0.5", smallest_effect=-0.1)
    np.testing.assert_allclose(
        observed.observed(named, rows).differences[0], [-0.2, np.nan, np.nan]
    )


def test_every_tenth_of_the_horizon_is_a_series_of_its_own():
    values = {f"loss_at_{k / 10:.1f}": k for k in range(1, 11)}
    ones = {name: 1 for name in values}
    claimed = made(statistic="loss_at_every", smallest_effect=1.1)
    found = observed.observed(claimed, pair(0, values, ones))
    np.testing.assert_allclose(found.differences[:, 0], np.log(np.arange(1, 11)))


def test_a_metric_is_compared_at_every_tenth_by_differences():
    fields = {"statistic": "value_at_every", "metric": "test_accuracy", "direction": "greater"}
    claimed = made(**fields, smallest_effect=0.05)
    tenths = [f"test_accuracy_at_{k / 10:.1f}" for k in range(1, 11)]
    assert observed.columns(claimed) == tuple(tenths)
    treated = {name: 0.1 * k for k, name in enumerate(tenths)}
    found = observed.observed(claimed, pair(0, treated, {name: 0.5 for name in tenths}))
    np.testing.assert_allclose(found.differences[:, 0], 0.5 - 0.1 * np.arange(10))


@pytest.mark.parametrize(("short", "word"), [(0.03, "supported"), (0.3, "not supported")])
def test_a_metric_that_is_lower_at_one_tenth_by_more_than_the_margin_is_not_as_good(short, word):
    fields = {"statistic": "value_at_every", "metric": "m", "direction": "greater"}
    claimed = made(**fields, smallest_effect=0.1, looks=[16])
    ones, rows = {f"m_at_{k / 10:.1f}": 0.5 for k in range(1, 11)}, []
    for seed in range(16):
        rows += pair(seed, ones | {"m_at_0.3": 0.5 - short - 0.001 * seed}, ones)
    found = observed.observed(claimed, rows)
    decision = units.decided(claimed, found, (16,), 0.025)
    assert decision.word in (word, "contradicted") and (decision.word == "supported") == (
        word == "supported"
    )
    if word != "supported":
        assert decision.series == 2
        assert units.in_units(claimed, decision.estimate).value == pytest.approx(-0.3075)


def test_rows_of_the_task_alone_are_read():
    rows = [
        *pair(0, {"escape": 10, "task": ""}, {"escape": 10}),
        *pair(0, {"escape": 100, "task": "linear"}, {"escape": 200, "task": "linear"}),
    ]
    found = observed.observed(made(task="linear"), rows)
    assert found.differences[0].tolist() == [pytest.approx(math.log(0.5))]


def test_a_task_is_followed_from_where_it_is_first_drawn_as_far_as_in_both_settings():
    """Drawn from step 600 on, it has 400 steps: what it takes beyond them nobody knows."""
    rows = [
        *pair(0, {"start": 600, "escape": ""}, {"start": 0, "escape": 500}),  # neither, in 400
        *pair(1, {"start": 600, "escape": ""}, {"start": 0, "escape": 200}),
        *pair(2, {"start": 600, "escape": 100}, {"start": 0, "escape": 900}),
        *pair(3, {"start": "", "escape": ""}, {"start": 0, "escape": 300}),  # never drawn
    ]
    for row_ in rows:
        row_["task"] = "relu"
    found = observed.observed(made(task="relu"), rows)
    wanted = [np.nan, np.log(400 / 200), np.log(100 / 400), np.nan]
    np.testing.assert_allclose(found.differences[0], wanted)
    assert found.counted.all() and found.censored.tolist() == [True, False, False, True]


def test_a_run_that_came_to_its_end_without_a_value_is_counted_and_said():
    """Such as the step of an event that never was: it is no run that is missing."""
    one = made(statistic="value_ratio", metric="mixed_step")
    found = observed.observed(one, pair(0, {"mixed_step": ""}, {"mixed_step": 200}))
    assert found.counted.tolist() == [True] and np.isnan(found.differences).all()
    short = pair(0, {"mixed_step": "", "last_step": 10}, {"mixed_step": 200})
    assert observed.observed(one, short).counted.tolist() == [False]


def test_what_cannot_be_read_is_said_in_a_line():
    rows = pair(0, {"escapes": 10}, {"escapes": 10})
    with pytest.raises(ConfigError, match="no column escape; did you mean escapes"):
        observed.observed(made(), rows)
    rows = [*pair(0, {"escape": 10}, {"escape": 10}), row("0", 0, escape=20)]
    with pytest.raises(ConfigError, match="is there twice"):
        observed.observed(made(), rows)
    with pytest.raises(ConfigError, match="escape of seed 0: 'ten' is no number"):
        observed.observed(made(), pair(0, {"escape": "ten"}, {"escape": 10}))
    with pytest.raises(ConfigError, match="at = 333: must be a tenth of the horizon"):
        observed.columns(made(statistic="loss_at", at=333))
