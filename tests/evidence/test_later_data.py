"""A verdict that was reached stays: nothing of it rests on seeds that came after."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from plateaus.evidence import observed, units, verdicts


def _made_up():
    path = Path(__file__).with_name("test_verdicts.py")
    spec = importlib.util.spec_from_file_location("made_up_verdicts", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made_up = _made_up()
made, judged, times, keep = made_up.made, made_up.judged, made_up.times, made_up.keep


def test_baselines_that_stop_to_train_later_do_not_undo_a_verdict(tmp_path):
    treated, baseline = times(0.5, 32)
    later = np.where(np.arange(32) < 16, baseline, np.nan)
    later[:3] = np.nan
    first = judged(tmp_path, made(), treated[:16], later[:16])
    assert first.word == "supported"
    assert np.mean(~np.isnan(later)) < units.TRAINS
    after = judged(tmp_path, made(), treated, later)
    assert (after.word, after.estimate, after.pairs) == (first.word, first.estimate, first.pairs)


def test_a_look_that_could_not_decide_stays_one_when_more_seeds_come(tmp_path):
    treated, baseline = times(0.9, 32, spread=0.5)
    early = np.where(np.arange(32) < 9, np.nan, baseline)
    first = judged(tmp_path, made(), treated[:16], early[:16])
    assert first.word == "not evaluable"
    after = judged(tmp_path, made(), treated, early)
    assert (after.word, after.why, after.pairs) == (first.word, first.why, first.pairs)


def test_the_worst_loss_of_a_diverged_run_is_of_the_seeds_so_far():
    def pair(seed, treated, baseline):
        arms = (("1", treated), ("0", baseline))
        return [
            {"data.zipf_exponent": value, "seed": str(seed), "task": "", "loss_at_0.5": str(loss)}
            | {"status": "diverged" if loss == "" else "finished"}
            for value, loss in arms
        ]

    one = made(statistic="loss_at", at=5000)
    runs = [*pair(0, 0.2, 0.4), *pair(1, "", 0.1), *pair(2, 0.1, ""), *pair(3, "", "")]
    few = observed.observed(one, runs)
    np.testing.assert_allclose(few.differences[0], [np.log(0.5), np.log(4), -np.log(4), 0])
    more = observed.observed(one, runs + pair(4, 50.0, 0.1))
    np.testing.assert_array_equal(more.differences[0, :4], few.differences[0])


@pytest.mark.parametrize(
    ("statistic", "direction", "effect"),
    [("value", "less", -0.1), ("value", "greater", 0.1), ("value_ratio", "greater", 1.25)],
)
def test_of_a_number_that_is_no_loss_a_diverged_run_says_nothing(statistic, direction, effect):
    """An accuracy: the highest is not the worst; and what is left would be a choice."""
    one = made(statistic=statistic, metric="m", direction=direction, smallest_effect=effect)
    runs = [
        {"data.zipf_exponent": value, "seed": str(seed), "task": "", "m": m, "status": status}
        for seed in range(8)
        for value, m, status in (
            ("1", "" if seed == 3 else "0.9", "diverged" if seed == 3 else "finished"),
            ("0", "0.5", "finished"),
        )
    ]
    found = observed.observed(one, runs)
    assert np.isnan(found.differences[0, 3])
    assert "1 of the pairs have a run that diverged" in units.not_evaluable(one, found, 100)


def test_holm_asks_nothing_of_others_for_what_a_claim_showed_after_it_had_ended(tmp_path):
    """A small effect: excluded as one that counts at the first look, shown as one at the last."""
    treated, baseline = times(0.94, 32, spread=0.13, seed=3)
    ended = made(role="primary")
    others = {f"1.{k}": made(f"1.{k}", role="primary", statistic="half", pilot={}) for k in (2, 3)}
    levels = []
    for number in (24, 32):
        keep(tmp_path, ended, treated[:number], baseline[:number])
        every = {ended.id: ended, **others}
        found = verdicts.judge(every, tmp_path)[ended.id]
        assert (found.word, found.pairs) == ("not supported", 16)
        evidence = {ended.id: verdicts._evidence(ended, tmp_path)}
        levels.append(verdicts._levels(every, evidence)["1.2"])
    differences = np.log(treated / baseline)
    assert units.sequential.sequential_p(differences, ended.looks) <= 0.025 / 3
    assert levels == [0.025 / 3, 0.025 / 3]
