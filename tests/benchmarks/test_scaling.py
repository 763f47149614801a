"""The scaling benchmark: its table, its figure, and a quick run of it."""

import json

import pytest


def row(runs, planned, measured):
    return {
        **{"runs": runs, "width": 16, "devices": 2, "wall_us": 3.0, "cpu_us": 6.0},
        **{"planned_mib": planned, "peak_mib": measured, "before_mib": 300.0},
    }


@pytest.fixture
def result():
    rows = [row(1, 0.5, 4.0), row(1024, 100.0, 119.0), row(4096, 400.0, 500.0)]
    job = {"name": "parity", "title": "an MLP on sparse parity", "rows": rows}
    machine = {"processor": "x", "cores": 2, "versions": {}, "commit": "c", "dirty": False}
    machine["load_before"] = [0.0]
    return {"machine": machine, "load_after": [0.0], "rounds": 3, "jobs": [job]}


def test_memory_is_compared_where_it_can_be_seen(module, result):
    *_, one, many, most = module("scaling.__main__").lines(result)
    assert "aim" not in one
    assert many.endswith("1.19; aim within 20%: met")
    assert most.endswith("1.25; aim within 20%: NOT met")


def test_the_figure_stands_beside_the_json(module, result, tmp_path):
    path = module("scaling.__main__").draw(result["jobs"], tmp_path / "out.json")
    assert path == tmp_path / "out.png" and path.stat().st_size > 1000


@pytest.mark.thorough
def test_the_quick_benchmark(tmp_path, quick):
    done, path = quick("scaling", tmp_path, [])
    for job in json.loads(path.read_text())["jobs"]:
        for one in job["rows"]:
            assert one["wall_us"] > 0 and one["planned_mib"] > 0 and one["peak_mib"] > 0
    assert (tmp_path / "out.png").exists() and "Traceback" not in done.stderr
