"""Synthetic results in the format of results.nc: a plateau, then a sigmoid drop, per run."""

import importlib.util
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

ACCURACY = {"family": "metric", "law": "test", "measure": "accuracy"}
VARIABLES = {
    "train_loss": ("step", "training loss", "squared error"),
    "test_loss": ("eval_step", "test loss", "squared error"),
    "test_accuracy": ("eval_step", "test accuracy", ""),
    "uninformed_loss": (None, "loss of the uninformed predictor", "squared error"),
    "best_loss": (None, "loss of the optimal predictor", "squared error"),
    "escape_step": (None, "step at which the plateau is left", "optimiser steps"),
    "half_step": (None, "step of half the loss", "optimiser steps"),
    "completion_step": (None, "step of a tenth of the loss", "optimiser steps"),
    "status": (None, "state of the run", ""),
    "last_step": (None, "last step of the run", "optimiser steps"),
}


def synthetic(swept, centres, seeds=16, horizon=50_000, every=500, baseline=None, noise=0.3):
    """Results of runs that leave a plateau of height 1 about step `centres[setting]`.

    `swept`: name -> values. `centres`: array over the settings; inf for a setting that never
    escapes, NaN for one that diverges. `baseline`: name -> neutral value, None by default.
    """
    rng = np.random.default_rng(0)
    shape = tuple(len(values) for values in swept.values())
    evals, steps = np.arange(0, horizon + 1, every), np.arange(every // 5, horizon + 1, every // 5)
    sizes = {"step": (steps.size,), "eval_step": (evals.size,), None: ()}
    data = {
        name: np.full((*shape, seeds, *sizes[axis]), np.nan, np.float32)
        for name, (axis, _, _) in VARIABLES.items()
    }
    data |= {name: data[name].astype(np.float64) for name in data if name.endswith("_step")}
    data["status"] = np.ones((*shape, seeds), np.int8)
    data["last_step"] = np.full((*shape, seeds), horizon, np.int32)
    data["uninformed_loss"][...], data["best_loss"][...] = 1.0, 0.0
    for index in itertools.product(*map(range, shape), range(seeds)):
        centre = np.asarray(centres)[index[:-1]] * rng.lognormal(0, noise)
        if np.isnan(centre):
            data["status"][index], data["last_step"][index] = 2, horizon // 10
            data["test_loss"][index][: evals.size // 10] = 10.0 ** np.arange(evals.size // 10)
            data["escape_step"][index] = 2 * every  # recorded, and not to be believed
            continue
        width = centre / rng.uniform(8, 20) if np.isfinite(centre) else 1.0
        for name, x in (("train_loss", steps), ("test_loss", evals)):
            drop = 1 / (1 + np.exp(np.clip((x - centre) / width, -50, 50)))
            data[name][index] = drop + 0.02 * rng.standard_normal(x.size)
        data["test_accuracy"][index] = 1 - data["test_loss"][index] / 2
        for name, level in (("escape_step", 0.8), ("half_step", 0.5), ("completion_step", 0.1)):
            under = np.convolve(data["test_loss"][index], np.ones(3) / 3, "valid") < level
            data[name][index] = evals[2:][under.argmax()] if under.any() else np.nan
    variables = {
        name: (
            (*swept, "seed", *([axis] if axis else [])),
            data[name],
            {"long_name": long_name, "units": units},
        )
        for name, (axis, long_name, units) in VARIABLES.items()
    }
    variables["test_accuracy"][2].update(ACCURACY)
    coordinates = {**swept, "seed": np.arange(seeds), "step": steps, "eval_step": evals}
    neutral = dict.fromkeys(swept) | (baseline or {})
    attributes = {
        "title": "sparse_parity: zipf",
        "config": "{}",
        "swept": json.dumps(list(swept)),
        "baseline": json.dumps(neutral),
        "horizon": horizon,
    }
    return xr.Dataset(variables, coords=coordinates, attrs=attributes)


@pytest.fixture(scope="session")
def make_results():
    return synthetic


@pytest.fixture(scope="session")
def zipf_results():
    """Six exponents, the baseline first; some runs of the baseline never escape."""
    values = [0.0, 0.5, 0.75, 1.0, 1.25, 1.5]
    centres = [36_000, 24_000, 12_000, 15_000, 26_000, np.inf]
    return synthetic({"data.zipf_exponent": values}, centres, baseline={"data.zipf_exponent": 0.0})


KINDS = ("superposer", "counter", "last", "majority")
EXAMPLES, PROMPTS, BACK, BINS = 20, 400, 10, 20


def _answers(kind, order, shares):
    """P [N, K] of prompts whose examples are of the tasks `order` [N, m]."""
    one_hot = np.eye(shares.size)
    if kind == "superposer":
        return np.tile(shares, (order.shape[0], 1))
    if kind == "counter":
        return one_hot[order].mean(axis=1)
    votes = one_hot[order[:, -1:] if kind == "last" else order[:, -5:]].sum(axis=1)
    return one_hot[votes.argmax(axis=1)]


def _measured(p, order):
    """What is recorded of P [N, K], after the definitions, with plain numpy."""

    def entropy(q):
        parts = np.concatenate([q, 1 - q.sum(axis=-1, keepdims=True)], axis=-1).clip(0, 1)
        return -np.sum(parts * np.log(np.where(parts > 0, parts, 1.0)), axis=-1)

    tasks = p.shape[1]
    share = np.eye(tasks)[order].mean(axis=1)
    mean, safe = p.mean(axis=0), np.maximum(p, 1e-9)
    room = mean * (1 - mean)
    own = order[:, ::-1][:, :BACK, None] == np.arange(tasks)  # [N, J, K]
    with np.errstate(invalid="ignore", divide="ignore"):
        same, other = ((p[:, None] * w).sum(axis=0) / w.sum(axis=0) for w in (own, ~own))
        saturation = np.where(room > 1e-12, p.var(axis=0) / room, np.nan)
        ratio = np.where(share > 0, share * np.log(share / safe), 0.0)
    bins = np.clip((p * BINS).astype(int), 0, BINS - 1)
    return {
        "probability": mean,
        "share": share.mean(axis=0),
        "saturation": saturation,
        "entropy": entropy(p).mean(),
        "entropy_of_mean": entropy(mean),
        "kl": ratio.sum(axis=1).mean(),
        "completed": np.mean(np.sum(p > 1e-6, axis=1)),
        "recency_same": same,
        "recency_other": other,
        "histogram": np.eye(BINS)[bins].mean(axis=0),
    }


def mixed_world(names=("ret2", "ret4"), labels=None, kinds=KINDS, seeds=4):
    """Results of settings that answer mixed prompts as their names say, from step 1000 on.

    Tasks escape at 600 and 800 (and so on), 10 steps later for each seed; the last seed of the last
    setting diverges. The settings have 100, 200, .. parameters.
    """
    labels = labels or [f"{i}:{10 - i}" for i in range(11)]
    base = synthetic({"variant": list(kinds)}, [700.0] * len(kinds), seeds, 2000, 100)
    rng, tasks = np.random.default_rng(3), len(names)
    evals, steps = base["eval_step"].values, base["step"].values
    shape = (len(kinds), seeds)
    starts = 1000 + 100 * np.arange(seeds)
    found = {}
    for v, seed, m in itertools.product(*map(range, (*shape, len(labels)))):
        parts = np.array([float(part) for part in labels[m].split(":")])
        shares = parts / parts.sum()
        order = rng.choice(tasks, (PROMPTS, EXAMPLES), p=shares)
        p = _answers(kinds[v], order, shares)
        before, after = _measured(0.01 * p, order), _measured(p, order)
        for name, late in after.items():
            size = (*shape, evals.size, len(labels), *np.shape(late))
            array = found.setdefault(name, np.full(size, np.nan))
            array[v, seed, :, m] = before[name]
            array[v, seed, evals >= starts[seed], m] = late
    own = {"mixture": ("mixture",), "answer": ("mixture", "answer")}
    own |= {"recency": ("mixture", "back", "answer"), "histogram": ("mixture", "answer", "bin")}
    ranks = {4: own["mixture"], 5: own["answer"], 6: own["recency"]}
    grid = ("variant", "seed")
    new = {
        f"mixed_{name}": (
            (*grid, "eval_step", *(own["histogram"] if name == "histogram" else ranks[x.ndim])), x
        )
        for name, x in found.items()
    }  # fmt: skip
    every = (*names, "other")
    escapes = 600.0 + 200 * np.arange(tasks + 1) + 10 * np.arange(seeds)[:, None]
    escapes = np.tile(escapes, (len(kinds), 1, 1))
    losses = np.where(steps[:, None] > escapes[:, :, None], 0.2, 1.0)
    mixed = np.tile(starts[:, None] + 200.0, (len(kinds), 1, len(labels)))  # a mean over three
    new |= {
        "train_loss_by_task": ((*grid, "step", "task"), losses),
        "train_count_by_task": ((*grid, "step", "task"), np.ones_like(losses)),
        "escape_step_by_task": ((*grid, "task"), escapes),
        "start_step_by_task": ((*grid, "task"), np.zeros_like(escapes)),
        "mixed_step": ((*grid, "mixture"), mixed),
        "parameters": (grid, np.tile(100 * (1 + np.arange(len(kinds)))[:, None], (1, seeds))),
    }
    names_of = {"answer": list(names), "mixture": list(labels), "task": list(every)}
    dataset = base.assign(new).assign_coords(names_of)
    dataset.attrs["config"] = json.dumps({"task.examples": EXAMPLES + 1, "mixed_examples": 0})
    dataset.attrs["baseline"] = json.dumps({"variant": kinds[0]})
    dataset["status"][-1, -1] = 2  # what it said is not to be believed
    dataset["mixed_probability"][-1, -1] = 0.77
    return dataset


@pytest.fixture(scope="session")
def make_mixed():
    return mixed_world


@pytest.fixture(scope="session")
def mixed_results():
    return mixed_world()


@pytest.fixture(scope="session")
def everything():
    """What makes results of all that is declared: see the module."""
    path = Path(__file__).parent / "everything.py"
    spec = importlib.util.spec_from_file_location("everything", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_folder(folder, dataset, title="sparse_parity: zipf", sessions=(), variants=None):
    """Write a run folder of results as the page reads it: of four files."""
    from plateaus.measures.figures import kept_files
    from plateaus.report.statistics import summarise

    folder.mkdir()
    for file, content in kept_files(dataset, summarise(dataset)).items():
        (folder / file).write_bytes(content)
    config = {"steps": int(dataset.attrs["horizon"]), "eval_every": 500, "task.name": "parity"}
    written = {"title": title, "config": config, "variants": variants or {}}
    (folder / "config.json").write_text(json.dumps(written))
    (folder / "provenance.json").write_text(json.dumps({"sessions": [*sessions]}))
    return folder


@pytest.fixture(scope="session")
def make_run_folder():
    return run_folder


@pytest.fixture(scope="session")
def claim_entries(zipf_results):
    """Claims as their page is told of them: of runs, of parts, and without an answer."""
    from plateaus.report.page import claims, comparisons, series
    from plateaus.report.statistics import summarise

    rows = summarise(zipf_results)
    other = next(row for row in rows if row.pairs and not row.is_baseline)
    arms = [other, next(row for row in rows if row.setting == other.baseline)]
    (record,) = (r for r in series.ratios(zipf_results, rows) if rows[r["s"]] == other)
    record |= {"s": 0, "shade": (None, 0.05), "told": "0.60 [0.50, 0.70], n = 16: supported"}
    measures = series.measures(zipf_results, arms)
    names = ["zipf_exponent=0.75", "zipf_exponent=0"]
    runs = claims.Runs(zipf_results, arms, names, measures, True, 50_000)
    level = record | {"x": 0.1, "low": None, "high": 0.2, "d": [], "r": [], "c": [], "b": ""}
    share = comparisons.Axis("share of the runs", None, is_ratio=False, least=(0.0, 1.0))
    facts = [("pairs", "16"), ("commit", "abc1234")]
    told = {"is_primary": True, "facts": facts, "command": "python experiments/x.py --claim 1.1"}
    return [
        claims.Entry("1.1", 1, "Sooner.", "supported", **told, comparison=record, runs=runs),
        claims.Entry("1.2", 1, "Both.", "open", parts=["1.2a", "1.2b"]),
        claims.Entry("1.2a", 1, "Few.", "supported", comparison=level, axis=share),
        claims.Entry("2.1", 2, "</script><b onclick='x'>&amp;{{ 7 }}", "not tested"),
    ]
