"""Kept folders are the union of run folders, in whatever order and however often added."""

import csv
import gzip
import itertools
import json

import numpy as np
import pytest

from plateaus import report
from plateaus.config.schema import ConfigError
from plateaus.evidence import records, union
from plateaus.measures.figures import drawn, summaries
from plateaus.report import private


@pytest.fixture(scope="module")
def folders(run_folder, tmp_path_factory):
    """Three folders, whose runs overlap, of values in different orders and on two devices."""
    place = tmp_path_factory.mktemp("runs")
    return [
        run_folder(place / "a", [1.0, 0.0], range(4)),
        run_folder(place / "b", [0.0, 0.75], range(2, 6), device="gpu"),
        run_folder(place / "c", [0.5], [0, 9]),
    ]


def content(kept, *names):
    return {p.name: p.read_bytes() for p in kept.iterdir() if not names or p.name in names}


def rows(kept):
    with (kept / "runs.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_order_of_additions_changes_nothing(folders, tmp_path):
    kept = []
    for i, order in enumerate(itertools.permutations([0, 2, 1])):
        kept.append(tmp_path / str(i))
        for number in order:
            union.add(kept[-1], folders[number])
    data = [content(place, "runs.csv", "curves.csv.gz", "config.json") for place in kept]
    seeds = [{(r["data.zipf_exponent"], r["seed"]) for r in rows(place)} for place in kept]
    assert len(seeds[0]) == len(rows(kept[0])) == 16
    assert all(one == seeds[0] for one in seeds)
    # Of the runs that two folders have, those that came first stay: the device differs only.
    assert data[0] == data[1] and len(data) == 6
    without = [{name: bytes_ for name, bytes_ in one.items() if name != "runs.csv"} for one in data]
    assert all(one == without[0] for one in without)


def test_adding_is_the_union_whichever_comes_first(run_folder, tmp_path):
    parts = run_folder(tmp_path / "a", [1.0, 0.0], [0, 1]), run_folder(tmp_path / "b", [0.5], [3])
    for name, order in (("ab", parts), ("ba", parts[::-1])):
        assert [union.add(tmp_path / name, part) for part in order] in ([4, 1], [1, 4])
    names = "runs.csv", "curves.csv.gz", "config.json"
    assert content(tmp_path / "ab", *names) == content(tmp_path / "ba", *names)
    config = json.loads((tmp_path / "ab" / "config.json").read_text())
    assert config["sweep"] == {"data.zipf_exponent": [0.0, 0.5, 1.0]}
    assert config["seeds"] == [1000, 1001, 1003]


def test_twice_is_once(folders, tmp_path):
    kept = tmp_path / "kept"
    assert union.add(kept, folders[0]) == 8
    before = content(kept)
    assert union.add(kept, folders[0]) == 0 and content(kept) == before
    assert sorted(before) == sorted(records.FILES)
    assert union.add(kept, folders[1]) == 6  # two of its runs are there
    before = content(kept)
    assert union.add(kept, folders[1]) == 0 and content(kept) == before


def test_the_union_is_read_as_results_and_drawn(folders, tmp_path):
    for folder in folders:
        union.add(tmp_path / "kept", folder)
    whole, parts = report.from_csv(tmp_path / "kept"), [report.from_csv(f) for f in folders]
    assert whole["status"].values.sum() == 16
    for part in parts:
        for value, seed in itertools.product(
            part["data.zipf_exponent"].values.tolist(), part["seed"].values.tolist()
        ):
            at = {"data.zipf_exponent": value, "seed": seed}
            for name in ("escape_step", "lowest_loss", "uninformed_loss"):
                np.testing.assert_array_equal(whole[name].sel(at), part[name].sel(at))
            for name in ("test_loss", "test_accuracy"):
                ours, theirs = whole[name].sel(at).values, part[name].sel(at).values
                np.testing.assert_array_equal(ours[[0, -1]], theirs[[0, -1]])
                np.testing.assert_allclose(ours, theirs, rtol=6e-3)
    summary = report.summarise(whole)
    assert [row.runs for row in summary] == [6, 2, 4, 4]
    assert {"plateau", "learning_curves"} <= {*drawn(whole, summary, summaries(whole, summary))}
    assert whole["device"].attrs["flag_meanings"] == "not_run cpu gpu"


def test_only_runs_at_their_end_are_taken(run_folder, tmp_path):
    def ended(dataset):
        status, why = dataset["status"].copy(), dataset["ended_by"].copy()
        status[0], why[0] = [1, 2, 3, 0], [3, 2, 5, 0]  # at an event, diverged, stopped, not run
        return dataset.assign(status=status, ended_by=why)

    folder = run_folder(tmp_path / "a", [0.0], range(4), ended)
    assert union.add(tmp_path / "kept", folder) == 2
    found = [(row["seed"], row["status"], row["ended_by"]) for row in rows(tmp_path / "kept")]
    assert found == [("1000", "finished", "escaped"), ("1001", "diverged", "diverged")]
    curves = gzip.decompress((tmp_path / "kept" / "curves.csv.gz").read_bytes()).decode()
    assert {line.split(",")[1] for line in curves.splitlines()[2:]} == {"1000", "1001"}


def test_nothing_at_its_end_is_nothing_written(run_folder, tmp_path):
    def stopped(dataset):
        return dataset.assign(status=dataset["status"] * 3, ended_by=dataset["ended_by"] * 5)

    folder = run_folder(tmp_path / "a", [0.0], range(4), stopped)
    assert union.add(tmp_path / "kept", folder) == 0 and not (tmp_path / "kept").exists()


def test_another_experiment_is_refused_before_anything_is_written(run_folder, folders, tmp_path):
    other = run_folder(tmp_path / "other", [0.0], [7], config={"eval_every": 10})
    union.add(tmp_path / "kept", folders[0])
    before = content(tmp_path / "kept")
    with pytest.raises(ConfigError) as refused:
        union.add(tmp_path / "kept", other)
    (line,) = refused.value.problems
    assert "eval_every is 10 there, 20 here" in line and "\n" not in line
    assert content(tmp_path / "kept") == before


@pytest.mark.parametrize("name", records.FILES)
def test_a_folder_without_a_file_or_with_a_cut_one_is_refused(name, run_folder, tmp_path):
    folder = run_folder(tmp_path / "a", [0.0], [0])
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    if name != "runs.csv":  # of which a part is a table, too
        with pytest.raises(ConfigError, match="damaged"):
            union.add(tmp_path / "kept", folder)
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=f"{name}: No such file"):
        union.add(tmp_path / "kept", folder)
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("writes", range(4))
def test_killed_between_two_writes_it_loses_nothing(writes, folders, tmp_path, monkeypatch):
    """After so many of the four files: what was there is there, and adding again is the same."""
    kept, whole = tmp_path / "kept", tmp_path / "whole"
    for place in (kept, whole):
        union.add(place, folders[0])
    union.add(whole, folders[1])
    before, write, done = report.from_csv(kept), union.files.write_atomically, []

    def killed(path, data):
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(path)
        write(path, data)

    monkeypatch.setattr(union.files, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        union.add(kept, folders[1])
    monkeypatch.undo()
    between = report.from_csv(kept)
    assert between["status"].values.sum() == before["status"].values.sum() == 8
    at = {"data.zipf_exponent": before["data.zipf_exponent"], "seed": before["seed"]}
    np.testing.assert_array_equal(between["test_loss"].sel(at), before["test_loss"])
    assert union.add(kept, folders[1]) == 6
    assert content(kept) == content(whole)


def test_the_first_addition_killed_is_done_again(folders, tmp_path, monkeypatch):
    def killed(path, data):
        if path.name == "runs.csv":
            raise KeyboardInterrupt
        path.write_bytes(data)

    monkeypatch.setattr(union.files, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        union.add(tmp_path / "kept", folders[0])
    monkeypatch.undo()
    assert union.add(tmp_path / "kept", folders[0]) == 8


def test_nothing_of_the_machine_is_kept(folders, tmp_path):
    union.add(tmp_path / "kept", folders[0])
    (session,) = json.loads((tmp_path / "kept" / "provenance.json").read_text())["sessions"]
    assert session["command"] == "experiments/run.py --seeds 4"
    assert session["commit"] == "abc" and session["versions"] == {"python": "3.11.7"}
    assert session["exactness"] == [{"device": "AMD EPYC", "xla_flags": ["--xla_dump_to=PATH"]}]
    for data in content(tmp_path / "kept").values():
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
        assert not private.paths(text) and "mine" not in text


def test_a_config_with_a_path_is_refused(run_folder, tmp_path):
    folder = run_folder(tmp_path / "a", [0.0], [0], config={"task.text": "/home/me/prose"})
    with pytest.raises(ConfigError, match="a path of this machine, /home/me/prose"):
        union.add(tmp_path / "kept", folder)
    assert not (tmp_path / "kept").exists()
