"""Claims on runs made elsewhere: anyone's CSV, whatever program wrote it."""

import numpy as np
import pytest
from scipy import stats

from plateaus.config.schema import ConfigError
from plateaus.evidence import claim, rows, verdicts


def made(**fields):
    content = {
        "id": "mine",
        "paper": 0,
        "place": "p",
        "sentence": "s",
        "statistic": "escape",
        "horizon": 10_000,
        "smallest_effect": 0.8,
        "contrast": {
            "treated": {"data.zipf_exponent": 1.0},
            "baseline": {"data.zipf_exponent": 0.0},
        },
    }
    return claim.made({**content, **fields})


def times(ratio, number, spread=0.1, seed=0):
    rng = np.random.default_rng(seed)
    base = 4000 * np.exp(rng.normal(0, 0.2, number))
    return base * ratio * np.exp(rng.normal(0, spread, number)), base


def test_runs_made_elsewhere_are_judged_in_one_look(tmp_path):
    one = made()
    path = tmp_path / "mine.csv"
    treated, baseline = times(0.5, 12)
    lines = ["data.zipf_exponent,seed,escape"]
    lines += [f"1,{seed},{time:.0f}" for seed, time in enumerate(treated)]
    lines += [f"0,{seed},{time:.0f}" for seed, time in enumerate(baseline)]
    path.write_text("\n".join(lines), encoding="utf-8")
    found = verdicts.of_file(one, path)
    assert (found.word, found.pairs) == ("supported", 12)
    path.write_text("\n".join([*lines[:6], *lines[13:18]]), encoding="utf-8")
    found = verdicts.of_file(one, path)
    assert found.word == "inconclusive" and "5 pairs" in found.why
    with pytest.raises(ConfigError, match="No such file"):
        rows.from_file(tmp_path / "none.csv")


def test_runs_without_a_common_seed_are_judged_by_the_log_rank_test(tmp_path):
    one, path = made(), tmp_path / "mine.csv"
    treated, baseline = times(0.4, 12, spread=0.3)
    head = "data.zipf_exponent,seed,escape"

    def verdict(first, second):
        lines = [head, *(f"1,{seed},{time:.0f}" for seed, time in enumerate(first))]
        lines += [f"0,{100 + seed},{time:.0f}" for seed, time in enumerate(second)]
        path.write_text("\n".join(lines), encoding="utf-8")
        return verdicts.of_file(one, path)

    found = verdict(treated, baseline)
    assert found.word == "supported" and "no seed is in both" in found.why
    assert found.estimate.value == pytest.approx(
        stats.gmean(np.round(treated)) / stats.gmean(np.round(baseline))
    )
    assert verdict(baseline, treated).word == "contradicted"
    assert verdict(baseline, baseline * 0.98).word == "inconclusive"
    assert "8 of each are needed" in verdict(treated[:7], baseline).why


def test_a_late_run_that_makes_the_ratio_is_no_support_against_the_log_rank_test(tmp_path):
    """Curves that cross: nearly all baselines are a little sooner, one is very late."""
    path = tmp_path / "mine.csv"
    treated = 930.0 + np.arange(20)
    baseline = np.where(np.arange(20) < 19, 900.0 + np.arange(20), 9900.0)
    lines = ["data.zipf_exponent,seed,escape"]
    lines += [f"1,{seed},{time:.0f}" for seed, time in enumerate(treated)]
    lines += [f"0,{100 + seed},{time:.0f}" for seed, time in enumerate(baseline)]
    path.write_text("\n".join(lines), encoding="utf-8")
    found = verdicts.of_file(made(), path)
    assert stats.gmean(treated) < stats.gmean(baseline)
    assert found.word == "inconclusive" and "other sign" in found.why
    assert found.p_value > 0.5


def test_an_effect_short_of_what_counts_is_small_without_pairs_too(tmp_path):
    path = tmp_path / "mine.csv"
    base = 1000 + 10.0 * np.arange(20)
    lines = ["data.zipf_exponent,seed,escape"]
    lines += [f"1,{seed},{time:.0f}" for seed, time in enumerate(base * 0.9)]
    lines += [f"0,{100 + seed},{time:.0f}" for seed, time in enumerate(base)]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert verdicts.of_file(made(), path).word == "supported, small"


def written(path, lines, **how):
    path.write_text("\n".join(lines) + "\n", **{"encoding": "utf-8", **how})
    return path


HEAD = "data.zipf_exponent,seed,escape"
PAIRS = [f"{v},{seed},{time}" for seed in range(10) for v, time in ((1, 500), (0, 1000 + seed))]


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line,
        lambda line: line.replace(",", " , "),
        lambda line: line.replace(",3,", ",3.0,") if ",3," in line else line,  # numbers with gaps
        lambda line: f"{line},note" if "seed" in line else f"{line},7",
        lambda line: f"run,{line}" if "seed" in line else f"a b,{line}",
    ],
)
def test_a_table_is_read_as_other_programs_write_it(tmp_path, change):
    lines = [change(line) for line in (HEAD, *PAIRS)]
    for encoding in ("utf-8", "utf-8-sig"):
        path = written(tmp_path / "mine.csv", lines, encoding=encoding)
        found = verdicts.of_file(made(), path)
        assert (found.word, found.pairs) == ("supported", 10)


@pytest.mark.parametrize("never", ["", "NaN", "nan", "None", "null", "NA", " "])
def test_a_run_that_never_got_there_is_empty_in_any_programs_words(tmp_path, never):
    lines = [HEAD, *(line.replace(",1000", f",{never}") for line in PAIRS)]
    found = verdicts.of_file(made(), written(tmp_path / "mine.csv", lines))
    plain = [HEAD, *(line.replace(",1000", ",") for line in PAIRS)]
    assert repr(found) == repr(verdicts.of_file(made(), written(tmp_path / "b.csv", plain)))
    assert found.estimate.value < 0.5


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "holds no run"),
        ([HEAD], "holds no run"),
        ([HEAD, *PAIRS, "0,11"], "line 22: 2 values, where there are 3 columns"),
        ([HEAD, *PAIRS, "0,11,5,6"], "line 22: 4 values"),
        ([HEAD.replace(",", ";")], "holds no run"),
        ([line.replace(",", ";") for line in (HEAD, *PAIRS)], "apart by ';'"),
        ([HEAD.replace("escape", "seed"), *PAIRS], "column seed is there twice"),
        ([HEAD, *(line for line in PAIRS if line[0] == "1")], "no run of data.zipf_exponent=0.0"),
        ([HEAD.replace("data.", ""), *PAIRS], "no column data.zipf_exponent; did you mean"),
        ([HEAD.replace("seed", "sed"), *PAIRS], "no column seed; did you mean sed"),
        ([HEAD, *PAIRS, "0,1.5,3"], "seed = '1.5': must be a whole number"),
        ([HEAD, *PAIRS, "0,,3"], "seed = '': must be a whole number"),
        ([HEAD, *PAIRS, "0,1e30,3"], "must be a whole number"),
        ([HEAD, *PAIRS, "0,1,3"], "is there twice"),
        ([HEAD, *PAIRS, "1,50,soon", "0,50,9"], "'soon' is no number"),
        ([f"{HEAD},task", *(f"{line},parity" for line in PAIRS)], "with an empty task"),
    ],
)
def test_what_is_no_table_of_runs_is_refused_in_a_line(tmp_path, lines, said):
    path = written(tmp_path / "mine.csv", lines)
    with pytest.raises(ConfigError) as caught:
        verdicts.of_file(made(), path)
    assert len(caught.value.problems) == 1 and said in caught.value.problems[0]


def test_a_number_has_the_name_of_its_statistic(tmp_path):
    one = made(statistic="loss_at", at=5000)
    for name in ("loss_at", "loss_at_0.5"):
        path = written(tmp_path / "mine.csv", [HEAD.replace("escape", name), *PAIRS])
        assert verdicts.of_file(one, path).word == "supported"
    accuracy = made(statistic="first_step", metric="accuracy", value=0.37)
    path = written(tmp_path / "mine.csv", [HEAD.replace("escape", "first_step"), *PAIRS])
    assert verdicts.of_file(accuracy, path).word == "supported"


def test_a_number_without_a_ratio_is_not_left_out_in_silence(tmp_path):
    lines = [HEAD, *(line.replace(",1003", ",0") for line in PAIRS)]
    found = verdicts.of_file(made(), written(tmp_path / "mine.csv", lines))
    assert (
        found.word == "not evaluable" and "1 of the pairs have a run without a value" in found.why
    )


def test_a_claim_that_no_run_decides_is_refused(tmp_path):
    path = written(tmp_path / "mine.csv", [HEAD, *PAIRS])
    for fields in ({"kind": "exact", "check": "a::b"}, {"untested": "no"}):
        with pytest.raises(ConfigError, match="is not decided by runs"):
            verdicts.of_file(made(**fields), path)
