"""The rule that chooses the amount of bias, on curves whose gap is known at each amount."""

import dataclasses

import numpy as np
import pytest

from plateaus.config import presets
from plateaus.report.choosing import RULE, Rule, first_crossing, gaps

FIELD = "data.zipf_exponent"
AMOUNTS = [0.0, 0.5, 1.0, 1.5]


@pytest.fixture
def results(make_results):
    """A gap that is the square of the amount, on average over the seeds, from step 300 on."""
    results = make_results({FIELD: AMOUNTS}, np.full(4, 9_000.0), seeds=3, horizon=1000, every=100)
    square = np.array(AMOUNTS)[:, None, None] ** 2
    spread = np.array([-0.1, 0.0, 0.1])[:, None]
    test = np.where(results.eval_step < 300, 7.0, 3 + spread + 2 * square)
    results["test_loss"] = (results["test_loss"].dims, test)
    results["train_loss"] = (results["train_loss"].dims, np.full(results.train_loss.shape, 3.0))
    results["uninformed_loss"] = results["uninformed_loss"] * 0 + 4.0
    results["best_loss"] = results["best_loss"] * 0 + 2.0
    return results


def test_the_gap_is_in_units_of_what_there_is_to_learn(results):
    amounts, gap = gaps(results, FIELD, 500)
    assert amounts.tolist() == AMOUNTS
    np.testing.assert_allclose(gap, np.square(AMOUNTS), atol=1e-12)
    assert gaps(results, FIELD, 400)[1][0] == pytest.approx(0)  # 300 and 400
    assert gaps(results, FIELD, 300)[1][0] == pytest.approx(1)  # 200 is of before: (4 + 0) / 2 / 2


def test_runs_that_ended_before_are_left_out(results):
    results["test_loss"][1, 2, 4:] = np.nan
    assert gaps(results, FIELD, 500)[1][1] == pytest.approx(0.25 - 0.05 / 2)
    results["test_loss"][1] = np.inf
    with pytest.raises(ValueError, match="value 1 is NaN: no run"):
        Rule(amounts=tuple(AMOUNTS), level=0.5).choose(results)


@pytest.mark.parametrize("level", [-1.0, 0.0, 0.1, 0.25, 0.6, 1.7, 2.25, 9.0])
def test_the_amount_is_where_a_fine_grid_crosses(results, level):
    """Against brute force: the first of 150,001 amounts whose interpolated gap is at the level."""
    fine = np.linspace(0, 1.5, 150_001)
    at_least = np.interp(fine, AMOUNTS, np.square(AMOUNTS)) >= level - 1e-12
    expected = fine[at_least.argmax()] if at_least.any() else 1.5
    rule = Rule(amounts=tuple(AMOUNTS), level=level)
    assert rule.choose(results) == pytest.approx(expected, abs=2e-5)


def test_amounts_are_in_the_order_of_growing_bias():
    assert first_crossing([1.0, 0.1, 0.01], [0.0, 0.2, 0.9], 0.1) == pytest.approx(0.55)
    assert first_crossing([0, 1, 2, 3], [0.0, 0.4, 0.1, 0.8], 0.3) == pytest.approx(0.75)  # first


def test_other_sweeps_are_refused_in_a_line(results, make_results):
    with pytest.raises(ValueError, match=r"must be of data.subset and seed only, are of data.zipf"):
        gaps(results, "data.subset", 500)
    with pytest.raises(ValueError, match=r"step = 50: results have no test_loss in \(25, 50\]"):
        gaps(results, FIELD, 50)
    with pytest.raises(ValueError, match=r"\(2,\) amounts, \(1,\) values: must be two lists"):
        first_crossing([0.0, 1.0], [0.0], 0.1)
    two = results.expand_dims({"variant": ["a", "b"]})
    with pytest.raises(ValueError, match=r"are of variant, data.zipf_exponent, seed"):
        RULE.choose(two)
    rule = Rule(amounts=(0.0, 1.5), level=1.5)
    assert rule.choose(two.sel({"variant": "a"})) == rule.choose(results) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"data.zipf_exponent = 0.75: is to be probed, and was"):
        RULE.choose(results)


def test_the_digest_is_of_the_equation_and_of_each_number():
    others = [{"field": "data.subset"}, {"step": 1000}, {"level": 0.21}, {"amounts": (0.5, 1.0)}]
    digests = {RULE.digest, *(dataclasses.replace(RULE, **other).digest for other in others)}
    assert len(digests) == 5


def test_the_rule_is_the_one_that_was_fixed_before_its_test():
    """Its preset names its digest: a rule that is changed after the runs has another."""
    path, _ = presets.find("configs/sparse_parity.py")
    page = presets.load(path, "choice", "small", False)
    assert RULE.digest in page.doc
    assert {*RULE.amounts} <= {*page.sweep[RULE.field]}
