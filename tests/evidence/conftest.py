"""Made-up run folders, as far as kept folders take from them."""

import importlib.util
import json
from pathlib import Path

import pytest

from plateaus.evidence import claim, verdicts
from plateaus.measures.figures import kept_files
from plateaus.report.statistics import summarise

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SESSION = {
    "command": "experiments/run.py --seeds 4 --workdir '/home/me/my runs/x'",
    "wall_seconds": 1.5,
    "commit": "abc",
    "machine": "mine",
    "memory_bytes": {"a": "1"},
    "versions": {"python": "3.11.7"},
    "exactness": [{"device": "AMD EPYC", "xla_flags": ["--xla_dump_to=/home/me/dump"]}],
}


def _synthetic():
    path = Path(__file__).parents[1] / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("report_conftest", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.synthetic


def make_folder(folder, values, seeds, change=None, config=None, device="cpu"):
    """A run folder of exponents and seeds; the curves of a run depend on these two only.

    `change`: a function that is given the results before they are written.
    """
    all_values = [0.0, 0.5, 0.75, 1.0]
    dataset = _synthetic()({"data.zipf_exponent": all_values}, [600.0, 400.0, 300.0, 250.0], 12,
                           2000, 20, baseline={"data.zipf_exponent": 0.0})  # fmt: skip
    dataset = dataset.sel({"data.zipf_exponent": list(values), "seed": list(seeds)})
    dataset = dataset.assign_coords(seed=[1000 + seed for seed in seeds])
    dims = ("data.zipf_exponent", "seed")
    meanings = {"flag_values": [0, 1], "flag_meanings": f"not_run {device}"}
    dataset["device"] = dims, dataset["status"].values * 0 + 1, meanings
    dataset["ended_by"] = dims, dataset["status"].values * 0 + 1
    dataset.attrs |= {"variants": "{}", "contents": f"{values} {seeds}"}
    if change is not None:
        dataset = change(dataset)
    folder.mkdir(parents=True)
    for name, content in kept_files(dataset, summarise(dataset)).items():
        (folder / name).write_bytes(content)
    steps = {"steps": 2000, "eval_every": 20, **(config or {})}
    content = {
        "name": "sparse_parity-zipf",
        "title": dataset.attrs["title"],
        "identity": {"format": 5, "config": steps, "swept": ["data.zipf_exponent"]},
        "config": {**steps, "seeds": len(seeds)},
        "sweep": {"data.zipf_exponent": list(values)},
        "variants": {},
    }
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    session = {**SESSION, "runs": len(seeds) * len(values)}
    (folder / "provenance.json").write_text(json.dumps({"sessions": [session]}), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def run_folder():
    return make_folder


@pytest.fixture(scope="session")
def judged():
    """The claims of the project and their verdicts: some 15 s, once a process."""
    claims = claim.read_all(EXPERIMENTS / "claims")
    return claims, verdicts.judge(claims, EXPERIMENTS / "results")
