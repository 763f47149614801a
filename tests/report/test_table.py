import csv
import io
import math
import re

import numpy as np
import pytest
from rich.console import Console

from plateaus.report import csv_columns, table
from plateaus.report.statistics import summarise


@pytest.fixture(scope="module")
def rows(zipf_results):
    return summarise(zipf_results)


@pytest.fixture(scope="module")
def wild_rows(make_results):
    swept = {"optim.learning_rate": [0.1, 1e6], "data.zipf_exponent": [0.0, 0.75]}
    centres = [[36_000, 12_000], [np.nan, np.nan]]
    results = make_results(swept, centres, seeds=6, baseline={"data.zipf_exponent": 0.0})
    results["status"][0, 1, [2, 4]] = 2
    return summarise(results)


def test_csv_starts_with_the_swept_field_and_reads_back(rows):
    records = list(csv.DictReader(io.StringIO(csv_columns.csv_text(rows))))
    assert list(records[0])[:4] == ["data.zipf_exponent", "runs", "escaped", "diverged"]
    assert [float(record["data.zipf_exponent"]) for record in records] == [
        0, 0.5, 0.75, 1, 1.25, 1.5,
    ]  # fmt: skip
    for record, row in zip(records, rows, strict=True):
        assert float(record["plateau_mean"]) == pytest.approx(row.plateau.value)
        assert float(record["escape_step_median"]) == row.escape.value
        assert float(record["final_test_loss_high"]) == pytest.approx(row.final_loss.high)
        assert record["baseline"] == "data.zipf_exponent=0"
        assert record["sooner"] == ("" if row.is_baseline else f"{row.sooner:.8g}")
        assert record["pairs"] == str(row.pairs) and record["floor"] == "0"
    assert records[0]["plateau_ratio"] == records[0]["p_holm"] == records[0]["plateau_bound"] == ""
    assert records[-1]["plateau_bound"] == ">" and records[-1]["plateau_ratio_low"] == ""
    assert float(records[1]["p"]) <= float(records[1]["p_holm"])
    assert float(records[1]["p_holm"]) == pytest.approx(rows[1].p_adjusted)
    assert records[-1]["escape_step_median"] == "inf"
    assert "no spread" in records[-1]["notes"]


def test_csv_columns_do_not_depend_on_the_outcome(rows, wild_rows):
    header, other = (csv_columns.csv_text(r).splitlines()[0].split(",") for r in (rows, wild_rows))
    assert other[:2] == ["optim.learning_rate", "data.zipf_exponent"]
    assert header[1:] == other[2:]


def test_text_says_the_numbers(rows):
    lines = table.text(rows).splitlines()
    (line,) = [line for line in lines if line.strip().startswith("0.75 ")]
    row = rows[2]
    for part in (
        f"{row.escaped}/{row.runs}",
        f"{row.escape.value:.0f} [{row.escape.low:.0f}, {row.escape.high:.0f}]",
        f"{row.ratio.value:.2f} [{row.ratio.low:.2f}, {row.ratio.high:.2f}]",
    ):
        assert part in line
    assert any("> 50000" in line and "0/16" in line for line in lines)
    assert "baseline: data.zipf_exponent=0" in lines


def test_text_fits_in_100_columns_without_cutting(rows, wild_rows):
    for some in (rows, wild_rows):
        text = table.text(some)
        assert max(map(len, text.splitlines())) <= 100
        assert "…" not in text and "\x1b" not in text


def test_without_a_terminal_the_plain_text_is_printed(rows, capsys):
    table.show(rows)
    assert capsys.readouterr().out == table.text(rows)


def test_a_narrow_terminal_folds_and_never_cuts(rows):
    console = Console(file=io.StringIO(), width=60)
    console.print(table.table(rows))
    assert "…" not in console.file.getvalue()


def test_diverged_runs_are_listed_under_the_table(wild_rows):
    lines = table.text(wild_rows).splitlines()
    (some,) = [line for line in lines if line.startswith("diverged") and "seeds" in line]
    assert some.endswith("2 of 6 runs (seeds 2, 4)") and "data.zipf_exponent=0.75" in some
    assert sum("all 6 runs" in line for line in lines) == 2
    assert "baseline: data.zipf_exponent=0, other fields as in the row" in lines


def test_a_setting_not_yet_run_is_said_so(make_results):
    results = make_results({"data.subset": [1.0, 0.1]}, [20_000, 5_000], seeds=5)
    results["status"][1] = 0
    lines = table.text(summarise(results)).splitlines()
    assert lines[-1] == "not run: data.subset=0.1" and any(" 0/0 " in line for line in lines)


def test_no_sweep_no_rows_and_extreme_numbers(make_results):
    (row,) = summarise(make_results({}, np.array(9_000), seeds=1))
    assert "1/1" in table.text([row]) and csv_columns.csv_text([row]).startswith("runs,")
    assert csv_columns.csv_text([]).strip() == "" and table.text([])
    import dataclasses

    tiny = dataclasses.replace(row, p_adjusted=3e-9, setting={"a": 1}, baseline={"a": 0})
    assert "<1e-4" in table.text([tiny])
    assert math.isnan(row.p_adjusted)


def test_the_ratios_of_few_pairs_stand_in_their_column_and_under_the_table(make_results):
    results = make_results({"data.subset": [1.0, 0.1]}, [20_000, 5_000], seeds=3)
    rows = summarise(results)
    _, record = csv.DictReader(io.StringIO(csv_columns.csv_text(rows)))
    times = results["escape_step"].values
    told = [float(ratio) for ratio in record["pair_ratios"].split()]
    assert told == pytest.approx(times[1] / times[0], rel=1e-3)
    assert record["p"] == record["plateau_ratio_low"] == "" and record["pairs"] == "3"
    said = " ".join(f"{ratio:.2f}" for ratio in times[1] / times[0])
    lines = table.text(rows).splitlines()
    assert f"note: data.subset=0.1: pair ratios: {said}" in lines
    assert "note: data.subset=0.1: no p: fewer than 6 pairs" in lines


def test_bounds_and_floors_are_marked(rows, make_results):
    line = next(t for t in table.text(rows).splitlines() if t.strip().startswith("1.5 "))
    bound = f"> {rows[-1].ratio.value:.2f} "
    assert bound in line and f"{bound}[" not in line
    low = make_results({"data.subset": [1.0, 0.1]}, [20_000, 1_000], seeds=8, noise=0.05)
    short = summarise(low)
    text = table.text(short)
    assert (
        f"{short[1].ratio.high:.2f}]*" in text
        and "*: a median plateau of less than 4" in text
        and "at the floor" not in text
    )
    assert "]*" not in table.text(rows) and "*:" not in table.text(rows)


def test_what_all_settings_say_is_said_once(make_results):
    results = make_results({"data.subset": [1.0, 0.1, 0.2]}, [20_000, 5_000, 6_000], seeds=5)
    text = table.text(summarise(results))
    assert text.count("no p: fewer than 6 pairs") == 1
    assert "no interval of the plateau" not in text  # in the CSV: no interval is printed


def test_columns_that_do_not_fit_are_left_out_the_lowest_loss_first(make_results):
    import dataclasses

    (row,) = summarise(make_results({}, np.array(9_000), seeds=5))
    assert "lowest" in table.text([row]) and "trained" not in table.text([row])
    recorded = dataclasses.replace(row, trained_escape=row.escape)
    assert "lowest" in table.text([recorded]) and "trained\n" in table.text([recorded])
    two = dataclasses.replace(recorded, setting={"a": 1, "b": 2}, baseline={"a": 0, "b": 2})
    assert "lowest" not in table.text([two]) and "trained" not in table.text([two])


@pytest.mark.parametrize("fields", range(5))
def test_no_table_is_wider_than_eight_columns_and_a_hundred_letters(make_results, fields):
    name = "a_value_with_a_really_long_name_of_sixty_characters_in_all_"
    swept = {f"task.a_long_field_{i}": [f"{name}{j}" for j in range(2)] for i in range(fields)}
    centres = np.full([2] * fields, 12_345.0)
    rows = summarise(make_results(swept, centres, seeds=8))
    printed = table.table(rows)
    assert (6 if fields else 5) <= len(printed.columns) <= 8
    headings = " ".join(str(column.header) for column in printed.columns)
    assert ("ratio" in headings) == bool(fields)  # alone, there is nothing to compare it with
    assert table.setting_columns(rows) == (0, 1, 2, 1, 1)[fields]
    lines = re.split(r"\n(?:mean plateau|ratio):", table.text(rows))[0].splitlines()
    assert max(map(len, lines)) <= 100
    told = "".join("".join(line.split()[:1]) for line in lines)
    assert not fields or name[:30].replace("_", "") in told.replace("_", "")  # folded, not cut


def test_a_setting_of_other_tasks_is_not_compared(rows):
    apart = {rows[2].index}
    line = next(t for t in table.text(rows, apart).splitlines() if t.strip().startswith("0.75 "))
    assert "other tasks" in line and f"{rows[2].ratio.value:.2f}" not in line
    assert "other tasks: " in table.text(rows, apart) and "other" not in table.text(rows)


def test_a_trained_escape_that_is_not_reached_is_a_bound(make_results):
    import dataclasses

    (row,) = summarise(make_results({}, np.array(9_000), seeds=5))
    never = row.escape._replace(value=np.inf)
    text = table.text([dataclasses.replace(row, trained_escape=never)])
    assert "> 50000" in text and " inf " not in text
