"""Rates of claims are the best of pilots that are kept, and a wrong one is named."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest

from plateaus.config.schema import ConfigError
from plateaus.evidence import best_rates
from plateaus.evidence.claim import Claim, made, read_all

ROOT = Path(__file__).parents[2] / "experiments"
RATES = ("0.1", "0.2", "0.4")
TIMES = {"plain": ("50", "40", ""), "new": ("20", "30", "90")}


@pytest.fixture
def run_folder(tmp_path):
    """A run folder of two variants at three rates, two seeds; of seed 1 every time is doubled."""
    folder = tmp_path / "runs"
    folder.mkdir()
    names = (best_rates.RATE, "variant", "seed", "task", "status", "last_step", "escape")
    with (folder / "runs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, (*names, "device", "parameters"))
        writer.writeheader()
        for variant, times in TIMES.items():
            for rate, time in zip(RATES, times, strict=True):
                for seed in range(2):
                    later = str(int(time) * (1 + seed)) if time else ""
                    row = (rate, variant, str(seed), "", "finished", "200", later, "cpu", "7")
                    writer.writerow(dict(zip(writer.fieldnames, row, strict=True)))
    config = {"name": "mine-rates", "sweep": {best_rates.RATE: [], "variant": []}}
    config["config"] = {"steps": 200}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    sessions = {"sessions": [{"commit": "0123456789", "dirty": False}]}
    (folder / "provenance.json").write_text(json.dumps(sessions), encoding="utf-8")
    return folder


def _claim(treated, baseline_rate, statistic="escape", baseline="trains") -> Claim:
    return made(
        {
            "id": "mine.1",
            "paper": 0,
            "place": "",
            "sentence": "New is sooner.",
            "config": "c.py",
            "statistic": statistic,
            "baseline": baseline,
            "horizon": 200,
            "smallest_effect": 0.8,
            "contrast": {
                "treated": {"model.width": 2, best_rates.RATE: treated},
                "baseline": {"model.width": 1, best_rates.RATE: baseline_rate},
            },
            "rates": {
                "runs": "mine-rates",
                "treated": {"variant": "new"},
                "baseline": {"variant": "plain"},
            },
        }
    )


def test_the_best_rate_is_that_of_the_least_mean_time(run_folder, tmp_path):
    path = best_rates.keep(run_folder, tmp_path / best_rates.FOLDER)
    assert path.name == "mine-rates.csv"
    assert best_rates.problems(_claim(0.1, 0.2), tmp_path) == []
    assert best_rates.problems(_claim(0.2, 0.2), tmp_path) == [
        "rates.treated: the best rate of mine-rates.csv is 0.1"
    ]
    text = best_rates.page([], tmp_path)
    # Geometric means: sqrt(20 * 40) = 28; runs that never got there count as 200 steps.
    assert "| new | 0.1: **28** (2/2) | 0.2: 42 (2/2) | 0.4: 127 (2/2) |" in text
    assert "| plain | 0.1: 71 (2/2) | 0.2: **57** (2/2) | 0.4: 200 (0/2) |" in text
    assert "2 seeds; cpu; 0123456." in text


def test_rates_that_are_swept_in_pairs_with_variants_are_taken_apart(run_folder, tmp_path):
    """So that each variant may have rates of its own: the file is as if rates were an axis."""
    plain = best_rates.keep(run_folder, tmp_path / "product")
    table = run_folder / "runs.csv"
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["variant"] += f" + learning_rate={row.pop(best_rates.RATE)}"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    config = {"name": "mine-rates", "sweep": {"variant": []}, "config": {"steps": 200}}
    (run_folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    in_pairs = best_rates.keep(run_folder, tmp_path / best_rates.FOLDER)
    texts = [path.read_text(encoding="utf-8") for path in (plain, in_pairs)]
    read = [list(csv.DictReader(text.splitlines())) for text in texts]
    assert read[0] == read[1]
    assert best_rates.problems(_claim(0.1, 0.2), tmp_path) == []


def test_runs_that_can_go_on_tell_no_best_rate(run_folder, tmp_path):
    text = (
        (run_folder / "runs.csv").read_text(encoding="utf-8").replace("finished", "unfinished", 1)
    )
    (run_folder / "runs.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="not at their end: 1"):
        best_rates.keep(run_folder, tmp_path / best_rates.FOLDER)


def test_a_task_whose_mixture_escaped_before_it_tells_no_best_rate_by_itself(run_folder, tmp_path):
    """The run was stopped there: its own time is later, and not the horizon for that."""

    def stopped(last):
        def change(row):
            its = row["variant"] == "new" and row[best_rates.RATE] == "0.1" and row["seed"] == "1"
            gone = {"escape": "", "last_step": last} if its else {}
            return {"ended_by": "escaped", "task": "linear", "start": "0.0", **gone}

        return change

    claim = dataclasses.replace(_claim(0.1, 0.2), task="linear")
    changed(run_folder, stopped("36"))  # sqrt(20 * 36) = 27, sqrt(20 * 200) = 63; 42 at .2
    best_rates.keep(run_folder, tmp_path / best_rates.FOLDER)
    assert best_rates.problems(claim, tmp_path) == [
        "rates.treated: mine-rates.csv, {'variant': 'new'}: runs were stopped at an event of "
        "their mixture, and do not tell whether 0.1 or 0.2 is the best rate"
    ]
    text = best_rates.page([], tmp_path)
    assert "| new | linear | 0.1: 27 to 63 (1/2) | 0.2: 42 (2/2) | 0.4: 127 (2/2) |" in text

    changed(run_folder, stopped("180"))  # sqrt(20 * 180) = 60: as known as can be
    best_rates.keep(run_folder, tmp_path / best_rates.FOLDER)
    assert best_rates.problems(claim, tmp_path) == [
        "rates.treated: the best rate of mine-rates.csv is 0.2"
    ]
    assert "0.1: 60 to 63 (1/2) | 0.2: **42** (2/2)" in best_rates.page([], tmp_path)


@pytest.mark.parametrize(
    ("times", "rates"),  # rate -> the time, or (the last step of a run that was stopped, its start)
    [
        ({0.1: 60, 0.2: 50}, [0.2]),
        ({0.1: 60, 0.2: (70, 0)}, [0.1]),
        ({0.1: 60, 0.2: (50, 0)}, [0.1, 0.2]),
        ({0.1: 60, 0.2: (70, 20)}, [0.1, 0.2]),  # the task came in late: 50 steps of its own
        ({0.1: 60, 0.2: (30, 30)}, [0.1, 0.2]),  # in the step in which the run was stopped
        ({0.1: (20, 0), 0.2: (150, 0)}, [0.1, 0.2]),  # neither is told
    ],
)
@pytest.mark.parametrize("event", ["escaped", "completed"])
def test_a_rate_is_the_best_if_it_is_for_all_that_is_known(times, rates, event):
    rows = []
    for rate, time in times.items():
        last, start = time if isinstance(time, tuple) else (200, 0)
        known = "" if isinstance(time, tuple) else str(time)
        row = {best_rates.RATE: str(rate), "escape": known, "completion": known}
        end = {"ended_by": event, "status": "finished", "horizon": "200"}
        rows.append(row | end | {"last_step": str(last), "start": str(start)})
    column = {"escaped": "escape", "completed": "completion"}[event]
    assert best_rates.rivals(rows, column) == rates


def test_that_a_baseline_is_stuck_is_not_told_by_runs_that_were_stopped(run_folder, tmp_path):
    def stopped(row):
        gone = {"escape": ""} if row["variant"] == "plain" else {}
        return {"ended_by": "escaped", "start": "0.0", **gone}

    changed(run_folder, stopped)
    best_rates.keep(run_folder, tmp_path / best_rates.FOLDER)
    (problem,) = best_rates.problems(_claim(0.1, 0.1, baseline="stuck"), tmp_path)
    assert problem.endswith("at an event of their mixture, and do not tell whether it is stuck")


def changed(run_folder, change):
    table = run_folder / "runs.csv"
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row | change(row) for row in csv.DictReader(file)]
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)


def test_runs_that_ended_at_their_escape_count_with_the_horizon_where_they_diverged(
    run_folder, tmp_path
):
    """Of seed 0 nothing diverges at .1; at .2 and .4 all of seed 1 does, long before step 200."""

    def ended_early(row):
        if row["seed"] == "1" and row[best_rates.RATE] != "0.1":
            return {"status": "diverged", "ended_by": "diverged", "last_step": "20", "escape": ""}
        return {"ended_by": "escaped" if row["escape"] else "horizon", "last_step": row["escape"]}

    changed(run_folder, ended_early)
    best_rates.keep(run_folder, tmp_path / best_rates.FOLDER)
    # new: sqrt(20 * 40) = 28, sqrt(30 * 200) = 77; plain: sqrt(50 * 100) = 71, sqrt(40 * 200) = 89
    assert best_rates.problems(_claim(0.1, 0.1), tmp_path) == []


def test_a_later_time_is_not_told_by_runs_that_ended_at_their_escape(run_folder, tmp_path):
    changed(run_folder, lambda row: {"ended_by": "escaped", "half": ""})
    best_rates.keep(run_folder, tmp_path / best_rates.FOLDER)
    (first, second) = best_rates.problems(_claim(0.1, 0.1, "half"), tmp_path)
    assert "runs were stopped at their escape, and half is another time" in first + second
    (first, _) = best_rates.problems(_claim(0.1, 0.1, "completion"), tmp_path)
    assert "another time" in first


@pytest.mark.parametrize(
    ("baseline", "rate", "problem"),
    [
        ("trains", 0.2, "no run has a time of escape"),
        ("stuck", 0.2, ""),
        ("stuck", 0.3, "the best rate of mine-rates.csv is 0.1 or 0.2 or 0.4"),
    ],
)
def test_where_no_run_gets_there_no_rate_is_the_best(run_folder, tmp_path, baseline, rate, problem):
    changed(run_folder, lambda row: {"escape": ""} if row["variant"] == "plain" else {})
    best_rates.keep(run_folder, tmp_path / best_rates.FOLDER)
    found = best_rates.problems(_claim(0.1, rate, baseline=baseline), tmp_path)
    assert len(found) == bool(problem) and problem in "".join(found)


def test_a_pilot_in_which_nothing_gets_anywhere_has_its_place_on_the_page(run_folder, tmp_path):
    changed(run_folder, lambda row: {"escape": ""})
    best_rates.keep(run_folder, tmp_path / best_rates.FOLDER)
    assert "No run has a time of escape.\n" in best_rates.page([], tmp_path)
    claims = [_claim(0.1, 0.1, name) for name in ("escape", "half")]
    assert "No run has a time of half.\n" in best_rates.page(claims, tmp_path)


def test_a_pilot_that_is_not_there_is_named(tmp_path):
    (tmp_path / best_rates.FOLDER).mkdir()
    (tmp_path / best_rates.FOLDER / "mine-rate.csv").touch()
    (problem,) = best_rates.problems(_claim(0.1, 0.2), tmp_path)
    assert problem.startswith("rates.runs = 'mine-rates': no such file")
    assert "mine-rate" in problem.partition("file")[2]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"run": "x"}, "rates.run: no such field"),
        ({"runs": "x"}, "rates: has runs, and the settings"),
        ({"runs": "x", "treated": 3}, "rates.treated = 3: must be a table"),
    ],
)
def test_a_table_of_rates_is_checked(table, problem):
    with pytest.raises(ConfigError, match=problem):
        made({"id": "mine.1", "paper": 0, "place": "", "sentence": "", "rates": table})


def test_rates_are_no_part_of_the_rule():
    claim = _claim(0.1, 0.2)
    assert claim.rates and claim.rule == Claim(**{**vars(claim), "rates": {}}).rule


def test_every_claim_has_the_best_rates_of_its_pilot():
    claims = [c for c in read_all(ROOT / "claims").values() if c.pilot.get("passed")]
    assert sum(bool(c.rates) for c in claims) > 1
    wrong = {c.id: found for c in claims if (found := best_rates.problems(c, ROOT / "results"))}
    assert wrong == {}
